import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { waitFor, withTimeout } from '../support/wait.js'
import type { Scene } from './scene.js'
import type { Subject } from './suite.js'

const route = '/api/models/download/events'

/** One server-sent event. */
interface SseEvent {
  event: string
  id: string | undefined
  data: unknown
}

/** A reader of an event stream: its head, and its events one by one. */
export async function readEvents(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ response: Response; next: (event?: string) => Promise<SseEvent>; leave: () => void }> {
  const leaving = new AbortController()
  const response = await withTimeout(
    fetch(url, { headers, signal: leaving.signal }),
    5_000,
    'the stream to begin',
  )
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const next = async (): Promise<SseEvent> => {
    for (;;) {
      const end = text.indexOf('\n\n')
      if (end >= 0) {
        const block = text.slice(0, end)
        text = text.slice(end + 2)
        const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1]
        const data = field('data')
        if (data === undefined) continue
        return { event: field('event') ?? 'message', id: field('id'), data: JSON.parse(data) as unknown }
      }
      const read = await reader?.read()
      if (read === undefined || read.done) throw new Error('The stream has ended.')
      text += read.value
    }
  }
  return {
    response,
    next: async (event) => {
      const search = async () => {
        for (;;) {
          const found = await next()
          if (event === undefined || found.event === event) return found
        }
      }
      return await withTimeout(search(), 10_000, `the event ${event ?? ''}`)
    },
    leave: () => {
      leaving.abort()
    },
  }
}

/** `…/events`. */
export function eventTests({ open, traits, inDepth }: Subject): void {
  describe('an event stream', () => {
    it('begins with a snapshot and follows a download to its end', async () => {
      await using scene = await open()
      const url = scene.serve('/followed.gguf', { size: 300_000, bytesPerSecond: 300_000 })
      const { response, next, leave } = await readEvents(scene.url(route))
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
      expect(response.headers.get('cache-control')).toBe('no-cache, no-transform')
      expect(response.headers.get('x-accel-buffering')).toBe('no')
      expect(await next()).toMatchObject({
        event: 'snapshot',
        data: { downloads: {} },
        id: expect.any(String),
      })
      await scene.start(url)
      expect(await next('state')).toMatchObject({ data: { url, status: 'downloading' } })
      expect(await next('progress')).toMatchObject({ data: { url, progress: expect.any(Number) } })
      let last = await next('state')
      while ((last.data as { status: string }).status === 'downloading') last = await next('state')
      expect(last.data).toMatchObject({ url, status: 'completed', state: 'completed', progress: 100 })
      await scene.call('DELETE', '/api/models/download', { query: { url } })
      expect(await next('removed')).toMatchObject({ data: { url } })
      leave()
      await waitFor(() => scene.listeners === 0, { what: 'the routes to let go of the manager' })
    })

    inDepth('of one download tells of that one only', async () => {
      await using scene = await open()
      const [mine, other] = [scene.serve('/mine.gguf'), scene.serve('/other.gguf')]
      await scene.start(mine)
      await scene.until(mine, 'completed')
      const { next, leave } = await readEvents(scene.url(route, { url: mine }))
      expect(await next()).toMatchObject({ event: 'snapshot', data: { url: mine, status: 'completed' } })
      await scene.start(other)
      await scene.until(other, 'completed')
      await scene.call('DELETE', '/api/models/download', { query: { url: mine } })
      expect(await next()).toMatchObject({ event: 'removed', data: { url: mine } })
      leave()
    })

    inDepth('goes on where it was left', async () => {
      await using scene = await open()
      const stay = await readEvents(scene.url(route))
      const leaver = await readEvents(scene.url(route))
      const { id = '' } = await leaver.next('snapshot')
      leaver.leave()
      const url = scene.serve('/missed.gguf')
      await scene.start(url)
      await scene.until(url, 'completed')
      const back = await readEvents(scene.url(route), { 'Last-Event-ID': id })
      let first = await back.next()
      // Another instance does not know what was missed, and tells everything, and then what has changed since.
      if (traits.cluster !== null && first.event === 'snapshot') {
        const { downloads } = first.data as { downloads: Record<string, unknown> } // checked right below
        first = url in downloads ? { ...first, event: 'state', data: downloads[url] } : await back.next()
      }
      expect(first).toMatchObject({ event: 'state', data: { url } })
      back.leave()
      stay.leave()
    })

    it('frees everything when its clients leave, however they do it', async () => {
      await using scene = await open()
      const sockets = await Promise.all(Array.from({ length: 60 }, () => openSocket(scene)))
      expect(scene.listeners).toBeGreaterThan(0)
      for (const [index, socket] of sockets.entries()) {
        if (index % 3 === 0) socket.end()
        else if (index % 3 === 1) socket.destroy()
        else socket.resetAndDestroy()
      }
      await waitFor(() => scene.listeners === 0, { what: 'the listeners to go' })
      await waitFor(async () => (await scene.connections()) === 0, { what: 'the connections to go' })
    })

    it('does not keep its host from closing', async () => {
      await using scene = await open()
      const socket = await openSocket(scene)
      const ended = once(socket, 'close')
      await withTimeout(scene.mounted.close(), 5_000, 'the host to close')
      await withTimeout(ended, 5_000, 'the stream to end')
      expect(scene.allListeners).toBe(0)
    })
  })
}

/** A client on a bare socket that has its first event. */
async function openSocket(scene: Scene): Promise<Socket> {
  const socket = connect(scene.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`GET ${scene.path}${route} HTTP/1.1\r\nHost: 127.0.0.1:${scene.port}\r\n\r\n`)
  let text = ''
  socket.on('data', (data: Buffer) => {
    text += data.toString()
  })
  await waitFor(() => text.includes('event: snapshot'), { timeoutMs: 10_000, what: 'the first event' })
  return socket
}
