import type { Middleware } from 'koa'
import { createHandler, type HandlerOptions } from '../src/http/handler.js'
import { answer, copyHeaders, isEventStream, isOurs, sendResponse } from '../src/http/node.js'

/** Koa middleware that can end its event streams. */
export type KoaMiddleware = Middleware & {
  /** Ends the event streams, so that the server can close. */
  close(): void
}

/**
 * The routes as Koa middleware. It works at the root and below `koa-mount`. Requests for other paths are passed on.
 *
 * @param options - see {@link HandlerOptions}; `authorize` receives Koa's `ctx` as `context.native`.
 *
 * @example
 * app.use(modelDownloader({ manager }))
 */
export function modelDownloader(options: HandlerOptions<Parameters<Middleware>[0]>): KoaMiddleware {
  const handler = createHandler(options)
  const middleware: Middleware = async (ctx, next) => {
    if (!isOurs(handler, ctx.req.url)) {
      await next()
      return
    }
    // Body parsers store the body here, which Koa's own types don't declare.
    const body = 'body' in ctx.request ? ctx.request.body : undefined
    const response = await answer(handler, ctx.req, ctx.res, { body, native: ctx })
    if (isEventStream(response)) {
      // Koa reports a client that disconnects from a stream as an app error, but event streams normally end this way.
      ctx.respond = false
      await sendResponse(ctx.res, response)
      return
    }
    ctx.status = response.status
    copyHeaders(response, ctx.res)
    if (ctx.method !== 'HEAD') ctx.body = Buffer.from(await response.arrayBuffer())
  }
  return Object.assign(middleware, { close: () => handler.close() })
}
