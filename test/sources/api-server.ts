/** Small servers that imitate a hub's API, and a way to ask a source against them. Needs vitest. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { afterAll } from 'vitest'
import { isDownloadError, type DownloadError } from '../../src/errors.js'
import { Resolver, type ResolveRequest } from '../../src/sources/resolver.js'
import { SourceRegistry, type ResolvedFile, type Source } from '../../src/sources/source.js'
import { defaultTuning, type TransferTuning } from '../../src/net/tuning.js'
import { type Clock, systemClock } from '../../src/util/clock.js'

/** A request to the server. */
export interface Asked {
  method: string
  /** With query. */
  path: string
  headers: IncomingHttpHeaders
}

/** The body. A string is sent as it is, anything else as JSON. */
export interface Said {
  status?: number
  headers?: Record<string, string>
  body?: unknown
  /** Accept the request and never answer it. */
  silent?: boolean
}

/** A server on loopback that records its requests. */
export interface ApiServer {
  origin: string
  asked: Asked[]
}

const closers: (() => Promise<void>)[] = []
afterAll(async () => {
  await Promise.all(closers.splice(0).map((close) => close()))
})

/** Starts a server; it ends with the test file. */
export async function startApi(answer: (asked: Asked, origin: string) => Said): Promise<ApiServer> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const one = { method: request.method ?? '', path: request.url ?? '', headers: request.headers }
    asked.push(one)
    const { status = 200, headers = {}, body = {}, silent = false } = answer(one, origin)
    if (silent) return
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const origin = `http://127.0.0.1:${String(address.port)}`
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  )
  return { origin, asked }
}

/** Asks a source as the manager does. */
export async function resolveWith(
  source: Source,
  ref: string,
  env: Readonly<Record<string, string>> = {},
  {
    clock = systemClock,
    tuning: own = {},
    ...request
  }: Partial<ResolveRequest> & { clock?: Clock; tuning?: Partial<TransferTuning> } = {},
): Promise<readonly ResolvedFile[]> {
  const short = { maxAttempts: 2, minDelayMs: 1, maxDelayMs: 5, headersTimeoutMs: 5_000 }
  const tuning = { ...defaultTuning, ...short, ...own }
  const sources = new SourceRegistry([], [source])
  const resolver = new Resolver({ sources, tuning, proxy: false, env, clock })
  try {
    const signal = new AbortController().signal
    return (await resolver.resolve(ref, { remote: null, signal, ...request })).files
  } finally {
    await resolver.close()
  }
}

/** The error of a resolution. Fails if it, or any of its causes, contains a secret. */
export async function failureOf(asking: Promise<unknown>, secret?: string): Promise<DownloadError> {
  const error = await asking.then(
    () => new Error('nothing failed'),
    (reason: unknown) => reason,
  )
  for (let one = error; secret !== undefined && one instanceof Error; one = one.cause) {
    const text = `${one.message} ${String(one.stack)} ${JSON.stringify(one)}`
    if (text.includes(secret)) throw new Error('the error holds the secret')
  }
  if (!isDownloadError(error)) throw error
  return error
}
