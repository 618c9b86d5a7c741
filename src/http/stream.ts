import { DownloadError } from '../errors.js'
import type { SseChannel } from './sse.js'

/**
 * A response that streams the events of a channel.
 *
 * @param topic - the one thing to hear of, or null for all.
 * @throws DownloadError `CLOSED`.
 */
export function eventStream(channel: SseChannel, request: Request, topic: string | null): Response {
  if (channel.closed) throw new DownloadError('CLOSED', 'The server is closing.')
  const lastEventId = request.headers.get('last-event-id')
  return new Response(channel.open({ topic, lastEventId, signal: request.signal }), {
    headers: {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      // nginx and others would hold events back to fill a buffer.
      'X-Accel-Buffering': 'no',
    },
  })
}
