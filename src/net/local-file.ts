/**
 * Reads a file of this machine as if a server sent it, with ranges and a strong entity tag, so that everything else treats
 * it like any other address: the same resume, the same checks. For trusted callers only.
 */
import { fileURLToPath } from 'node:url'
import { fsError } from '../disk/errors.js'
import { type BigIntStats, constants, open } from '../disk/fs.js'
import { DownloadError } from '../errors.js'
import { bugIn, type Exchange, type ExchangeListener, type ExchangeRequest } from './exchange.js'

/** Windows has no such flag, whatever the types say. */
const nonBlocking = (constants as Partial<typeof constants>).O_NONBLOCK ?? 0

/** How much is read at once, in bytes. */
const readBytes = 512 * 1024

/** A file is another one as soon as any of these differs. */
export function localEtag({ size, mtimeNs, ino }: Pick<BigIntStats, 'size' | 'mtimeNs' | 'ino'>): string {
  return `"${size.toString(36)}-${mtimeNs.toString(36)}-${ino.toString(36)}"`
}

/** What a request asks of a file, and the answer that it gets. Pure. */
export function localAnswer(
  headers: Readonly<Record<string, string>>,
  size: number,
  etag: string,
): { status: number; headers: Record<string, string>; start: number; end: number } {
  const given = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  const condition = given.get('if-range')
  const range = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(given.get('range') ?? '')
  const common = { 'accept-ranges': 'bytes', etag }
  if (range === null || (condition !== undefined && condition !== etag)) {
    return { status: 200, headers: { ...common, 'content-length': String(size) }, start: 0, end: size }
  }
  const start = Number(range[1])
  const end = Math.min(range[2] === '' ? size : Number(range[2]) + 1, size)
  if (start >= end) {
    const length = { 'content-range': `bytes */${size}`, 'content-length': '0' }
    return { status: 416, headers: { ...common, ...length }, start: 0, end: 0 }
  }
  const part = { 'content-range': `bytes ${start}-${end - 1}/${size}`, 'content-length': String(end - start) }
  return { status: 206, headers: { ...common, ...part }, start, end }
}

/**
 * Starts an exchange with a file. The listener is never called from inside this call.
 *
 * @param allowed - false for the requests of remote callers, which are refused.
 */
export function localExchange(
  request: ExchangeRequest,
  listener: ExchangeListener,
  allowed: boolean,
): Exchange {
  const exchange = new LocalExchange(listener)
  void Promise.resolve().then(() => exchange.run(request, allowed))
  return exchange
}

class LocalExchange implements Exchange {
  readonly #listener: ExchangeListener
  #over = false
  #paused = false
  #resume: (() => void) | null = null

  constructor(listener: ExchangeListener) {
    this.#listener = listener
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#resume?.()
  }

  abort(): void {
    this.#over = true
    this.#resume?.()
  }

  async run(request: ExchangeRequest, allowed: boolean): Promise<void> {
    try {
      if (this.#isOver()) return
      if (!allowed)
        throw new DownloadError('SSRF_BLOCKED', 'Files of this machine are not for remote callers.')
      await this.#read(request)
      if (!this.#isOver()) this.#listener.onEnd()
    } catch (error) {
      if (!this.#isOver()) this.#listener.onError(localError(error))
    } finally {
      this.#over = true
    }
  }

  async #read({ url, headers, method = 'GET' }: ExchangeRequest): Promise<void> {
    // A FIFO without a writer must not be waited for.
    const file = await open(fileURLToPath(url), constants.O_RDONLY | nonBlocking)
    try {
      const stats = await file.stat({ bigint: true })
      if (!stats.isFile()) throw new DownloadError('TARGET_NOT_REGULAR', 'The source is not a regular file.')
      const answer = localAnswer(headers, Number(stats.size), localEtag(stats))
      if (this.#isOver()) return
      this.#listener.onSent()
      this.#tell(() => this.#listener.onHead({ status: answer.status, headers: answer.headers }))
      if (method === 'HEAD') return
      const buffer = Buffer.allocUnsafe(Math.min(readBytes, Math.max(1, answer.end - answer.start)))
      for (let at = answer.start; at < answer.end && !this.#isOver();) {
        await this.#untilResumed()
        if (this.#isOver()) return
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, answer.end - at), at)
        if (bytesRead === 0) throw changed()
        // Whoever has all bytes no longer waits for the end, so this comes before each of them is handed over.
        if (localEtag(await file.stat({ bigint: true })) !== localEtag(stats)) throw changed()
        at += bytesRead
        if (!this.#isOver()) this.#tell(() => this.#listener.onData(buffer.subarray(0, bytesRead)))
      }
    } finally {
      await file.close()
    }
  }

  /** Asked again after each wait and each call of the listener. */
  #isOver(): boolean {
    return this.#over
  }

  /** A bug of the listener must not look like a failure of the disk. */
  #tell(call: () => void): void {
    const bug = bugIn(call)
    if (bug !== null) throw bug
  }

  async #untilResumed(): Promise<void> {
    while (this.#paused && !this.#isOver()) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve
      })
    }
    this.#resume = null
  }
}

function changed(): DownloadError {
  return new DownloadError('SOURCE_CHANGED', 'The source was changed while it was read.', { retryable: true })
}

/** The error of reading a source, which is none of the disk that is written to. */
function localError(error: unknown): DownloadError {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new DownloadError('NOT_FOUND', 'There is no such file on this machine.', { cause: error })
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new DownloadError('ACCESS_DENIED', 'The file on this machine may not be read.', { cause: error })
  }
  return fsError(error, 'reading the source')
}
