/** A simulated HTTP/1.1 server of one address of one file, as its grammar has it. */
import type { Random } from './random.js'
import type { SimRequest, SimServer, Step } from './network.js'
import type { RequestFault, ServerSpec } from './spec.js'

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
}

const lastModified = ['Wed, 01 Jan 2025 00:00:00 GMT', 'Thu, 02 Jan 2025 00:00:00 GMT']

export class FileServer implements SimServer {
  readonly address: string
  readonly #host: string
  readonly #spec: ServerSpec
  readonly #world: ServerHost
  readonly #random: Random
  readonly #redirectTo: string | null
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
  }) {
    this.#host = init.host
    this.address = init.address
    this.#spec = init.spec
    this.#world = init.world
    this.#random = init.random
    this.#redirectTo = init.redirectTo
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
    const redirect = isCalm ? null : this.#redirect(request)
    if (redirect !== null) return redirect
    this.#served++
    const fault = isCalm ? undefined : this.#faultOf(this.#requests)
    switch (fault?.kind) {
      case 'status':
        return this.#status(fault.status, fault.retryAfterSeconds)
      case 'words':
        return this.#words(request, fault.type)
      case 'garbage':
        return [send('HTTP/1.1 banana\r\n\r\n'), { kind: 'end', how: 'fin' }]
      case 'trickle':
        return this.#serve(request).flatMap((step) => trickled(step, fault.bytesPerSecond))
      case 'encoded':
        return this.#serve(request, { 'content-encoding': fault.as })
      case 'hang-up':
        return [
          ...this.#serve(request).filter(({ kind }) => kind !== 'done'),
          { kind: 'end', how: fault.how },
        ]
      default:
        return this.#cut(this.#serve(request), fault?.kind === 'cut' ? fault : null)
    }
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
    return [send(head(status, { location, 'content-length': '0' })), { kind: 'done' }]
  }

  #status(status: number, retryAfterSeconds: number | null): Step[] {
    const headers: Record<string, string> = { 'content-length': '4' }
    if (retryAfterSeconds !== null) headers['retry-after'] = String(retryAfterSeconds)
    return [send(head(status, headers)), send('oops'), { kind: 'done' }]
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
      ...extra,
      'accept-ranges': 'bytes',
    }
    const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get('range') ?? '')
    const start = Number(asked?.[1] ?? 0)
    if (ranges === 'refused-for-others' && this.#busy > 1) return this.#status(this.#spec.refusal, null)
    if (ranges === 'refused' && asked !== null) return this.#status(refusalOfRanges(this.#spec.refusal), null)
    if (ranges === 'bounded-only' && (asked?.[2] ?? '') === '') return this.#status(400, null)
    const ifRange = request.headers.get('if-range')
    const isSame = ifRange === undefined || Object.values(headers).includes(ifRange)
    const isIgnored = ranges === 'ignored' || (ranges === 'ignored-at-resume' && start > 0)
    if (asked === null || isIgnored || !isSame) return this.#body(200, headers, content)
    if (start >= content.length) {
      headers['content-range'] = `bytes */${content.length}`
      return [send(head(416, { ...headers, 'content-length': '0' })), { kind: 'done' }]
    }
    const end = Math.min(content.length, asked[2] === '' ? content.length : Number(asked[2]) + 1)
    const bytes = content.subarray(start, end)
    const label = `bytes ${start}-${end - 1}/${content.length}`
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
    const { length, keepAlive } = this.#world.isCalm ? calm : this.#spec
    this.sentBytes += bytes.length
    const last: Step = { kind: 'wait', ms: 0 }
    if (length === 'chunked') {
      return [
        send(head(status, { ...headers, 'transfer-encoding': 'chunked' })),
        send(`${bytes.length.toString(16)}\r\n`),
        { kind: 'send', bytes },
        send('\r\n0\r\n\r\n'),
        last,
        { kind: 'done' },
      ]
    }
    if (length === 'until-close' && status === 200)
      return [
        send(head(status, { ...headers, connection: 'close' })),
        { kind: 'send', bytes },
        last,
        { kind: 'end', how: 'fin' },
      ]
    const close = keepAlive ? {} : { connection: 'close' }
    return [
      send(head(status, { ...headers, ...close, 'content-length': String(bytes.length) })),
      { kind: 'send', bytes },
      last,
      keepAlive ? { kind: 'done' } : { kind: 'end', how: 'fin' },
    ]
  }

  /** Ends a response early. */
  #cut(steps: Step[], fault: (RequestFault & { kind: 'cut' }) | null): Step[] {
    if (fault === null) return steps
    const total = steps.reduce((sum, step) => sum + (step.kind === 'send' ? step.bytes.length : 0), 0)
    let left = Math.floor((total * fault.percent) / 100)
    const kept: Step[] = []
    for (const step of steps) {
      if (step.kind !== 'send') continue
      kept.push({ kind: 'send', bytes: step.bytes.subarray(0, left) })
      left -= Math.min(left, step.bytes.length)
      if (left === 0) break
    }
    return [
      ...kept.filter((step) => step.kind === 'send' && step.bytes.length > 0),
      { kind: 'end', how: fault.how },
    ]
  }

  released(): void {
    this.#busy--
  }
}

/** Statuses that say something else than that a range is refused are no answer to one. */
function refusalOfRanges(status: number): number {
  return [401, 402, 410, 429].includes(status) ? 403 : status
}

const calm = { length: 'told', keepAlive: true } as const

/** So many seconds of a slow body are more than any client waits for. */
const maxTrickleSteps = 60

function trickled(step: Step, bytesPerSecond: number): Step[] {
  if (step.kind !== 'send' || step.bytes.length < 200) return [step]
  const steps: Step[] = []
  for (let at = 0; at < step.bytes.length; at += bytesPerSecond) {
    if (steps.length > 2 * maxTrickleSteps) return [...steps, { kind: 'end', how: 'silence' }]
    steps.push(
      { kind: 'send', bytes: step.bytes.subarray(at, at + bytesPerSecond) },
      { kind: 'wait', ms: 1_000 },
    )
  }
  return steps
}

function send(text: string): Step {
  return { kind: 'send', bytes: Buffer.from(text, 'latin1') }
}

function head(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} Simulated\r\n${lines.join('')}\r\n`
}
