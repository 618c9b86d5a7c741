/** A simulated HTTP/1.1 server of one address of one file, as its grammar has it. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import type { Random } from './random.js'
import type { SimRequest, SimServer, Step } from './network.js'
import { chunks, faultySteps, head, send, statusSteps } from './steps.js'
import { framingOf, isReal, type RequestFault, type ServerSpec } from './spec.js'

/** A version of a file that has been served. */
export interface Version {
  readonly number: number
  readonly content: Buffer
}

/** Words that a gate sends in place of a file. */
export const words: Readonly<Record<string, Buffer>> = {
  'application/json': Buffer.from('{"error":"rate limit exceeded, try again later"}'),
  'text/plain': Buffer.from('Too many requests. Please slow down.'),
  'text/html': Buffer.from('<!doctype html><title>Sign in</title><h1>Sign in to continue</h1>'),
}

/** What the server needs to know of its world. */
export interface ServerHost {
  /** The content of a version. */
  version(number: number): Version
  /** From now on everything works. */
  readonly isCalm: boolean
  /** A body without a range was sent that is not the file: with nothing known of the file, it is taken for it. */
  serveAlien(content: Buffer): void
  /** Whether a request may have the file, which takes a token where a hub gives them. */
  admits(request: SimRequest): boolean
  /** Says which promise was broken. */
  violate(sentence: string): void
}

const lastModified = ['Wed, 01 Jan 2025 00:00:00 GMT', 'Thu, 02 Jan 2025 00:00:00 GMT']

export class FileServer implements SimServer {
  readonly address: string
  readonly #host: string
  readonly #spec: ServerSpec
  readonly #world: ServerHost
  readonly #random: Random
  readonly #redirectTo: string | null
  readonly #disposition: string | null
  readonly #encoded = new Map<number, Buffer>()
  #requests = 0
  #busy = 0
  /** Requests for the file itself. */
  #served = 0

  constructor(init: {
    host: string
    address: string
    spec: ServerSpec
    world: ServerHost
    random: Random
    redirectTo: string | null
    disposition: string | null
  }) {
    this.#host = init.host
    this.address = init.address
    this.#spec = init.spec
    this.#world = init.world
    this.#random = init.random
    this.#redirectTo = init.redirectTo
    this.#disposition = init.disposition
  }

  /** Bytes of the file that were sent, or begun to be sent. */
  sentBytes = 0

  accept(number: number): 'open' | 'refuse' {
    const isRefused = !this.#world.isCalm && this.#faultOf(number)?.kind === 'refused'
    return isRefused ? 'refuse' : 'open'
  }

