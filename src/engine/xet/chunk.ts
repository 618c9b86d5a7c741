/** The chunks that a xorb consists of, read from a stream. Pure. */

/** How a chunk is packed: 0 not at all, 1 an LZ4 frame, 2 bytes regrouped by position modulo 4, then an LZ4 frame. */
export type Scheme = 0 | 1 | 2

/** The most that a chunk has, unpacked, in bytes. */
export const maxRawBytes = 128 * 1024

/** The most that a packed chunk may have, in bytes. Real ones are never longer than the unpacked chunk. */
export const maxPackedBytes = 2 * maxRawBytes

const headBytes = 8

/** The head of a chunk. */
export interface ChunkHead {
  scheme: Scheme
  packed: number
  raw: number
}

/**
 * Parses the 8 bytes at the start of a chunk: version, packed length, scheme and raw length, in little-endian order.
 *
 * @returns null if they are not the head of a chunk that we can unpack.
 */
export function parseChunkHead(bytes: Uint8Array, at = 0): ChunkHead | null {
  const byte = (index: number) => bytes[at + index] ?? 0
  const number = (index: number) => byte(index) | (byte(index + 1) << 8) | (byte(index + 2) << 16)
  const scheme = byte(4)
  const packed = number(1)
  const raw = number(5)
  if (byte(0) !== 0 || (scheme !== 0 && scheme !== 1 && scheme !== 2)) return null
  if (raw === 0 || raw > maxRawBytes || packed === 0 || packed > maxPackedBytes) return null
  return scheme === 0 && packed !== raw ? null : { scheme, packed, raw }
}

/** A packed chunk, whose bytes are valid until the next call of its reader. */
export interface PackedChunk extends ChunkHead {
  bytes: Uint8Array
}

/** Cuts a stream into chunks. */
export class ChunkReader {
  #data: Uint8Array = new Uint8Array(0)
  #at = 0
  /** What came of a chunk before `#data`; its memory is used again. */
  #begun: Uint8Array | null = null
  #begunBytes = 0
  #kept: Uint8Array | null = null

  /** Adds data, which must stay valid until {@link next} has returned null or {@link keep} has been called. */
  push(data: Uint8Array): void {
    const kept = this.#kept
    this.#kept = null
    this.#data = kept === null ? data : concat(kept.subarray(this.#at), data)
    this.#at = 0
  }

  /** Whether the stream ended at the end of a chunk, if it ended now. */
  get isBetweenChunks(): boolean {
    return this.#begunBytes === 0 && this.#at === this.#data.length
  }

  /** Returns the next chunk, null if more data is needed, or `invalid`, after which it must not be used again. */
  next(): PackedChunk | 'invalid' | null {
    if (this.#begunBytes > 0) return this.#complete()
    const left = this.#data.length - this.#at
    if (left >= headBytes) {
      const head = parseChunkHead(this.#data, this.#at)
      if (head === null) return 'invalid'
      if (left >= headBytes + head.packed) {
        const start = this.#at + headBytes
        this.#at = start + head.packed
        return { ...head, bytes: this.#data.subarray(start, this.#at) }
      }
    }
    this.#take(left)
    return null
  }

  /** Copies what is left of the data, so that its memory can be reused. */
  keep(): void {
    if (this.#kept !== null) return
    // Not `slice`, which does not copy a Buffer.
    this.#kept = new Uint8Array(this.#data.subarray(this.#at))
    this.#data = this.#kept
    this.#at = 0
  }

  /** Completes the chunk that began in earlier data. */
  #complete(): PackedChunk | 'invalid' | null {
    if (this.#begunBytes < headBytes) {
      this.#take(Math.min(headBytes - this.#begunBytes, this.#data.length - this.#at))
      if (this.#begunBytes < headBytes) return null
    }
    const begun = this.#begun ?? this.#data
    const head = parseChunkHead(begun)
    if (head === null) return 'invalid'
    const length = headBytes + head.packed
    this.#take(Math.min(length - this.#begunBytes, this.#data.length - this.#at))
    if (this.#begunBytes < length) return null
    this.#begunBytes = 0
    return { ...head, bytes: begun.subarray(headBytes, length) }
  }

  /** Moves bytes of the data to the chunk that has begun. */
  #take(count: number): void {
    if (count === 0) return
    this.#begun ??= new Uint8Array(headBytes + maxPackedBytes)
    this.#begun.set(this.#data.subarray(this.#at, this.#at + count), this.#begunBytes)
    this.#begunBytes += count
    this.#at += count
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length)
  all.set(first)
  all.set(second, first.length)
  return all
}
