/**
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): one channel, many readers.
 *
 * All readers share one bounded backlog and differ only in how far they are. So a reader that is slow or stops reading
 * costs nothing but its place: it misses progress that newer progress has replaced, and one that falls behind the
 * backlog gets a fresh snapshot. The same backlog serves `Last-Event-ID`.
 */
import { randomBytes } from 'node:crypto'
import { DownloadError } from '../errors.js'
import { Backlog } from './backlog.js'

/** One thing that happened. */
export interface SseMessage {
  event: string
  /** Plain JSON. */
  data: unknown
  /** What it is about; readers of one thing only hear of that. */
  topic: string
  /** What those get in place of `data`, as it is when they get it: made for each of them, since there may be none. */
  detail?: () => unknown
  /** Whether an earlier replaceable message of this event and topic needs not be read any more. */
  replaceable?: boolean
}

/** Where messages come from. */
export interface SseSource {
  /** Begins to tell; what it returns ends that. Called while there are readers only. */
  subscribe(publish: (message: SseMessage) => void): () => void
  /**
   * How things are now, for a reader of everything (`topic` null) or of one thing; null when that is not there any
   * more, which ends the stream.
   */
  snapshot(topic: string | null): { event: string; data: unknown } | null
}

/** Bounds and times of an {@link SseChannel}. */
export interface SseTuning {
  /** Silence after which a comment keeps the connection alive, in milliseconds. Default 15,000. */
  pingMs?: number
  /** Most messages that are kept for slow and returning readers. Default 1,000. */
  maxMessages?: number
  /** Most bytes of such messages. Default 4 MiB. */
  maxBytes?: number
}

/** After how long a browser asks again, in milliseconds. */
const retryMs = 2000

/** How much may wait inside of a stream before its reader counts as slow, in bytes. */
const highWaterMark = 64 * 1024

const encoder = new TextEncoder()

const ping = encoder.encode(': ping\n\n')

/** A reader: what it hears of, how far it is, and its end of the stream. */
interface Reader {
  topic: string | null
  /** Number of the last message that it has. */
  position: number
  needsSnapshot: boolean
  controller: ReadableStreamDefaultController<Uint8Array>
  leave: () => void
}

/** One stream of events for any number of readers. */
export class SseChannel {
  readonly #source: SseSource
  readonly #pingMs: number
  readonly #backlog: Backlog
  readonly #readers = new Set<Reader>()
  /** Names one unbroken time of listening; ids of another one say nothing about what was missed. */
  #epoch = ''
  #unsubscribe: (() => void) | null = null
  #pings: NodeJS.Timeout | null = null
  #closed = false

  constructor(
    source: SseSource,
    { pingMs = 15_000, maxMessages = 1_000, maxBytes = 4 * 1024 * 1024 }: SseTuning = {},
  ) {
    this.#source = source
    this.#pingMs = pingMs
    this.#backlog = new Backlog({ maxMessages, maxBytes })
  }

