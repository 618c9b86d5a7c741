/** Undoes content codings with zlib: of a stream, or of a small body as a whole. */
import type { Transform } from 'node:stream'
// Not `* as`: a bundler would import a function by its name that this version of Node may lack.
import nodeZlib from 'node:zlib'
import { DownloadError } from '../errors.js'
import type { Coding } from './content-coding.js'
import { deterministic } from './errors.js'
import type { Exchange } from './exchange.js'

/** Takes the result of a decoder. */
type Done = (error: Error | null, result: Buffer) => void

/** What only newer versions of Node have. */
interface WithZstd {
  createZstdDecompress(options: { chunkSize: number }): Transform
  zstdDecompress(bytes: Buffer, options: { maxOutputLength: number }, done: Done): void
}

// The types are those of the oldest version that is supported; `canDecode` tells whether these functions exist.
const zlib = nodeZlib as typeof nodeZlib & WithZstd

/** Size of the decoder's output chunks, in bytes. */
const chunkSize = 64 * 1024

/** A body may expand to this many times its size; more is allowed up to {@link freeBytes}. */
const maxExpansion = 200

/** In bytes. */
const freeBytes = 256 * 1024 * 1024

/** Whether this version of Node can undo these codings. */
export function canDecode(codings: readonly Coding[]): boolean {
  return !codings.includes('zstd') || 'createZstdDecompress' in zlib
}

/** Receives what a {@link BodyDecoder} makes of a body. */
export interface DecoderListener {
  onData(chunk: Buffer): void
  onEnd(): void
  /** `TRUNCATED` for a body that was cut off, `PROTOCOL_ERROR` for one that is not encoded as stated. */
  onError(error: DownloadError): void
}

/** Decodes the body of an exchange. Nothing is passed on until {@link resume} is called. */
export class BodyDecoder implements Exchange {
  readonly #exchange: Exchange
  readonly #listener: DecoderListener
  readonly #codings: readonly Coding[]
  #stages: readonly Transform[] = []
  #isPaused = true
  #isFull = false
  #isOver = false
  #received = 0
  #passed = 0

  constructor(codings: readonly Coding[], exchange: Exchange, listener: DecoderListener) {
    this.#codings = codings
    this.#exchange = exchange
    this.#listener = listener
  }

  /** Takes a chunk of the body, whose memory may be reused afterwards. */
  write(chunk: Buffer): void {
    if (this.#isOver || chunk.length === 0) return
    this.#received += chunk.length
    this.#open(chunk)
    if (this.#stages[0]?.write(Buffer.from(chunk)) === false) {
      this.#isFull = true
      this.#exchange.pause()
    }
  }

  /** The body is complete. */
  end(): void {
    if (this.#isOver) return
    this.#open(Buffer.alloc(0))
    this.#stages[0]?.end()
  }

  pause(): void {
    this.#isPaused = true
    this.#stages.at(-1)?.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#stages.at(-1)?.resume()
    if (!this.#isFull) this.#exchange.resume()
  }

  abort(): void {
    this.#finish()
    this.#exchange.abort()
  }

  /** The first bytes tell how the body is deflated. */
  #open(head: Buffer): void {
    if (this.#stages.length > 0) return
    // The last coding was applied to the result of the others.
    this.#stages = [...this.#codings].reverse().map((coding) => decoderOf(coding, head))
    const [first] = this.#stages
    const last = this.#stages.at(-1)
    for (const [index, stage] of this.#stages.entries()) {
      stage.on('error', (error) => this.#fail(error))
      const next = this.#stages[index + 1]
      if (next !== undefined) stage.pipe(next)
    }
    first?.on('drain', () => {
      this.#isFull = false
      if (!this.#isPaused) this.#exchange.resume()
    })
    last?.on('data', (chunk: Buffer) => this.#pass(chunk))
    last?.on('end', () => {
      if (this.#finish()) this.#listener.onEnd()
    })
    if (this.#isPaused) last?.pause()
  }

  #pass(chunk: Buffer): void {
    if (this.#isOver) return
    this.#passed += chunk.length
    if (this.#passed > freeBytes && this.#passed > this.#received * maxExpansion) {
      const message = `The body expands to more than ${maxExpansion} times its size.`
      if (this.#finish()) this.#listener.onError(new DownloadError('CONTENT_MISMATCH', message))
      return
    }
    this.#listener.onData(chunk)
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#finish()) this.#listener.onError(decodingError(error, this.#codings))
  }

  /** Returns whether it was not over yet. */
  #finish(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    for (const stage of this.#stages) stage.destroy()
    return true
  }
}

function decoderOf(coding: Coding, head: Buffer): Transform {
  switch (coding) {
    case 'gzip':
      return zlib.createGunzip({ chunkSize })
    case 'br':
      return zlib.createBrotliDecompress({ chunkSize })
    case 'zstd':
      return zlib.createZstdDecompress({ chunkSize })
    case 'deflate':
      return isZlib(head) ? zlib.createInflate({ chunkSize }) : zlib.createInflateRaw({ chunkSize })
  }
}

/** Many servers send `deflate` without the header that it should have (RFC 9110 section 8.4.1.2). */
function isZlib(head: Buffer): boolean {
  const [first = 0, second = 0] = head
  return (first & 0x0f) === 8 && (head.length < 2 || (first * 256 + second) % 31 === 0)
}

/**
 * Decodes a complete body. That is done in a thread of zlib's, so that the event loop goes on.
 *
 * @param maxBytes - a result that is larger is an error.
 * @throws DownloadError `TRUNCATED`, `PROTOCOL_ERROR`.
 */
export async function decodeBody(
  body: Buffer,
  codings: readonly Coding[],
  maxBytes: number,
): Promise<Buffer> {
  let decoded = body
  try {
    for (const coding of [...codings].reverse()) decoded = await undo(coding, decoded, maxBytes)
  } catch (error) {
    throw decodingError(error, codings)
  }
  return decoded
}

function undo(coding: Coding, bytes: Buffer, maxOutputLength: number): Promise<Buffer> {
  const options = { maxOutputLength }
  return new Promise((resolve, reject) => {
    const done: Done = (error, result) => {
      if (error === null) resolve(result)
      else reject(error)
    }
    switch (coding) {
      case 'gzip':
        zlib.gunzip(bytes, options, done)
        return
      case 'br':
        zlib.brotliDecompress(bytes, options, done)
        return
      case 'zstd':
        zlib.zstdDecompress(bytes, options, done)
        return
      case 'deflate':
        if (isZlib(bytes)) zlib.inflate(bytes, options, done)
        else zlib.inflateRaw(bytes, options, done)
    }
  })
}

function decodingError(error: unknown, codings: readonly Coding[]): DownloadError {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'Z_BUF_ERROR') {
    const message = 'The response ended before the file was complete.'
    return new DownloadError('TRUNCATED', message, { cause: error, retryable: true })
  }
  const message =
    code === 'ERR_BUFFER_TOO_LARGE'
      ? 'The decoded response is too large.'
      : `The body is not encoded as Content-Encoding says (${codings.join(', ')}).`
  return deterministic(new DownloadError('PROTOCOL_ERROR', message, { cause: error, retryable: true }))
}
