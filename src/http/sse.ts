/**
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): one channel with many
 * readers.
 *
 * All readers share one bounded backlog and differ only in their position. So a slow or stalled reader needs
 * no buffer of its own: it skips progress events that newer ones have replaced, and one that falls behind the
 * backlog gets a new snapshot. The same backlog serves `Last-Event-ID`.
 *
 * A long snapshot comes in pages, the next one when the reader has taken the last one, so that no stream holds more than
 * one. Before each page a reader gets all events that there have been, so nothing that it is told is older than what it
 * knows. Until the snapshot is complete nothing has an ID, as continuing from there would leave out the other pages.
 */
import { randomBytes } from 'node:crypto'
import { sentenceError } from '../download/error-text.js'
import { DownloadError } from '../errors.js'
import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { runtime } from '../util/runtime.js'
import { Backlog } from './backlog.js'
import { SnapshotPages } from './downloads/snapshot-pages.js'

/** An event to publish. */
export interface SseMessage {
  event: string
  /** JSON value. */
  data: unknown
  /** Subject of the event; readers of a single topic get only its events. */
  topic: string
  /**
   * Data for readers of this topic alone, instead of `data`. Evaluated for each of them when the event is
   * sent, since there may be none.
   */
  detail?: () => unknown
  /** Whether the event replaces earlier replaceable events of the same name and topic. */
  replaceable?: boolean
}

/** Source of the events of a channel. */
export interface SseSource {
  /** Starts publishing events; the returned function stops it. Called only while there are readers. */
  subscribe(publish: (message: SseMessage) => void): () => void
  /**
   * The current state for readers of all topics (`topic` is null) or of one topic. Null when the topic no
   * longer exists, which ends the stream.
   *
   * @param cursor - `next` of the page before; null for the first page.
   */
  snapshot(topic: string | null, cursor: string | null): SnapshotPart | null
}

/** A snapshot, or one page of it. */
export interface SnapshotPart {
  event: string
  /** JSON value. */
  data: unknown
  /** Cursor of the next page; null (the default) when nothing follows. */
  next?: string | null
  /** The topics in it; messages about them change it. Needed of pages after the first one only. */
  topics?: readonly string[]
}

/** Limits of an {@link SseChannel}. */
export interface SseTuning {
  /** Interval of comments that keep the connection alive, in milliseconds. Default: `runtime.aliveMs`. */
  pingMs?: number
  /** Maximum number of messages kept for slow and reconnecting readers. Default 1,000. */
  maxMessages?: number
  /** Maximum total bytes of such messages. Default 4 MiB. */
  maxBytes?: number
  /** Maximum number of readers. Default 1,000. */
  maxReaders?: number
  /** Maximum number of readers of one caller. Default 64. */
  maxReadersOfCaller?: number
  /** Readers that count for the two limits. Channels with the same events in several languages share it. */
  counted?: Set<CountedReader>
}

/** What the limits know of a reader. */
export interface CountedReader {
  readonly caller: string | null
}

/**
 * A snapshot of all topics is shared by readers that join until so many messages have followed it. A list of
 * thousands of downloads takes a megabyte, which readers that do not read would otherwise keep for each of them.
 */
const maxSnapshotAge = 200

/** Delay before a browser reconnects, in milliseconds. */
const retryMs = 2000

/** How many bytes may be buffered in a stream before its reader counts as slow. */
const highWaterMark = 64 * 1024

const encoder = new TextEncoder()

const ping = encoder.encode(': ping\n\n')

/** A reader: its topic, its position and its stream. */
interface Reader {
  topic: string | null
  caller: string | null
  /** Number of the last message that was sent to it. */
  position: number
  needsSnapshot: boolean
  /** Cursor of the page of the snapshot that comes next; null when the snapshot is complete. */
  page: string | null
  controller: ReadableStreamDefaultController<Uint8Array>
  leave: () => void
}

/** Distributes one stream of events to any number of readers. */
export class SseChannel {
  readonly #source: SseSource
  readonly #pingMs: number
  readonly #clock: Clock
  readonly #backlog: Backlog
  readonly #readers = new Set<Reader>()
  readonly #counted: Set<CountedReader>
  /**
   * Identifies one period of continuous subscription. An ID of another period does not tell which events were
   * missed.
   */
  #epoch = ''
  #unsubscribe: (() => void) | null = null
  #pings: Timer | null = null
  #closed = false
  readonly #maxReaders: number
  readonly #maxReadersOfCaller: number
  /** The last snapshot of all topics, and the number of the last message before it. */
  #shared: { position: number; bytes: Uint8Array; next: string | null } | null = null
  /** Further pages of it. */
  readonly #pages = new SnapshotPages()

  constructor(
    source: SseSource,
    {
      pingMs = runtime.aliveMs,
      maxMessages = 1_000,
      maxBytes = 4 * 1024 * 1024,
      maxReaders = 1_000,
      maxReadersOfCaller = 64,
      counted = new Set(),
    }: SseTuning = {},
    clock: Clock = systemClock,
  ) {
    this.#source = source
    this.#pingMs = pingMs
    this.#maxReaders = maxReaders
    this.#counted = counted
    this.#maxReadersOfCaller = maxReadersOfCaller
    this.#clock = clock
    this.#backlog = new Backlog({ maxMessages, maxBytes })
  }

