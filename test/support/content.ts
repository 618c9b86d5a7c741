/**
 * Deterministic content of any size for origins to serve, which is not held in memory. It supports random access: the
 * cost of `slice(start, end)` depends only on the length of the slice.
 */
import { createCipheriv, createHash } from 'node:crypto'

/** Bytes that an origin serves. */
export interface Content {
  /** Size in bytes. */
  readonly size: number
  /** Identifies the bytes: contents with the same label are equal. The default ETag is derived from it. */
  readonly label: string
  /** A copy of the bytes from `start` to `end` (exclusive). */
  slice(start: number, end: number): Buffer
  /**
   * One or more bytes from `start`, up to `end`, as many as are contiguous in memory. They are not copied where
   * possible, so callers must not write to the buffer.
   */
  view(start: number, end: number): Buffer
  /** Lower-case hex SHA-256 of all bytes. It is computed once, and blocks for about 1 s per GB. */
  sha256(): string
}

/** Bytes that replace others, see {@link patchedContent}. */
export interface Patch {
  /** Offset of the first byte. */
  at: number
  data: Buffer | string
}

abstract class BaseContent implements Content {
  #digest: string | undefined

  constructor(
    readonly size: number,
    readonly label: string,
  ) {
    if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`No content has ${size} bytes.`)
  }

  abstract view(start: number, end: number): Buffer

  slice(start: number, end: number): Buffer {
    const to = Math.min(end, this.size)
    const from = Math.min(Math.max(start, 0), to)
    const result = Buffer.allocUnsafe(to - from)
    for (let at = from; at < to;) at += this.view(at, to).copy(result, at - from)
    return result
  }

  sha256(): string {
    if (this.#digest !== undefined) return this.#digest
    const hash = createHash('sha256')
    for (let at = 0; at < this.size;) {
      const part = this.view(at, this.size)
      hash.update(part)
      at += part.length
    }
    return (this.#digest = hash.digest('hex'))
  }
}

function randomBytes(size: number, seed: string | number): Buffer {
  const key = createHash('sha256').update(`content ${seed}`).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size))
}

const windowBytes = 256 * 1024
const baseBytes = 1024 * 1024

/**
 * The stream consists of windows of 256 KiB, each of which shows a block of random bytes from another offset. The
 * offsets follow a permutation, so no two windows are equal (up to 256 GiB), and the stream never equals a shifted copy
 * of itself.
 */
class RandomContent extends BaseContent {
  readonly #base: Buffer
  readonly #salt: number

  constructor(size: number, seed: string | number) {
    super(size, `random ${size} ${seed}`)
    this.#base = randomBytes(Math.min(size, baseBytes + windowBytes), seed)
    this.#salt = createHash('sha256').update(`salt ${seed}`).digest().readUInt32LE(0)
  }

  view(start: number, end: number): Buffer {
    if (this.size <= this.#base.length) return this.#base.subarray(start, end)
    const window = Math.floor(start / windowBytes)
    const inside = start - window * windowBytes
    const length = Math.min(end - start, windowBytes - inside)
    // Multiplying by an odd factor permutes the numbers below 2^20.
    const offset = ((Math.imul(window % baseBytes, 0x9e3779b1) + this.#salt) >>> 0) % baseBytes
    return this.#base.subarray(offset + inside, offset + inside + length)
  }
}

class BufferContent extends BaseContent {
  readonly #buffer: Buffer

  constructor(buffer: Buffer) {
    super(buffer.length, `buffer ${createHash('sha256').update(buffer).digest('hex')}`)
    this.#buffer = buffer
  }

  view(start: number, end: number): Buffer {
    return this.#buffer.subarray(start, end)
  }
}

const zeros = Buffer.alloc(1024 * 1024)

class ZeroContent extends BaseContent {
  constructor(size: number) {
    super(size, `zero ${size}`)
  }

  view(start: number, end: number): Buffer {
    return zeros.subarray(0, end - start)
  }
}

class PatchedContent extends BaseContent {
  readonly #under: Content
  readonly #patches: { at: number; data: Buffer }[]

  constructor(under: Content, patches: readonly Patch[]) {
    const list = patches.map(({ at, data }) => ({ at, data: Buffer.from(data) })).sort((a, b) => a.at - b.at)
    const marks = list.map(({ at, data }) => `${at}:${createHash('sha256').update(data).digest('hex')}`)
    super(under.size, `${under.label} + ${marks.join(',')}`)
    let free = 0
    for (const { at, data } of list) {
      if (at < free || at + data.length > under.size) throw new RangeError(`The patch at ${at} does not fit.`)
      free = at + data.length
    }
    this.#under = under
    this.#patches = list
  }

  view(start: number, end: number): Buffer {
    for (const { at, data } of this.#patches) {
      if (start >= at + data.length) continue
      if (start >= at) return data.subarray(start - at, end - at)
      return this.#under.view(start, Math.min(end, at))
    }
    return this.#under.view(start, end)
  }
}

/** Pseudo-random bytes. The same `size` and `seed` always give the same bytes. No part repeats, not even shifted. */
export function randomContent(size: number, seed: string | number = 1): Content {
  return new RandomContent(size, seed)
}

/** Zeros with a few marks, for files of many GiB. */
export function sparseContent(size: number, patches: readonly Patch[] = []): Content {
  return new PatchedContent(new ZeroContent(size), patches)
}

/** Another content with some bytes replaced. Patches must not overlap, and must be within the content. */
export function patchedContent(under: Content, patches: readonly Patch[]): Content {
  return new PatchedContent(under, patches)
}

/** The bytes of a buffer. */
export function bufferContent(buffer: Uint8Array): Content {
  return new BufferContent(Buffer.from(buffer))
}

/** A text, encoded in UTF-8. */
export function textContent(text: string): Content {
  return new BufferContent(Buffer.from(text))
}

/** A GGUF file with a valid header (version 3, no tensors, no metadata), followed by random bytes. Size: 24 or more. */
export function ggufContent(size: number, seed: string | number = 1): Content {
  const header = Buffer.alloc(24)
  header.write('GGUF')
  header.writeUInt32LE(3, 4)
  return new PatchedContent(randomContent(size, seed), [{ at: 0, data: header }])
}

/** A valid safetensors file of exactly `size` bytes (256 or more) with one tensor of random bytes. */
export function safetensorsContent(size: number, seed: string | number = 1): Content {
  const headerBytes = 248
  const data = size - 8 - headerBytes
  const tensor = { dtype: 'U8', shape: [data], data_offsets: [0, data] }
  const header = Buffer.alloc(8 + headerBytes, ' ')
  header.writeBigUInt64LE(BigInt(headerBytes), 0)
  header.write(JSON.stringify({ __metadata__: { format: 'pt' }, weight: tensor }), 8)
  return new PatchedContent(randomContent(size, seed), [{ at: 0, data: header }])
}
