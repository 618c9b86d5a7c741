import type { IncomingMessage, ServerResponse } from 'node:http'
import { createHandler, type HandlerOptions } from '../src/http/handler.js'
import { listen } from '../src/http/node.js'

/** A listener for `node:http`, which also works as Connect-style middleware. */
export interface NodeListener {
  /** Passes requests for other paths to `next` where it is given, and answers them with 404 otherwise. */
  (req: IncomingMessage, res: ServerResponse, next?: () => void): void
  /** Ends the event streams, so that the server can close. */
  close(): void
}

/**
 * The routes as a listener of a plain `node:http` server, or as Connect-style middleware.
 *
 * @param options - see {@link HandlerOptions}.
 *
 * @example
 * http.createServer(modelDownloader({ manager })).listen(8050, '127.0.0.1')
 */
export function modelDownloader(options: HandlerOptions<IncomingMessage>): NodeListener {
  const handler = createHandler(options)
  const listener = (req: IncomingMessage, res: ServerResponse, next?: () => void) => {
    listen(handler, req, res, next)
  }
  return Object.assign(listener, { close: () => handler.close() })
}
