/** Requests to the Xet store: plans, which take a token, and parts of xorbs, whose addresses are signed. */
import { codeOfStatus, DownloadError, isRetryableStatus } from '../../errors.js'
import { parseContentRange } from '../../net/content-range.js'
import { type Exchange, requestHeaders, type ResponseHead } from '../../net/exchange.js'
import type { HttpClient } from '../../net/http.js'
import type { ProxySetting } from '../../net/proxies.js'
import type { OlderVersion } from '../protocol.js'
import { type SharedPart, sharedParts } from './delta.js'
import { OlderFile } from './older-version.js'
import { parsePlan, type Plan, type SignedRange } from './plan.js'
import { ChunkBudget } from './sequence.js'

/** Settings and services that reading a file from the store needs. */
export interface XetInit {
  http: Pick<HttpClient, 'exchange'>
  proxy: ProxySetting
  /** Hash of the file. */
  hash: string
  /** Size of the file in bytes. */
  size: number
  /**
   * Requests the address of the store, with a token in the headers.
   *
   * @param status - why: 401 if the last token has been refused, otherwise 0.
   */
  ask: (status: number) => Promise<XetAccess>
  /** The version on disk that the file is to replace, to copy from it what both share; null for none. */
  older: OlderVersion | null
  log: (message: string) => void
}

/** Where the store is, and the token in the headers that it is asked with. */
export interface XetAccess {
  url: string
  headers: Readonly<Record<string, string>>
}

/** A response that the reader of the file has to judge: the store or its edge asks to wait, or fails. */
export class UpstreamAnswer extends Error {
  readonly head: ResponseHead

  constructor(head: ResponseHead) {
    super(`HTTP ${head.status}`)
    this.head = head
  }
}

/** The link of a range is refused, although it may only have expired. */
export class LinkRefused extends Error {
  /** The host that refuses it. */
  readonly host: string
  /** The first line of the answer. */
  readonly line: string

  constructor(host: string, line: string) {
    super('HTTP 403')
    this.host = host
    this.line = line
  }
}

/** Receives a range of a xorb. */
export interface RangeListener {
  onHead(): void
  onData(chunk: Buffer): void
  onEnd(): void
  onError(error: Error): void
}

/** A request of which only the whole answer is of use. Called with what aborts it. */
type Abortable = (abort: () => void) => void

/** Chunks that are needed again are kept up to this size, for all connections together. */
const keptBytes = 32 * 1024 * 1024

/** A plan for 32 MiB of chunks of 8 KiB, each from another xorb, is smaller. */
const maxPlanText = 8 * 1024 * 1024

/** How much of a refusal is read, in bytes. */
const maxRefusalBytes = 4 * 1024

const maxLineLength = 200

/** One file in the store. */
export class XetStore {
  readonly #init: XetInit
  readonly budget = new ChunkBudget(keptBytes)
  /** Why nothing can be read any more. */
  failure: DownloadError | null = null
  #access: Promise<XetAccess> | null = null
  #version: 'v1' | 'v2' = 'v2'
  #older: OlderFile | null = null
  #shared: Promise<readonly SharedPart[]> | null = null
  readonly #comparing: (() => void)[] = []

  constructor(init: XetInit) {
    this.#init = init
  }

  get size(): number {
    return this.#init.size
  }

  get etag(): string {
    return `"xet-${this.#init.hash}"`
  }

  log(message: string): void {
    this.#init.log(message)
  }

  /**
   * Requests the plan for a range of the file.
   *
   * @throws UpstreamAnswer if asking again later may help; DownloadError in all other cases.
   */
  plan(start: number, length: number, onSent: () => void, abortable: Abortable): Promise<Plan> {
    return this.#plan(this.#init.hash, { start, length }, onSent, abortable)
  }

  /**
   * What the file shares with its older version. Which of them it is, one request asks for all.
   *
   * @throws see {@link XetStore.plan}.
   */
  shared(onSent: () => void): Promise<readonly SharedPart[]> {
    this.#shared ??= this.#compare(onSent)
    return this.#shared
  }