  /** Current number of readers. */
  get readers(): number {
    return this.#readers.size
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Adds a reader.
   *
   * @param options - `topic`: the topic to follow, or null for all; `lastEventId`: ID of the last event of an
   * earlier stream; `signal`: aborted when the client disconnects.
   * @returns the body of the response. Canceling it or aborting the signal frees all resources at once.
   */
  open(options: {
    topic: string | null
    lastEventId: string | null
    signal: AbortSignal
    /** Address of the caller; null (the default) when it is unknown, so that only the number of all readers counts. */
    caller?: string | null
  }): ReadableStream<Uint8Array> {
    const { topic, lastEventId, signal, caller = null } = options
    this.#requireRoom(caller)
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
            caller,
            position: this.#backlog.last,
            needsSnapshot: true,
            page: null,
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

  /** Ends all streams and refuses new ones. */
  close(): void {
    this.#closed = true
    for (const reader of [...this.#readers]) this.#end(reader)
  }

  #join(reader: Reader, lastEventId: string | null): void {
    this.#readers.add(reader)
    this.#counted.add(reader)
    if (this.#unsubscribe === null) this.#listen()
    const position = this.#positionOf(lastEventId)
    if (position !== null) {
      reader.position = position
      reader.needsSnapshot = false
    }
    this.#feed(reader)
  }

  /** Position of an event ID in the backlog; null if it is unknown or no longer covered. */
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
    const pings = this.#clock.interval(() => {
      for (const { controller } of this.#readers) {
        // A reader that still has unread data needs no ping.
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(ping)
      }
    }, this.#pingMs)
    this.#pings = pings.unref()
  }

  #publish({ event, data, topic, replaceable = false, detail }: SseMessage): void {
    const text = textOf(event, data)
    this.#pages.changed(topic)
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
    return encoder.encode(`${this.#idLine(number)}${text}`)
  }

  #idLine(number: number): string {
    return `id: ${this.#epoch}-${number}\n`
  }

  /** Sends pending messages to a reader until its buffer is full. */
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
        if (reader.page === null) return
        this.#feedPage(reader, reader.page)
        continue
      }
      reader.position = next.number
      const own = reader.topic === null ? undefined : next.encodeForTopic
      const bytes = own === undefined ? next.bytes : own(next.number)
      controller.enqueue(reader.page === null ? bytes : withoutId(bytes))
    }
  }

  /** @throws DownloadError `QUEUE_FULL` when there are too many readers. */
  #requireRoom(caller: string | null): void {
    const own = caller === null ? 0 : [...this.#counted].filter((reader) => reader.caller === caller).length
    if (this.#counted.size < this.#maxReaders && own < this.#maxReadersOfCaller) return
    throw sentenceError('QUEUE_FULL', 'tooManyStreams', [], { retryable: true })
  }

  #feedSnapshot(reader: Reader): void {
    reader.needsSnapshot = false
    if (reader.topic === null && this.#feedShared(reader)) return
    reader.position = this.#backlog.last
    const snapshot = this.#source.snapshot(reader.topic, null)
    if (snapshot === null) {
      this.#end(reader)
      return
    }
    const { event, data, next = null } = snapshot
    // An empty ID makes a reader forget the one that it had.
    const idLine = next === null ? this.#idLine(reader.position) : 'id:\n'
    const bytes = encoder.encode(`${idLine}${textOf(event, data)}`)
    reader.page = next
    if (reader.topic === null) this.#shared = { position: reader.position, bytes, next }
    reader.controller.enqueue(bytes)
  }

  /** Sends the next page of the snapshot to a reader that knows everything up to now. */
  #feedPage(reader: Reader, cursor: string): void {
    let page = this.#pages.at(cursor)
    if (page === null) {
      const part = this.#source.snapshot(reader.topic, cursor)
      if (part === null) {
        this.#end(reader)
        return
      }
      page = { bytes: encoder.encode(textOf(part.event, part.data)), next: part.next ?? null }
      this.#pages.add(cursor, page, part.topics ?? [])
    }
    reader.page = page.next
    if (page.next === null) reader.controller.enqueue(encoder.encode(this.#idLine(reader.position)))
    reader.controller.enqueue(page.bytes)
  }

  /** Sends the last snapshot again if the messages after it are still there. */
  #feedShared(reader: Reader): boolean {
    const shared = this.#shared
    if (shared === null || !this.#backlog.reaches(shared.position)) return false
    if (this.#backlog.last - shared.position > maxSnapshotAge) return false
    reader.position = shared.position
    reader.page = shared.next
    reader.controller.enqueue(shared.bytes)
    return true
  }

  /** Ends the stream of a reader. */
  #end(reader: Reader): void {
    if (!this.#drop(reader)) return
    try {
      reader.controller.close()
    } catch {
      // The client ended the stream at the same moment.
    }
  }

  /** Removes a reader. Without readers, the channel unsubscribes and clears its backlog. */
  #drop(reader: Reader): boolean {
    if (!this.#readers.delete(reader)) return false
    this.#counted.delete(reader)
    reader.leave()
    if (this.#readers.size > 0) return true
    this.#unsubscribe?.()
    this.#unsubscribe = null
    this.#pings?.cancel()
    this.#pings = null
    this.#shared = null
    this.#pages.clear()
    this.#backlog.clear()
    return true
  }
}

/** An encoded message without its first line. */
function withoutId(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(bytes.indexOf(10) + 1)
}

function textOf(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}

// ---- Response

/**
 * Creates a response that streams the events of a channel.
 *
 * @param topic - the topic to follow, or null for all.
 * @param caller - address of the caller, whose streams are limited; null when it is unknown.
 * @throws DownloadError `CLOSED` when the channel is closed; `QUEUE_FULL` when there are too many streams.
 */
export function eventStream(
  channel: SseChannel,
  request: Request,
  topic: string | null,
  caller: string | null,
): Response {
  if (channel.closed) throw new DownloadError('CLOSED', 'The server is closing.')
  const lastEventId = request.headers.get('last-event-id')
  return new Response(channel.open({ topic, lastEventId, signal: request.signal, caller }), {
    headers: {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      // nginx and other proxies would buffer the events.
      'X-Accel-Buffering': 'no',
    },
  })
}
