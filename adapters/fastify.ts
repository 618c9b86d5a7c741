import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { createHandler, type HandlerOptions } from '../src/http/handler.js'
import { answer, isOurs } from '../src/http/node.js'
import { dashboardPath, routes } from '../src/http/routes.js'

/**
 * The routes as an encapsulated Fastify plugin. It works with `prefix` and leaves all other requests to the app. Hooks
 * of the app apply to these routes too. The plugin reads bodies itself, so that limits and errors are those of the
 * other adapters.
 *
 * @param options - see {@link HandlerOptions}; `authorize` receives Fastify's `request` as `context.native`.
 *
 * @example
 * await app.register(modelDownloader, { manager })
 */
export const modelDownloader: FastifyPluginAsync<HandlerOptions<FastifyRequest>> = async (app, options) => {
  const base = (options.basePath ?? '').replace(/\/$/, '')
  const handler = createHandler({ ...options, basePath: app.prefix + base })
  // onClose runs only after the last request has ended, and an event stream never ends by itself.
  app.addHook('preClose', (done) => {
    handler.close()
    done()
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })
  const paths = routes.map((route) => route.path).filter((path) => handler.owns(app.prefix + base + path))
  // People and proxies add a slash to the address of a page. An app that ignores it has that address already.
  const { ignoreTrailingSlash, routerOptions } = app.initialConfig
  const isIgnored = ignoreTrailingSlash === true || routerOptions?.ignoreTrailingSlash === true
  if (paths.includes(dashboardPath) && !isIgnored) paths.push(`${dashboardPath}/`)
  for (const path of new Set(paths)) {
    app.all(base + path, { exposeHeadRoute: false }, async (request, reply) => {
      if (!isOurs(handler, request.raw.url)) {
        reply.callNotFound()
        return reply
      }
      // The body as `preParsing` hooks returned it, for example decompressed.
      const stream = request.body instanceof Readable ? request.body : undefined
      const response = await answer(handler, request.raw, reply.raw, { stream, native: request })
      // Fastify would replace the app's Vary header, and caches need both values.
      const vary = reply.getHeader('vary')
      if (vary !== undefined) response.headers.append('vary', String(vary))
      return reply.send(response)
    })
  }
}