  /** Reads bytes of the older version; null if that is not possible, so that nothing more is taken from it. */
  async copy(position: number, length: number): Promise<Buffer | null> {
    const bytes = (await this.#older?.read(position, length)) ?? null
    if (bytes === null) this.#shared = Promise.resolve([])
    return bytes
  }

  /** Bytes that have been copied from the older version. */
  get copiedBytes(): number {
    return this.#older?.readBytes ?? 0
  }

  /** Closes the older version. Never rejects. */
  async close(): Promise<void> {
    for (const abort of this.#comparing) abort()
    await this.#older?.close()
  }

  async #compare(onSent: () => void): Promise<readonly SharedPart[]> {
    const { older: version, hash, size } = this.#init
    const older = version === null ? null : await OlderFile.open(version)
    if (older === null) return []
    this.#older = older
    const abortable: Abortable = (abort) => this.#comparing.push(abort)
    try {
      const [old, fresh] = await Promise.all([
        this.#plan(older.hash, { start: 0, length: older.size }, onSent, abortable),
        this.#plan(hash, { start: 0, length: size }, onSent, abortable),
      ])
      return sharedParts(old.terms, fresh.terms)
    } catch {
      // Without it, everything is fetched.
      return []
    }
  }

  async #plan(
    hash: string,
    { start, length }: { start: number; length: number },
    onSent: () => void,
    abortable: Abortable,
  ): Promise<Plan> {
    let isFresh = false
    for (;;) {
      const access = await this.#accessOf()
      const version = this.#version
      const url = planUrl(access.url, version, hash)
      const range = { range: `bytes=${start}-${start + length - 1}` }
      const { head, text } = await this.#collect(
        url,
        requestHeaders(access.headers, range),
        onSent,
        abortable,
      )
      if (head.status === 200) return parsePlan(json(text), length, url.protocol === 'https:')
      if (head.status === 401 && !isFresh) {
        isFresh = true
        await this.#renew(access)
      } else if (version === 'v2' && (head.status === 404 || head.status === 501)) {
        this.#version = 'v1'
      } else throw refusalOf(head, url.host, 'the plan of the file')
    }
  }

  /** Requests a part of a xorb. */
  read({ url: link, bytes: { first, last } }: SignedRange, listener: RangeListener): Exchange {
    const url = new URL(link)
    let refusal: { head: ResponseHead; text: Buffer[]; bytes: number } | null = null
    const end = () => {
      if (refusal === null) {
        listener.onEnd()
        return
      }
      exchange.abort()
      const { head, text } = refusal
      const isLink = head.status === 403
      const error = isLink
        ? new LinkRefused(url.host, firstLine(Buffer.concat(text)))
        : refusalOf(head, url.host, 'data')
      listener.onError(error)
    }
    const exchange = this.#init.http.exchange(
      {
        url,
        headers: requestHeaders({}, { range: `bytes=${first}-${last}` }),
        proxy: this.#init.proxy,
      },
      {
        onSent: () => undefined,
        onHead: (head) => {
          if (isRange(head, first, last)) listener.onHead()
          else if (head.status < 400) {
            exchange.abort()
            listener.onError(protocol(`${url.host} did not send the part of a xorb that was asked for`))
          } else refusal = { head, text: [], bytes: 0 }
        },
        onData: (chunk) => {
          if (refusal === null) {
            listener.onData(chunk)
            return
          }
          refusal.text.push(Buffer.from(chunk))
          refusal.bytes += chunk.length
          if (refusal.bytes >= maxRefusalBytes) end()
        },
        onEnd: end,
        onError: (error) => {
          // The status says more than the end of the connection.
          if (refusal === null) listener.onError(error)
          else end()
        },
      },
    )
    return exchange
  }

  #accessOf(): Promise<XetAccess> {
    this.#access ??= this.#ask(0)
    return this.#access
  }

  /** Requests another token, unless another connection has already done so. */
  async #renew(refused: XetAccess): Promise<void> {
    const current = this.#access
    if (current === null || (await current) !== refused) return
    if (this.#access === current) this.#access = this.#ask(401)
  }

  #ask(status: number): Promise<XetAccess> {
    const asked = this.#init.ask(status)
    asked.catch(() => {
      if (this.#access === asked) this.#access = null
    })
    return asked
  }

  #collect(
    url: URL,
    headers: Record<string, string>,
    onSent: () => void,
    abortable: Abortable,
  ): Promise<{ head: ResponseHead; text: string }> {
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = []
      let head: ResponseHead | null = null
      let bytes = 0
      const end = () => {
        if (head === null) reject(protocol(`${url.host} did not answer`))
        else resolve({ head, text: Buffer.concat(parts).toString('utf8') })
      }
      const exchange = this.#init.http.exchange(
        { url, headers, proxy: this.#init.proxy },
        {
          onSent,
          onHead: (received) => {
            head = received
          },
          onData: (chunk) => {
            parts.push(Buffer.from(chunk))
            bytes += chunk.length
            if (bytes <= maxPlanText) return
            exchange.abort()
            reject(protocol('The plan that the Xet store sent is too long'))
          },
          onEnd: end,
          onError: (error) => {
            reject(error)
          },
        },
      )
      abortable(() => {
        exchange.abort()
        reject(new DownloadError('CANCELED', 'The request was canceled.'))
      })
    })
  }
}

function planUrl(store: string, version: 'v1' | 'v2', hash: string): URL {
  return new URL(`${store.replace(/\/+$/, '')}/${version}/reconstructions/${hash}`)
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw protocol('The plan that the Xet store sent is not JSON')
  }
}

/** Whether a response is exactly the part that was asked for. */
function isRange({ status, headers }: ResponseHead, first: number, last: number): boolean {
  if (status !== 206) return false
  const range = parseContentRange(headers['content-range'])
  return range !== null && range.start === first && range.end === last + 1
}

/** What follows from a status that is not a success. */
function refusalOf(head: ResponseHead, host: string, what: string): Error {
  const { status } = head
  if (isRetryableStatus(status)) return new UpstreamAnswer(head)
  if (status < 400) return protocol(`${host} answered with HTTP ${status} instead of ${what}`)
  return new DownloadError(codeOfStatus(status), `${host} refuses ${what} (HTTP ${status}).`, { status })
}

function firstLine(text: Buffer): string {
  const [line = ''] = text
    .toString('utf8')
    .trim()
    .split(/[\r\n]/, 1)
  return line.replace(/[^\P{C}]/gu, ' ').slice(0, maxLineLength)
}

function protocol(message: string): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', `${message}.`, { retryable: true })
}
