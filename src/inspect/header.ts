/**
 * Reads the headers of files piece by piece. A parser is a generator that asks for bytes, so that it is pure and whoever
 * drives it decides how they are read, and how many of them at most. Pure.
 */
import { DownloadError } from '../errors.js'

/** Bytes that a parser needs to go on. */
export interface WantedBytes {
  /** Position in the file. */
  at: number
  /** It can do nothing with fewer. More are welcome, from the same position. */
  bytes: number
}

/** A parser. It is given the bytes that it asks for, or fewer at the end of the file. */
export type Parsing<T> = Generator<WantedBytes, T, Uint8Array>

/** Bounds of reading a header. */
export interface HeaderBounds {
  /** Most bytes that are read. */
  maxBytes: number
  /** Most reads. */
  maxReads: number
  /** How much is read first, in bytes; each further read is twice as long, up to {@link maxChunkBytes}. */
  firstBytes: number
}

/** Length of the longest read, unless the parser needs more at once, in bytes. */
const maxChunkBytes = 4 * 1024 * 1024

/**
 * Drives a parser.
 *
 * @param read - reads bytes at a position; fewer at the end of the file.
 * @throws DownloadError `CONTENT_MISMATCH` from the parser, and for a header beyond the bounds; whatever `read` throws.
 */
export async function readHeader<T>(
  parsing: Parsing<T>,
  read: (at: number, bytes: number) => Promise<Uint8Array>,
  { maxBytes, maxReads, firstBytes }: HeaderBounds,
): Promise<T> {
  let left = maxBytes
  let chunk = firstBytes
  let step = parsing.next()
  for (let reads = 0; step.done !== true; reads += 1) {
    const { at, bytes } = step.value
    if (reads === maxReads || bytes > left)
      throw invalidHeader('The header is longer than what is read of it.')
    const wanted = Math.min(left, Math.max(bytes, chunk))
    const data = await read(at, wanted)
    left -= wanted
    chunk = Math.min(2 * chunk, maxChunkBytes)
    step = parsing.next(data)
  }
  return step.value
}

/** A position in a file whose bytes come piece by piece. */
export class Cursor {
  #view: DataView = new DataView(new ArrayBuffer(0))
  /** Position of the first byte of the view. */
  #start = 0
  #at = 0
  isLittle = true

  /** Whether so many bytes can be read now. */
  has(bytes: number): boolean {
    const inside = this.#at - this.#start
    return inside >= 0 && inside + bytes <= this.#view.byteLength
  }

  /** Asks for bytes, which then can be read. */
  *fill(bytes: number): Parsing<void> {
    if (this.has(bytes)) return
    const data = yield { at: this.#at, bytes }
    if (data.length < bytes) throw invalidHeader('The header is cut off.')
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    this.#start = this.#at
  }

  /** Moves on without reading. */
  skip(bytes: number): void {
    const at = this.#at + bytes
    if (!Number.isSafeInteger(at)) throw invalidHeader('The header states a length that no file has.')
    this.#at = at
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), this.isLittle)
  }

  /** A 64-bit number; beyond 2^53 only approximately, which no length or count is. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), this.isLittle))
  }

  /** The next bytes themselves. They are only valid until more are asked for. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count)
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, count)
  }

  #take(bytes: number): number {
    const inside = this.#at - this.#start
    this.#at += bytes
    return inside
  }
}

/** The error for a header that is not valid. */
export function invalidHeader(message: string): DownloadError {
  return new DownloadError('CONTENT_MISMATCH', message)
}