  /** Readers right now. */
  get readers(): number {
    return this.#readers.size
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * A new reader.
   *
   * @param options - `topic`: the one thing to hear of, or null; `lastEventId`: where an earlier stream ended; `signal`:
   * aborted when the reader is gone.
   * @returns the body of the response; cancelling it or aborting the signal frees all at once.
   */
  open(options: {
    topic: string | null
    lastEventId: string | null
    signal: AbortSignal
  }): ReadableStream<Uint8Array> {
    const { topic, lastEventId, signal } = options
    let reader: Reader | null = null
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          controller.enqueue(encoder.encode(`retry: ${retryMs}\n\n`))
          if (this.#closed || signal.aborted) {
            controller.close()
            return
          }
          const abort = () => {
            this.#end(made)
          }
          const made: Reader = {
            topic,
            position: this.#backlog.last,
            needsSnapshot: true,
            controller,
            leave: () => {
              signal.removeEventListener('abort', abort)
            },
          }
          reader = made
          signal.addEventListener('abort', abort)
          this.#join(made, lastEventId)
        },
        pull: () => {
          if (reader !== null) this.#feed(reader)
        },
        cancel: () => {
          if (reader !== null) this.#drop(reader)
        },
      },
      { highWaterMark, size: (chunk) => chunk.byteLength },
    )
  }

  /** Ends all streams, and refuses new ones. */
  close(): void {
    this.#closed = true
    for (const reader of [...this.#readers]) this.#end(reader)
  }

  #join(reader: Reader, lastEventId: string | null): void {
    this.#readers.add(reader)
    if (this.#unsubscribe === null) this.#listen()
    const position = this.#positionOf(lastEventId)
    if (position !== null) {
      reader.position = position
      reader.needsSnapshot = false
    }
    this.#feed(reader)
  }

  /** Where an id points to in what is still known; null when that can't be told. */
  #positionOf(id: string | null): number | null {
    const [epoch, digits = ''] = id?.split('-') ?? []
    if (epoch !== this.#epoch || !/^\d{1,15}$/.test(digits)) return null
    const position = Number(digits)
    return this.#backlog.reaches(position) ? position : null
  }

  #listen(): void {
    this.#epoch = randomBytes(6).toString('hex')
    this.#unsubscribe = this.#source.subscribe((message) => {
      this.#publish(message)
    })
    this.#pings = setInterval(() => {
      for (const { controller } of this.#readers) {
        // Who has not read the last words needs no sign of life.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(ping)
      }
    }, this.#pingMs)
    this.#pings.unref()
  }

  #publish({ event, data, topic, replaceable = false, detail }: SseMessage): void {
    const text = textOf(event, data)
    this.#backlog.add({
      topic,
      replaces: replaceable ? `${event} ${topic}` : null,
      encode: (number) => this.#encode(number, text),
      ...(detail === undefined
        ? {}
        : { encodeForTopic: (number) => this.#encode(number, textOf(event, detail())) }),
    })
    for (const reader of [...this.#readers]) this.#feed(reader)
  }

  #encode(number: number, text: string): Uint8Array {
    return encoder.encode(`id: ${this.#epoch}-${number}\n${text}`)
  }

  /** Gives a reader what it has not got yet, as long as it takes it. */
  #feed(reader: Reader): void {
    const { controller } = reader
    while (this.#readers.has(reader) && (controller.desiredSize ?? 0) > 0) {
      if (reader.needsSnapshot || !this.#backlog.reaches(reader.position)) {
        this.#feedSnapshot(reader)
        continue
      }
      const next = this.#backlog.next(reader.position, reader.topic)
      if (next === null) {
        reader.position = this.#backlog.last
        return
      }
      reader.position = next.number
      const own = reader.topic === null ? undefined : next.encodeForTopic
      controller.enqueue(own === undefined ? next.bytes : own(next.number))
    }
  }

  #feedSnapshot(reader: Reader): void {
    reader.needsSnapshot = false
    reader.position = this.#backlog.last
    const snapshot = this.#source.snapshot(reader.topic)
    if (snapshot === null) {
      this.#end(reader)
      return
    }
    const text = textOf(snapshot.event, snapshot.data)
    reader.controller.enqueue(this.#encode(reader.position, text))
  }

  /** Ends a stream from our side. */
  #end(reader: Reader): void {
    if (!this.#drop(reader)) return
    try {
      reader.controller.close()
    } catch {
      // The other side has ended it in this very moment.
    }
  }

  /** Forgets a reader; with the last one goes everything. */
  #drop(reader: Reader): boolean {
    if (!this.#readers.delete(reader)) return false
    reader.leave()
    if (this.#readers.size > 0) return true
    this.#unsubscribe?.()
    this.#unsubscribe = null
    if (this.#pings !== null) clearInterval(this.#pings)
    this.#pings = null
    this.#backlog.clear()
    return true
  }
}

function textOf(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}

// ---- stream

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
