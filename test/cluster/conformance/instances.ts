/** Instances of a store of a cluster, for cases that hold for every kind of store. */
import type {
  Began,
  ClusterBackend,
  ClusterEntry,
  ClusterEvent,
  ClusterMessage,
  HeldLease,
} from '../../../src/cluster/backend.js'
import type { DownloadRecord } from '../../../src/download/record.js'
import { sampleRecord } from '../../../src/store/sample-record.js'

/** A store for one case, empty at first. */
export interface BackendPlace {
  /** Another instance, which has not been opened. */
  join(node: string, affinityMs?: number): ClusterBackend
  /** Lets time pass until leases that are not renewed have run out; null if it passes by itself. */
  pass: ((ms: number) => void | Promise<void>) | null
  /** Loses all data. */
  lose(): void | Promise<void>
  /** Makes all instances miss an event. */
  skip(): void | Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** An instance, and what it has been told. */
export interface Instance {
  backend: ClusterBackend
  events: ClusterEvent[]
  messages: (readonly [from: string, message: ClusterMessage])[]
  backs: number
  /** The entry of a download as its last event tells it. */
  told: (id: string) => ClusterEntry | null | undefined
}

export const idOf = (index: number) => index.toString(16).padStart(64, '0')
export const recordAt = (index: number, more: Partial<DownloadRecord> = {}) => ({
  ...sampleRecord(index),
  id: idOf(index),
  url: `https://example.com/${index}`,
  sequence: index,
  state: 'queued' as const,
  ...more,
})

/** Makes cases for some instances of a place of their own. */
export const instancesOf =
  (openPlace: () => Promise<BackendPlace>) =>
  (count: number, run: (place: BackendPlace, all: Instance[]) => Promise<void>, affinityMs?: number) =>
  async () => {
    await using place = await openPlace()
    const all = await Promise.all(
      Array.from({ length: count }, (_, index) => enter(place, `n${index}`, affinityMs)),
    )
    try {
      await run(place, all)
    } finally {
      await Promise.all(all.map(({ backend }) => backend.close()))
    }
  }

/** Opens an instance. */
export async function enter(place: BackendPlace, node: string, affinityMs?: number): Promise<Instance> {
  const backend = place.join(node, affinityMs)
  const events: ClusterEvent[] = []
  const found: Instance = {
    backend,
    events,
    messages: [],
    backs: 0,
    told: (id) => events.flatMap((event) => toldBy(event, id)).at(-1),
  }
  await backend.open({
    events: (some) => events.push(...some),
    message: (from, message) => found.messages.push([from, message]),
    away: () => undefined,
    back: () => (found.backs += 1),
    log: () => undefined,
  })
  await backend.load()
  return found
}

const toldBy = (event: ClusterEvent, id: string): (ClusterEntry | null)[] =>
  'id' in event && event.id !== id
    ? []
    : event.type === 'changed'
      ? [event.entry]
      : event.type === 'removed'
        ? [null]
        : []

/** The lease that was granted. */
export function granted(began: Began): HeldLease {
  if (began.type !== 'granted') throw new Error(`The lease was not granted: ${began.type}.`)
  return { id: began.entry.record.id, epoch: began.entry.epoch }
}
