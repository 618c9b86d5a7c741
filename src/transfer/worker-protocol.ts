/** The words between an engine in a worker and the thread that started it. All of it survives a structured clone. */
import type { TransferCommand, TransferEvent, TransferSpec, TransferTuning } from './protocol.js'

/** What a worker begins with. */
export interface WorkerInit {
  tuning: Partial<TransferTuning>
  maxBytesPerSecond: number | null
  /** Threads whose locks nobody holds any more; see `files/lock.ts`. */
  deadThreads: readonly string[]
}

/** To the worker. `id` is the number of a run, not that of the download. */
export type WorkerRequest =
  | { type: 'start'; id: number; spec: TransferSpec }
  | { type: 'command'; id: number; command: TransferCommand }
  | { type: 'limit'; maxBytesPerSecond: number | null }
  | { type: 'close' }

/** From the worker. */
export type WorkerReply =
  /** It could be loaded. `thread` is its name among the owners of locks. */
  | { type: 'ready'; thread: string }
  /** What happened in one turn, in order. */
  | { type: 'events'; events: readonly (readonly [id: number, event: TransferEvent])[] }
  | { type: 'log'; level: 'warn'; message: string }
  | { type: 'closed' }
