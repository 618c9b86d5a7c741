import type { Request, RequestHandler } from 'express'
import { createHandler, type HandlerOptions } from '../src/http/handler.js'
import { listen } from '../src/http/node.js'

/** Express middleware that can end its event streams. */
export type ExpressMiddleware = RequestHandler & {
  /** Ends the event streams, so that the server can close. */
  close(): void
}

/**
 * The routes as Express middleware. It works at the root and below a path. Requests for other paths are passed on.
 *
 * @param options - see {@link HandlerOptions}; `authorize` receives Express's `req` as `context.native`.
 *
 * @example
 * app.use(modelDownloader({ manager }))
 */
export function modelDownloader(options: HandlerOptions<Request>): ExpressMiddleware {
  const handler = createHandler(options)
  const middleware: RequestHandler = (req, res, next) => {
    listen(handler, req, res, next)
  }
  return Object.assign(middleware, { close: () => handler.close() })
}
