import type { Middleware } from 'koa'
import { createHandler, type HandlerOptions } from '../src/http/handler.js'
import { answer, copyHeaders, isEventStream, isOurs, sendResponse } from '../src/http/node.js'

/** Koa middleware that can end its event streams. */
export type KoaMiddleware = Middleware & {
  /** Ends the event streams, so that the server can close. */
  close(): void
}

/**
 * The routes as Koa middleware. Works at the root and below `koa-mount`; what is not ours goes on to the host.
 *
 * @param options - see {@link HandlerOptions}; `authorize` finds Koa's `ctx` as `context.native`.
 *
 * @example
 * app.use(modelDownloader({ manager }))
 */
export function modelDownloader(options: HandlerOptions): KoaMiddleware {
  const handler = createHandler(options)
  const middleware: Middleware = async (ctx, next) => {
    if (!isOurs(handler, ctx.req.url)) {
      await next()
      return
    }
    // Body parsers leave it here; Koa's own types don't know them.
    const body = 'body' in ctx.request ? ctx.request.body : undefined
    const response = await answer(handler, ctx.req, ctx.res, { body, native: ctx })
    if (isEventStream(response)) {
      // Koa reports each client that leaves a stream as an error of the app; leaving is how event streams end.
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
