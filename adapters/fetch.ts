import { createHandler, type Handler, type HandlerOptions } from '../src/http/handler.js'

/** The routes as a function of the Web's types. */
export interface FetchHandler extends Pick<Handler, 'owns' | 'close'> {
  /** Answers; what is not ours with 404. Never rejects. */
  (request: Request): Promise<Response>
}

/**
 * The routes as a function from `Request` to `Response`, for Hono, Next, Bun, Deno and the like.
 *
 * A `Request` doesn't say where it comes from, so without `authorize` every one is refused.
 *
 * @param options - see {@link HandlerOptions}.
 *
 * @example
 * const routes = modelDownloader({ manager, authorize, basePath: '/ml' })
 * app.all('/ml/*', (c) => routes(c.req.raw))
 */
export function modelDownloader(options: HandlerOptions): FetchHandler {
  const handler = createHandler(options)
  // Hosts pass a second argument of their own (bindings, a server, route parameters): it is no context of ours.
  const answer = (request: Request) => handler(request)
  return Object.assign(answer, {
    owns: (pathname: string) => handler.owns(pathname),
    close: () => handler.close(),
  })
}
