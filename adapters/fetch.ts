import { createHandler, type Handler, type HandlerOptions } from '../src/http/handler.js'

/** The routes as a function from `Request` to `Response`. */
export interface FetchHandler extends Pick<Handler, 'owns' | 'close'> {
  /** Answers a request, with 404 when it is for none of the routes. Never rejects. */
  (request: Request): Promise<Response>
}

/**
 * The routes as a function from `Request` to `Response`, for Hono, Next, Bun, Deno and the like.
 *
 * A `Request` doesn't carry the address of its client, so without `authorize` every request is refused.
 *
 * @param options - see {@link HandlerOptions}.
 *
 * @example
 * const routes = modelDownloader({ manager, authorize, basePath: '/ml' })
 * app.all('/ml/*', (c) => routes(c.req.raw))
 */
export function modelDownloader(options: HandlerOptions<undefined>): FetchHandler {
  const handler = createHandler(options)
  // Frameworks pass a second argument of their own (bindings, a server, route parameters), which is not our context.
  const answer = (request: Request) => handler(request)
  return Object.assign(answer, {
    owns: (pathname: string) => handler.owns(pathname),
    close: () => handler.close(),
  })
}
