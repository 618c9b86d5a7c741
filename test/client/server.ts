/** A server for tests of the client that answers as it is told, on a port that it keeps over restarts. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach } from 'vitest'
import type { WireDownload } from '../../src/http/schemas.js'
import { listenOn, listenOnOwnPort } from '../support/ports.js'

export type Answer = (req: IncomingMessage, res: ServerResponse, asked: Asked) => void

/** A received request. */
export interface Asked {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: string
  /** Number of requests to this path, including this one. */
  count: number
  /** Whether the answer's connection has closed. */
  closed: boolean
  at: number
}

const servers: ScriptedServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
})

/** A server that runs until the end of the test. */
export async function startServer(answers: Record<string, Answer>): Promise<ScriptedServer> {
  const server = new ScriptedServer(answers)
  servers.push(server)
  await server.start()
  return server
}

export class ScriptedServer {
  readonly asked: Asked[] = []
  #server: Server | null = null
  #port = 0

  /** @param answers - by path, without query; other paths get 404. */
  constructor(readonly answers: Record<string, Answer>) {}

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  to(path: string): Asked[] {
    return this.asked.filter((asked) => asked.path === path)
  }

  async start(): Promise<void> {
    const server = createServer((req, res) => void this.#answer(req, res))
    this.#server = server
    if (this.#port === 0) this.#port = await listenOnOwnPort(server)
    else await listenOn(server, this.#port)
  }

  /** Ends it like a kill: all connections break. */
  async stop(): Promise<void> {
    const server = this.#server
    if (server === null) return
    this.#server = null
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', this.url)
    let body = ''
    for await (const chunk of req.setEncoding('utf8')) body += String(chunk)
    const asked: Asked = {
      method: req.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: req.headers,
      body,
      count: this.to(url.pathname).length + 1,
      closed: false,
      at: performance.now(),
    }
    this.asked.push(asked)
    res.on('close', () => {
      asked.closed = true
    })
    const answer = this.answers[url.pathname]
    if (answer === undefined) json({ success: false, detail: 'Not here.' }, 404)(req, res, asked)
    else answer(req, res, asked)
  }
}

export const paths = {
  download: '/api/models/download',
  status: '/api/models/download/status',
  events: '/api/models/download/events',
  models: '/api/v1/models/status',
  preload: '/api/v1/models/preload/status',
  preloadEvents: '/api/v1/models/preload/events',
} as const

export const modelUrl = 'https://example.com/model.gguf'

/** A download on the wire. */
export function wire(more: Partial<WireDownload> = {}): WireDownload {
  return {
    url: modelUrl,
    filename: 'model.gguf',
    mode: 'llm',
    status: 'downloading',
    downloaded: 0,
    total: 1000,
    progress: 0,
    error: null,
    state: 'downloading',
    code: null,
    bytes_per_second: 0,
    eta_seconds: null,
    connections: 1,
    sha256: null,
    verified: false,
    verification: null,
    created_at: '2026-01-01T00:00:00.000Z',
    started_at: null,
    finished_at: null,
    file_count: null,
    files_completed: null,
    files: null,
    ...more,
  }
}

export const at = (progress: number) => wire({ progress, downloaded: progress * 10 })
export const completed = wire({ progress: 100, downloaded: 1000, state: 'completed', status: 'completed' })

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (_, res) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }
}

export const statusOf = (download: WireDownload) => json({ success: true, download })

export function text(body: string, status = 200, type = 'text/html'): Answer {
  return (_, res) => {
    res.writeHead(status, { 'content-type': type }).end(body)
  }
}

/** The text of an event. */
export function event(name: string, data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

/** A stream of events that begins with these pieces, each in a write of its own, and stays open; `end`: ends. */
export function stream(pieces: readonly string[], end?: 'end' | 'reset'): Answer {
  return (_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    res.write(`retry: 10\n\n${pieces.join('')}`, () => {
      if (end === 'end') res.end()
      if (end === 'reset') res.destroy()
    })
  }
}

/** One answer after the other; the last one stays. */
export function inTurn(...answers: Answer[]): Answer {
  return (req, res, asked) => {
    answers[Math.min(asked.count, answers.length) - 1]?.(req, res, asked)
  }
}

/** No answer at all. */
export const silence: Answer = () => undefined
