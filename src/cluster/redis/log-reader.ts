import type { Redis } from 'ioredis'
import type { Clock } from '../../util/clock.js'
import type { ClusterAnswer, ClusterEntry, ClusterEvent, ClusterIntent } from '../backend.js'

/** How long one read waits for something new, in milliseconds. */
const blockMs = 2_000

/** How long to wait after a read has failed, in milliseconds. */
const pauseMs = 200

/** Settings and services of a {@link LogReader}. */
export interface LogReaderInit {
  /** A connection of its own, since a read waits. */
  redis: Redis
  /** The connection for everything that must not wait for a read. */
  commands: Redis
  key: string
  clock: Clock
  read: (ids: readonly string[]) => Promise<Map<string, ClusterEntry | null>>
  onEvents: (events: readonly ClusterEvent[]) => void
  /** Called when something was missed, so that everything must be loaded again. */
  onGap: () => void
}

/** An entry of the stream. */
interface LogEntry {
  position: string
  number: number
  kind: string
  id: string
  extra: string
}

/** Follows the stream of what has changed. Its entries are numbered, so that a missing one is noticed. */
export class LogReader {
  readonly redis: Redis
  readonly #init: LogReaderInit
  readonly #ended = new AbortController()
  /** Position in the stream; null until everything has been loaded. */
  #position: string | null = null
  #number = 0
  #loop: Promise<void> | null = null
  readonly #awaited = new Set<{ number: number; resolve: () => void }>()

  constructor(init: LogReaderInit) {
    this.#init = init
    this.redis = init.redis
  }

  async open(): Promise<void> {
    await this.redis.connect()
  }

  /** Follows from the end of the stream, so that what is loaded after this is as new as what will be reported. */
  async start(): Promise<void> {
    const last = await this.#init.commands.xrevrange(this.#init.key, '+', '-', 'COUNT', 1)
    const [entry] = last.map(parse)
    this.#position = entry?.position ?? '0-0'
    this.#number = entry?.number ?? 0
    this.#tellReached(Infinity)
    this.#loop ??= this.#follow()
  }

  /** Resolves once the entry of a number has been reported; or when everything is loaded again, or this is closed. */
  async reached(number: number): Promise<void> {
    if (this.#number >= number || this.#ended.signal.aborted) return
    await new Promise<void>((resolve) => this.#awaited.add({ number, resolve }))
  }

  /** Whether the stream is shorter than it was: the server has lost its last changes. */
  async hasLost(): Promise<boolean> {
    if (this.#position === null) return false
    const [entry] = (await this.#init.commands.xrevrange(this.#init.key, '+', '-', 'COUNT', 1)).map(parse)
    return (entry?.number ?? 0) < this.#number
  }

  async close(): Promise<void> {
    this.#ended.abort()
    this.#tellReached(Infinity)
    this.redis.disconnect()
    await this.#loop
  }

  async #follow(): Promise<void> {
    const { key, clock } = this.#init
    while (!this.#ended.signal.aborted) {
      try {
        const position = this.#position ?? '0-0'
        const reply = await this.redis.xread('COUNT', 500, 'BLOCK', blockMs, 'STREAMS', key, position)
        // Everything has been loaded again in the meantime.
        if (position !== this.#position) continue
        const entries = (reply?.[0]?.[1] ?? []).map(parse)
        if (entries.length > 0) await this.#take(entries)
      } catch {
        // The watchdog reports it.
        await clock.sleep(pauseMs, this.#ended.signal)
      }
    }
  }

  async #take(entries: readonly LogEntry[]): Promise<void> {
    const [first] = entries
    const last = entries.at(-1)
    if (first === undefined || last === undefined) return
    const isGap = first.number !== this.#number + 1 && this.#number !== 0
    const changed = new Set(entries.filter(({ kind }) => isChange(kind)).map(({ id }) => id))
    const position = this.#position
    const found =
      changed.size === 0 ? new Map<string, ClusterEntry | null>() : await this.#init.read([...changed])
    if (position !== this.#position) return
    this.#position = last.position
    this.#number = last.number
    if (isGap) {
      this.#init.onGap()
    } else this.#init.onEvents(entries.flatMap((entry) => eventsOf(entry, found, changed)))
    this.#tellReached(last.number)
  }

  #tellReached(number: number): void {
    for (const each of this.#awaited) {
      if (each.number > number) continue
      this.#awaited.delete(each)
      each.resolve()
    }
  }
}

const isChange = (kind: string) => kind === 'set' || kind === 'free' || kind === 'del'

/** The events of an entry. A record that has changed several times is reported once, as it is now. */
function eventsOf(
  { kind, id, extra }: LogEntry,
  found: ReadonlyMap<string, ClusterEntry | null>,
  changed: Set<string>,
): ClusterEvent[] {
  switch (kind) {
    case 'set':
    case 'free':
    case 'del': {
      const entry = found.get(id)
      const isFirst = changed.delete(id)
      const events: ClusterEvent[] = kind === 'del' ? [{ type: 'removed', id, revision: Number(extra) }] : []
      // One that is not there any more has an entry that says so.
      if (isFirst && entry !== undefined && entry !== null) events.push({ type: 'changed', id, entry })
      return kind === 'set' ? events : [...events, { type: 'freed', id }]
    }
    case 'intent': {
      const space = extra.indexOf(' ')
      const intent = JSON.parse(extra.slice(space)) as ClusterIntent
      return [{ type: 'intent', id, epoch: Number(extra.slice(0, space)), intent }]
    }
    case 'answer': {
      const { call, answer } = JSON.parse(extra) as { call: string; answer: ClusterAnswer }
      return [{ type: 'answer', call, answer }]
    }
    case 'doc':
      return [{ type: 'document', name: id }]
    default:
      return []
  }
}

function parse([position, fields]: [position: string, fields: string[]]): LogEntry {
  const value = (name: string) => fields[fields.indexOf(name) + 1] ?? ''
  return { position, number: Number(value('n')), kind: value('k'), id: value('i'), extra: value('x') }
}