  #faultOf(request: number): RequestFault | undefined {
    return this.#spec.faults.find((each) => each.request === request)?.fault
  }

  respond(request: SimRequest): readonly Step[] {
    this.#requests++
    this.#busy++
    const { isCalm } = this.#world
    this.#checkCookie(request)
    if (!this.#world.admits(request)) return statusSteps(401, null)
    const redirect = isCalm ? null : this.#redirect(request)
    if (redirect !== null) return redirect
    if (!isCalm && this.#demandsCookie && !request.headers.has('cookie')) return statusSteps(403, null)
    this.#served++
    const { headMs = 0 } = this.#spec
    return isCalm || headMs === 0
      ? this.#answer(request)
      : [{ kind: 'wait', ms: headMs }, ...this.#answer(request)]
  }

  get #demandsCookie(): boolean {
    return this.#spec.cookie === true && this.#spec.redirect === 'relative'
  }

  /** A cookie is for the rest of the chain of redirects that has set it, and for the host that has. */
  #checkCookie({ host, path, headers }: SimRequest): void {
    const cookie = headers.get('cookie')
    if (cookie === undefined) return
    if (host !== this.#host) this.#world.violate(`a cookie of ${this.#host} was sent to ${host}`)
    if (!path.startsWith('/moved') && this.#spec.redirect !== 'loop')
      this.#world.violate(`a cookie outlives its chain of redirects: ${cookie}`)
  }

  #answer(request: SimRequest): readonly Step[] {
    const { isCalm } = this.#world
    const fault = isCalm ? undefined : this.#faultOf(this.#requests)
    switch (fault?.kind) {
      case 'words':
        return this.#words(request, fault.type)
      case 'encoded':
        return this.#serve(request, { 'content-encoding': fault.as })
      default: {
        const steps = faultySteps(this.#serve(request), fault)
        if (fault?.kind === 'cut' && fault.how === 'fin') this.#cutShort(request, steps)
        return steps
      }
    }
  }

  /**
   * Without a length, and where no range could show more, a body that was cut is a whole one to anybody who knows nothing
   * of the file (RFC 9112 section 6.3).
   */
  #cutShort({ headers }: SimRequest, steps: readonly Step[]): void {
    const { ranges } = this.#spec
    if (framingOf(this.#spec) !== 'until-close' || servesRanges(ranges) || headers.has('range')) return
    const sent = Buffer.concat(steps.map((step) => (step.kind === 'send' ? step.bytes : Buffer.alloc(0))))
    const end = sent.indexOf('\r\n\r\n')
    if (end !== -1) this.#world.serveAlien(sent.subarray(end + 4))
  }

  #redirect(request: SimRequest): Step[] | null {
    const { redirect } = this.#spec
    const location =
      redirect === 'loop'
        ? `http://${this.#host}${request.path}`
        : redirect === 'none' || request.path.startsWith('/moved/')
          ? null
          : redirect === 'relative'
            ? `/moved${request.path}`
            : `http://${this.#redirectTo ?? ''}/moved${request.path}`
    if (location === null) return null
    const status = [301, 302, 303, 307, 308][this.#random.below(5)] ?? 302
    const cookie = this.#spec.cookie === true ? { 'set-cookie': 'gate=passed; Path=/' } : {}
    return [send(head(status, { location, ...cookie, 'content-length': '0' })), { kind: 'done' }]
  }

  #words(request: SimRequest, type: string): Step[] {
    const content = words[type] ?? Buffer.alloc(0)
    if (!/^bytes=[1-9]/.test(request.headers.get('range') ?? '')) this.#world.serveAlien(content)
    return [
      send(head(200, { 'content-type': type, 'content-length': String(content.length) })),
      { kind: 'send', bytes: content },
      { kind: 'done' },
    ]
  }

  /** The file, or the range of it that was asked for. */
  #serve(request: SimRequest, extra: Record<string, string> = {}): Step[] {
    const { isCalm } = this.#world
    const { changesAt, ranges: traits } = this.#spec
    const ranges = isCalm ? 'served' : traits
    const version = this.#world.version(changesAt !== null && (isCalm || this.#served >= changesAt) ? 2 : 1)
    const { content } = version
    const headers: Record<string, string> = {
      ...this.#validators(version),
      ...(this.#disposition === null ? {} : { 'content-disposition': this.#disposition }),
      ...extra,
      'accept-ranges': 'bytes',
    }
    const coding = isCalm ? 'none' : (this.#spec.coding ?? 'none')
    if (coding !== 'none') headers['content-encoding'] = coding === 'wrong' ? 'gzip' : coding
    if (isReal(coding)) return this.#body(200, headers, this.#encode(version, coding))
    const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get('range') ?? '')
    const start = Number(asked?.[1] ?? 0)
    if (ranges === 'refused-for-others' && this.#busy > 1) return statusSteps(this.#spec.refusal, null)
    if (ranges === 'refused' && asked !== null) return statusSteps(refusalOfRanges(this.#spec.refusal), null)
    if (ranges === 'bounded-only' && (asked?.[2] ?? '') === '') return statusSteps(400, null)
    const ifRange = request.headers.get('if-range')
    const isSame = ifRange === undefined || Object.values(headers).includes(ifRange)
    const isIgnored = ranges === 'ignored' || (ranges === 'ignored-at-resume' && start > 0)
    if (asked === null || isIgnored || !isSame) return this.#body(200, headers, content)
    if (start >= content.length) {
      if (this.#label !== 'nothing-at-416') headers['content-range'] = `bytes */${content.length}`
      return [send(this.#head(416, { ...headers, 'content-length': '0' })), { kind: 'done' }]
    }
    const end = Math.min(content.length, asked[2] === '' ? content.length : Number(asked[2]) + 1)
    const bytes = content.subarray(start, end)
    const label = labelOf(this.#label, start, end, content.length)
    if (ranges === 'multipart') {
      const multipart = `--x\r\nContent-Range: ${label}\r\n\r\n`
      headers['content-type'] = 'multipart/byteranges; boundary=x'
      return this.#body(
        206,
        headers,
        Buffer.concat([Buffer.from(multipart), bytes, Buffer.from('\r\n--x--')]),
      )
    }
    if (ranges === 'mislabelled') headers['content-range'] = `bytes ${start + 1}-${end}/${content.length + 1}`
    else if (ranges !== 'unlabelled') headers['content-range'] = label
    return this.#body(206, headers, bytes)
  }

  get #wire(): ServerSpec['wire'] {
    return this.#world.isCalm ? 'usual' : this.#spec.wire
  }

  get #label(): ServerSpec['label'] {
    return this.#world.isCalm ? 'usual' : this.#spec.label
  }

  #head(status: number, headers: Record<string, string>): string {
    return head(status, headers, this.#wire)
  }

  #encode({ number, content }: Version, coding: string): Buffer {
    const known = this.#encoded.get(number)
    if (known !== undefined) return known
    const encode = coding === 'br' ? brotliCompressSync : coding === 'gzip' ? gzipSync : deflateSync
    const encoded = encode(content)
    this.#encoded.set(number, encoded)
    return encoded
  }

  #validators({ number }: Version): Record<string, string> {
    const kind = this.#world.isCalm ? 'strong' : this.#spec.validator
    const etag = `"v${number}"`
    switch (kind) {
      case 'strong':
        return { etag }
      case 'weak':
        return { etag: `W/${etag}` }
      case 'date':
        return { 'last-modified': lastModified[number - 1] ?? '', date: 'Thu, 01 Jan 2026 00:00:00 GMT' }
      case 'per-request':
        return { etag: `"${this.#random.below(1_000_000)}"` }
      case 'per-node':
        return { etag: `"v${number} of node ${this.#random.below(2)}"` }
      case 'none':
        return {}
    }
  }

  #body(status: number, headers: Record<string, string>, bytes: Buffer): Step[] {
    const told = this.#world.isCalm ? calm : this.#spec
    const isOld = this.#wire === 'http-1.0'
    const length = this.#world.isCalm ? told.length : framingOf(this.#spec)
    // Without saying so, no connection of HTTP/1.0 is kept.
    const keepAlive = told.keepAlive && !isOld
    this.sentBytes += bytes.length
    const last: Step = { kind: 'wait', ms: 0 }
    if (length === 'chunked') {
      return [
        send(this.#head(status, { ...headers, 'transfer-encoding': 'chunked' })),
        ...chunks(bytes, this.#wire),
        last,
        { kind: 'done' },
      ]
    }
    if (length === 'until-close' && status === 200)
      return [
        send(this.#head(status, { ...headers, connection: 'close' })),
        { kind: 'send', bytes },
        last,
        { kind: 'end', how: 'fin' },
      ]
    const close = keepAlive ? {} : { connection: 'close' }
    return [
      send(this.#head(status, { ...headers, ...close, 'content-length': String(bytes.length) })),
      { kind: 'send', bytes },
      last,
      keepAlive ? { kind: 'done' } : { kind: 'end', how: 'fin' },
    ]
  }

  released(): void {
    this.#busy--
  }
}

/** The Content-Range of the bytes from `start` to before `end`. */
function labelOf(label: ServerSpec['label'], start: number, end: number, total: number): string {
  const range = `${start}-${end - 1}`
  switch (label) {
    case 'no-total':
      return `bytes ${range}/*`
    case 'equals':
      return `bytes=${range}/${total}`
    case 'no-unit':
      return `${range}/${total}`
    case 'spaces':
      return `Bytes  ${start} - ${end - 1} / ${total}`
    case 'larger-total':
      return `bytes ${range}/${total + 1}`
    default:
      return `bytes ${range}/${total}`
  }
}

/** Whether there is any request for a range to which a server sends what was asked for. */
function servesRanges(ranges: ServerSpec['ranges']): boolean {
  return !['refused', 'multipart', 'unlabelled', 'mislabelled'].includes(ranges)
}

/** Statuses that say something else than that a range is refused are no answer to one. */
function refusalOfRanges(status: number): number {
  return [401, 402, 410, 429].includes(status) ? 403 : status
}

const calm = { length: 'told', keepAlive: true } as const
