import type { RequestHandler } from 'express'
import { createHandler, type HandlerOptions } from '../src/http/handler.js'
import { listen } from '../src/http/node.js'

/** Express middleware that can end its event streams. */
export type ExpressMiddleware = RequestHandler & {
  /** Ends the event streams, so that the server can close. */
  close(): void
}

/**
 * The routes as Express middleware. Works at the root and below a path; what is not ours goes on to the host.
 *
 * @param options - see {@link HandlerOptions}; `authorize` finds Express's `req` as `context.native`.
 *
 * @example
 * app.use(modelDownloader({ manager }))
 */
export function modelDownloader(options: HandlerOptions): ExpressMiddleware {
  const handler = createHandler(options)
  const middleware: RequestHandler = (req, res, next) => {
    listen(handler, req, res, next)
  }
  return Object.assign(middleware, { close: () => handler.close() })
}
