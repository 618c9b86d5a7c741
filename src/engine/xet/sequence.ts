/**
 * The chunks of a plan in the order of the file, and which of them are still needed later. Chunks come from the network
 * range by range: one that is next is handed on, one that is needed later is kept, and all others are dropped. Pure.
 */
import { DownloadError } from '../../errors.js'
import type { Plan, Term } from './plan.js'

/** Memory for chunks that are needed again, shared by all that read the same file. */
export class ChunkBudget {
  readonly #bytes: number
  #used = 0

  /** @param bytes - how many bytes may be kept. */
  constructor(bytes: number) {
    this.#bytes = bytes
  }

  /** Takes memory, if there is enough of it. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.#bytes) return false
    this.#used += bytes
    return true
  }

  /** Gives memory back. */
  give(bytes: number): void {
    this.#used -= bytes
  }
}

/** A chunk that is the next one of the file. */
interface Wanted {
  xorb: string
  chunk: number
}

/** The chunks of one plan. */
export class ChunkSequence {
  readonly #terms: readonly Term[]
  readonly #budget: ChunkBudget
  /** How often each chunk is still needed. */
  readonly #uses = new Map<string, number>()
  readonly #kept = new Map<string, Uint8Array>()
  #term = 0
  #chunk: number
  /** Bytes of the current term so far. */
  #bytes = 0
  /** Bytes before the range, which are dropped. */
  #skip: number
  /** Bytes of the range that are still missing. */
  #left: number

  /** @param length - how many bytes of the file were asked for. */
  constructor({ terms, skip }: Plan, length: number, budget: ChunkBudget) {
    this.#terms = terms
    this.#budget = budget
    this.#skip = skip
    this.#left = length
    this.#chunk = terms[0]?.start ?? 0
    for (const { xorb, start, end } of terms) {
      for (let chunk = start; chunk < end; chunk += 1) {
        const key = keyOf(xorb, chunk)
        this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1)
      }
    }
  }

  /** The chunk that comes next; null at the end. */
  get next(): Wanted | null {
    const term = this.#left > 0 ? this.#terms[this.#term] : undefined
    return term === undefined ? null : { xorb: term.xorb, chunk: this.#chunk }
  }

  /** Whether a chunk has to be unpacked. */
  needs(xorb: string, chunk: number): boolean {
    const key = keyOf(xorb, chunk)
    return this.#uses.has(key) && !this.#kept.has(key)
  }

  /**
   * Takes a chunk.
   *
   * @param data - valid only during this call.
   * @returns the bytes of the file that it is next with, which are part of `data`; null if it is not next. It is then kept
   * for later if there is memory.
   * @throws DownloadError `PROTOCOL_ERROR` if a term is longer or shorter than the plan says.
   */
  take(xorb: string, chunk: number, data: Uint8Array): Uint8Array | null {
    const { next } = this
    if (next?.xorb !== xorb || next.chunk !== chunk) {
      this.#keep(keyOf(xorb, chunk), data)
      return null
    }
    const bytes = this.#advance(data)
    this.#keep(keyOf(xorb, chunk), data)
    return bytes
  }

  /** The bytes of the file that come next, if they have been kept; otherwise null. */
  takeKept(): Uint8Array | null {
    const { next } = this
    const key = next === null ? '' : keyOf(next.xorb, next.chunk)
    const data = this.#kept.get(key)
    if (data === undefined) return null
    const bytes = this.#advance(data)
    if (!this.#uses.has(key)) this.#drop(key)
    return bytes
  }

  /** Whether a range still has a chunk from `chunk` on that is next, or can be kept. */
  isWorthReading(xorb: string, chunk: number, end: number): boolean {
    const { next } = this
    if (next === null) return false
    if (next.xorb === xorb && chunk <= next.chunk && next.chunk < end) return true
    for (let at = chunk; at < end; at += 1) {
      if (!this.needs(xorb, at)) continue
      // Its size is not known, but none is larger.
      const fits = this.#budget.take(largestBytes)
      if (fits) this.#budget.give(largestBytes)
      return fits
    }
    return false
  }

  /** Gives up everything that was kept. */
  dispose(): void {
    for (const key of [...this.#kept.keys()]) this.#drop(key)
  }

  #keep(key: string, data: Uint8Array): void {
    if (!this.#uses.has(key) || this.#kept.has(key) || !this.#budget.take(data.length)) return
    this.#kept.set(key, new Uint8Array(data))
  }

  #drop(key: string): void {
    this.#budget.give(this.#kept.get(key)?.length ?? 0)
    this.#kept.delete(key)
  }

  /** Goes on to the next chunk. Returns what of this one belongs to the range. */
  #advance(data: Uint8Array): Uint8Array {
    const term = this.#terms[this.#term]
    if (term === undefined) return data.subarray(0, 0)
    const key = keyOf(term.xorb, this.#chunk)
    const uses = (this.#uses.get(key) ?? 0) - 1
    if (uses > 0) this.#uses.set(key, uses)
    else this.#uses.delete(key)
    this.#bytes += data.length
    this.#chunk += 1
    const isLast = this.#chunk === term.end
    if (this.#bytes > term.length || (isLast && this.#bytes !== term.length)) {
      const message = 'A term of the Xet store does not have the length that the plan says.'
      throw new DownloadError('PROTOCOL_ERROR', message, { retryable: true })
    }
    if (isLast) {
      this.#term += 1
      this.#bytes = 0
      this.#chunk = this.#terms[this.#term]?.start ?? 0
    }
    const from = Math.min(this.#skip, data.length)
    this.#skip -= from
    const bytes = data.subarray(from, Math.min(data.length, from + this.#left))
    this.#left -= bytes.length
    return bytes
  }
}

/** See {@link ChunkSequence.isWorthReading}. */
const largestBytes = 128 * 1024

function keyOf(xorb: string, chunk: number): string {
  return `${xorb}:${chunk}`
}
