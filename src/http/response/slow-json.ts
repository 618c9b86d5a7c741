import { internals } from '../../manager/internals.js'
import { runtime } from '../../util/runtime.js'
import type { RouteCall } from '../route.js'

/**
 * A JSON response whose value takes long. Until then, spaces are sent from time to time, which JSON allows before a value
 * (RFC 8259 section 2), so that nobody takes the connection for dead.
 *
 * @param work - its signal is aborted when the reader leaves.
 */
export function slowJson(
  work: (signal: AbortSignal) => Promise<object>,
  { request, services }: Pick<RouteCall<unknown, unknown>, 'request' | 'services'>,
): Response {
  const left = new AbortController()
  const encoder = new TextEncoder()
  const { clock } = services.manager[internals]
  const body = new ReadableStream<Uint8Array>({
    start: async (controller) => {
      const alive = clock.interval(() => {
        // A reader that does not read gets no more spaces than it has room for.
        if (!left.signal.aborted && (controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(' '))
      }, runtime.aliveMs)
      try {
        const value = await work(AbortSignal.any([left.signal, request.signal]))
        controller.enqueue(encoder.encode(JSON.stringify(value)))
        controller.close()
      } catch (error) {
        // Too late for another status: the body is broken off, so that nobody takes it for a complete one.
        if (!left.signal.aborted) controller.error(error)
      } finally {
        alive.cancel()
      }
    },
    cancel: () => {
      left.abort()
    },
  })
  return new Response(body, {
    headers: {
      'Content-Type': 'application/json; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
      'X-Content-Type-Options': 'nosniff',
    },
  })
}
