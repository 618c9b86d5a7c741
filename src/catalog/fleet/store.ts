/** What the nodes of a fleet know of each other, and where they keep it. */
import { type Clock, systemClock } from '../../util/clock.js'
import type { NodeIdentity } from './selector.js'

/**
 * What a node does about a model.
 *
 * - `ready`: the file is there and right.
 * - `queued`, `downloading`: this node gets it.
 * - `waiting`: enough others fetch it from its origin; this node will get it from one of them.
 * - `failed`: it could not be got; it is tried again after a while.
 * - `missing`: the node has not begun.
 */
export type NodeModelState = 'ready' | 'queued' | 'downloading' | 'waiting' | 'failed' | 'missing'

/** A model on one node. */
export interface NodeModel {
  /** What the node does about it. */
  state: NodeModelState
  /** 0 to 100. */
  percent: number
  /** Bytes per second. */
  speed: number
  /** Why it has failed; otherwise null. */
  error: string | null
}

/** What a node says about itself. */
export interface NodeReport extends NodeIdentity {
  /** Address at which other nodes reach its routes; null if they can't. */
  url: string | null
  /** By key of the catalog: all models that this node has, or is to have. */
  models: Readonly<Record<string, NodeModel>>
  /** SHA-256 of files that it serves to others. */
  digests: readonly string[]
}

/** A report, and how old it is. */
export interface SeenReport extends NodeReport {
  /** When it was stored, in milliseconds since the epoch, by the clock of the store. */
  seenAt: number
}

/** A model that some nodes are to have. */
export interface FleetWish {
  /** Key of the catalog. */
  key: string
  /** See `parseSelector`. */
  nodes: string
}

/** Everything that is stored. */
export interface FleetContent {
  /** The clock of the store, in milliseconds since the epoch. */
  now: number
  /** Which nodes are to have which models. */
  wishes: readonly FleetWish[]
  /** What each node has said last. */
  reports: readonly SeenReport[]
  /** Nodes that want a model, by its key, in the order in which they said so. */
  claims: Readonly<Record<string, readonly string[]>>
}

/** Where the nodes of a fleet keep what they know of each other. Methods reject when it can't be reached. */
export interface FleetStore {
  /** Reads everything. */
  read(): Promise<FleetContent>
  /** Adds models that nodes are to have; those that are stored already stay once. */
  wish(wishes: readonly FleetWish[]): Promise<void>
  /** Removes some of them; those that are not stored are ignored. */
  unwish(wishes: readonly FleetWish[]): Promise<void>
  /** Replaces what a node has said about itself; also its sign of life. */
  report(report: NodeReport): Promise<void>
  /** A node wants a model. Has no effect if it has said so before. */
  claim(key: string, node: string): Promise<void>
  /** It does not any more. */
  release(key: string, node: string): Promise<void>
  /** Calls back after something has changed, also by others. Returns a function that ends this. */
  watch(changed: () => void): () => void
  /** Must be called once nobody uses it any more. */
  close(): Promise<void>
}

const fieldOf = ({ key, nodes }: FleetWish) => `${key}\n${nodes}`

/** A fleet in the memory of one process, for tests and for several nodes in one process. */
export class MemoryFleetStore implements FleetStore {
  readonly #clock: Clock
  readonly #wishes = new Map<string, FleetWish>()
  readonly #reports = new Map<string, SeenReport>()
  readonly #claims = new Map<string, Set<string>>()
  readonly #watchers = new Set<() => void>()

  /** @param clock - tells when nodes were last heard of. Default: the system clock. */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** See {@link FleetStore.read}. */
  async read(): Promise<FleetContent> {
    return structuredClone({
      now: this.#clock.wallNow(),
      wishes: [...this.#wishes.values()],
      reports: [...this.#reports.values()],
      claims: Object.fromEntries([...this.#claims].map(([key, nodes]) => [key, [...nodes]])),
    })
  }

  async wish(wishes: readonly FleetWish[]): Promise<void> {
    for (const wish of wishes) this.#wishes.set(fieldOf(wish), { ...wish })
    this.#changed()
  }

  async unwish(wishes: readonly FleetWish[]): Promise<void> {
    for (const wish of wishes) this.#wishes.delete(fieldOf(wish))
    this.#changed()
  }

  async report(report: NodeReport): Promise<void> {
    this.#reports.set(report.name, { ...structuredClone(report), seenAt: this.#clock.wallNow() })
    this.#changed()
  }

  async claim(key: string, node: string): Promise<void> {
    const nodes = this.#claims.get(key) ?? new Set()
    this.#claims.set(key, nodes.add(node))
  }

  async release(key: string, node: string): Promise<void> {
    if (this.#claims.get(key)?.delete(node) === true) this.#changed()
  }

  watch(changed: () => void): () => void {
    this.#watchers.add(changed)
    return () => this.#watchers.delete(changed)
  }

  async close(): Promise<void> {
    this.#watchers.clear()
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) queueMicrotask(watcher)
  }
}
