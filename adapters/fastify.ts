import type { FastifyPluginAsync } from 'fastify'
import { Readable } from 'node:stream'
import { createHandler, type HandlerOptions } from '../src/http/handler.js'
import { answer, isOurs } from '../src/http/node.js'
import { routes } from '../src/http/routes.js'

/**
 * The routes as an encapsulated Fastify plugin. Works with `prefix`; leaves everything else to the host. Hooks of the
 * host hold for these routes too; bodies are read here, so that limits and errors are those of the contract.
 *
 * @param options - see {@link HandlerOptions}; `authorize` finds Fastify's `request` as `context.native`.
 *
 * @example
 * await app.register(modelDownloader, { manager })
 */
export const modelDownloader: FastifyPluginAsync<HandlerOptions> = async (app, options) => {
  const base = (options.basePath ?? '').replace(/\/$/, '')
  const handler = createHandler({ ...options, basePath: app.prefix + base })
  // onClose would come after the last request has ended, which an event stream never does.
  app.addHook('preClose', (done) => {
    handler.close()
    done()
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })
  const paths = routes.map((route) => route.path).filter((path) => handler.owns(app.prefix + base + path))
  for (const path of new Set(paths)) {
    app.all(base + path, { exposeHeadRoute: false }, async (request, reply) => {
      if (!isOurs(handler, request.raw.url)) {
        reply.callNotFound()
        return reply
      }
      // What `preParsing` hooks made of the body, an unpacked one for example.
      const stream = request.body instanceof Readable ? request.body : undefined
      const response = await answer(handler, request.raw, reply.raw, { stream, native: request })
      // Fastify replaces what its host has set; caches need both.
      const vary = reply.getHeader('vary')
      if (vary !== undefined) response.headers.append('vary', String(vary))
      return reply.send(response)
    })
  }
}
