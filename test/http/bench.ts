/**
 * What tests of the handler share: a manager over a folder, an origin, and requests without sockets in
 * between.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import { SseParser, type SseEvent } from '../../src/client/events.js'
import {
  createHandler,
  type Handler,
  type HandlerOptions,
  type RequestContext,
} from '../../src/http/handler.js'
import type { WireDownload } from '../../src/http/schemas.js'
import type { DownloadManager, DownloadManagerOptions } from '../../src/index.js'
import { makeManager } from '../faults/harness.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

/** Where requests seem to come from: this machine. */
export const local: RequestContext = { remoteAddress: '127.0.0.1' }
export const base = 'http://localhost:8050'

/** What is sent besides method and path. */
export interface Sent {
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it is. */
  text?: string | Uint8Array | ReadableStream<Uint8Array>
  headers?: Record<string, string>
  context?: RequestContext
  signal?: AbortSignal
}

/** A JSON object; tests look at what it holds with matchers. */
export type Json = Record<string, unknown>

/** An answer that was read. */
export interface Answer {
  status: number
  headers: Headers
  body: Json
}

/** A request as it would come over the network. */
export function requestOf(
  method: string,
  path: string,
  { json, text, headers = {}, signal }: Sent = {},
): Request {
  const body = json === undefined ? text : JSON.stringify(json)
  const type = json === undefined ? {} : { 'Content-Type': 'application/json' }
  return new Request(base + path, {
    method,
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { body, duplex: 'half' as const }),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** Asks a handler, and reads the answer. */
export async function ask(handler: Handler, method: string, path: string, sent: Sent = {}): Promise<Answer> {
  const response = await withTimeout(
    handler(requestOf(method, path, sent), sent.context ?? local),
    5_000,
    path,
  )
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? {} : parse(text) }
}

function parse(text: string): Json {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('The answer is no JSON object.')
  // Any object that was parsed from JSON is one of strings to values.
  return value as Json
}

/** The problem that a request is answered with; checks what all problems have in common. */
export async function problem(
  handler: Handler,
  status: number,
  code: string,
  ...[method, path, sent]: [string, string, Sent?]
): Promise<Answer> {
  const answer = await ask(handler, method, path, sent)
  const { body } = answer
  expect(body, `${method} ${path}`).toMatchObject({ success: false, type: 'about:blank', status, code })
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
  expect(body['detail']).toBe(body['error'])
  expect(body['detail']).toMatch(/\S/)
  expect(body['title']).toMatch(/\S/)
  expect(JSON.stringify(body)).not.toMatch(/ {4}at |\.ts:|\/tmp\//)
  return answer
}

/** The query that names a download. */
export function byUrl(url: string): string {
  return `?url=${encodeURIComponent(url)}`
}

/** A handler over a manager, its folder, and an origin; all gone with `await using`. */
export interface HttpBench extends AsyncDisposable {
  readonly manager: DownloadManager
  readonly directory: string
  readonly origin: Origin
  readonly handler: Handler
  /** Asks the handler. */
  ask: (method: string, path: string, sent?: Sent) => Promise<Answer>
  /** See {@link problem}. */
  problem: (status: number, code: string, method: string, path: string, sent?: Sent) => Promise<Answer>
  /** Starts a download. */
  post: (json: object) => Promise<Answer>
  /** The download of a URL, from the status. */
  status: (url: string) => Promise<WireDownload>
  /** The status once it has a state. */
  until: (url: string, state: WireDownload['state']) => Promise<WireDownload>
}

/** Asks until the answer is as wanted, and returns it. */
export async function untilHas<T extends object>(
  look: () => Promise<T>,
  isWanted: (value: T) => boolean,
  what: string,
): Promise<T> {
  const found = await waitFor(
    async () => {
      const value = await look()
      return isWanted(value) ? value : null
    },
    { what },
  )
  if (found === null) throw new Error(`Nothing: ${what}`)
  return found
}

/** Starts an {@link HttpBench}. The handler may reach the origin, though it is on loopback. */
export async function startHttp(
  options: Partial<HandlerOptions> & { of?: DownloadManagerOptions } = {},
): Promise<HttpBench> {
  const { of = {}, ...handlerOptions } = options
  const origin = await startOrigin()
  const directory = join(tempDir('http'), 'models')
  const manager = makeManager(directory, { defaultMode: 'llm', ...of })
  const handler = createHandler({ manager, allowedHosts: [`127.0.0.1:${origin.port}`], ...handlerOptions })
  const status = async (url: string) => {
    const { body } = await ask(handler, 'GET', `/api/models/download/status${byUrl(url)}`)
    // What it holds is for the tests to look at; `responses.test.ts` holds it against the schema.
    return body['download'] as WireDownload
  }
  return {
    manager,
    directory,
    origin,
    handler,
    ask: (...request) => ask(handler, ...request),
    problem: (...request) => problem(handler, ...request),
    post: (json) => ask(handler, 'POST', '/api/models/download', { json }),
    status,
    until: (url, state) =>
      untilHas(
        () => status(url),
        (download) => download.state === state,
        `it to be ${state}`,
      ),
    async [Symbol.asyncDispose]() {
      handler.close()
      await withTimeout(manager.close(), 5_000, 'the manager to close')
      await origin.close()
    },
  }
}

/** A stream of events that is being read. */
export class EventReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #parser = new SseParser()
  readonly #events: (SseEvent & { id: string })[] = []
  #text = ''

  constructor(readonly response: Response) {
    // The chunks of a body are bytes; Node's types don't say so.
    this.#reader = (response.body as ReadableStream<Uint8Array>).getReader()
  }

  /** All that came so far, as it stood on the wire. */
  get text(): string {
    return this.#text
  }

  /** The `retry` field. */
  get retryMs(): number | null {
    return this.#parser.retryMs
  }

  /** Reads one chunk; false at the end. */
  async read(): Promise<boolean> {
    const { done, value } = await withTimeout(this.#reader.read(), 5_000, 'an event')
    if (done) return false
    this.#text += new TextDecoder().decode(value)
    for (const event of this.#parser.push(value)) {
      this.#events.push({ ...event, id: this.#parser.lastEventId })
    }
    return true
  }

  /** The next event of that name; others before it are dropped. */
  async next(name?: string): Promise<{ event: string; id: string; data: Json }> {
    for (;;) {
      const found = this.#events.shift()
      if (found === undefined) {
        if (!(await this.read())) throw new Error('The stream has ended.')
      } else if (name === undefined || found.event === name) {
        return { ...found, data: parse(found.data) }
      }
    }
  }

  /** Stops reading permanently, like a client that disconnects. */
  async leave(): Promise<void> {
    await this.#reader.cancel()
  }
}

/** Opens a stream of events. */
export async function openEvents(handler: Handler, path: string, sent: Sent = {}): Promise<EventReader> {
  const response = await handler(requestOf('GET', path, sent), sent.context ?? local)
  expect(response.status, path).toBe(200)
  return new EventReader(response)
}
