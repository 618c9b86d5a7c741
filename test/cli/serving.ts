/** What the tests of `serve` and `preload` share. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { CatalogModel } from '../../src/catalog/catalog.js'
import { createClient, type Client } from '../../src/client/index.js'
import type { PreloadStatus, WireDownload } from '../../src/http/schemas.js'
import { ggufContent, type Content } from '../support/content.js'
import type { Origin, Resource } from '../support/origin.js'
import { spawnCli, type RunOptions, type RunningProcess, type RunResult } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { type EndedHere, type HereSignal, startHere } from './in-process.js'

export const MiB = 1024 * 1024

/** What a `serve` prints, and how it is stopped, wherever it runs. */
export interface ServeRun {
  readonly stdout: string
  readonly stderr: string
  waitForOutput: (pattern: RegExp) => Promise<void>
  /** Sends a signal, and waits for the end. */
  kill: (signal: HereSignal) => Promise<Pick<RunResult, 'code' | 'stdout' | 'stderr'>>
}

/** A `serve` that runs; ended at the end of the scope. */
export interface Serving<P extends ServeRun = ServeRun> extends AsyncDisposable {
  process: P
  url: string
  port: number
  directory: string
  client: Client
  /** Waits until a download is in a state. */
  until: (url: string, state: WireDownload['state']) => Promise<WireDownload>
  /** Waits until no preload runs. */
  preloaded: (timeoutMs?: number) => Promise<PreloadStatus>
}

interface ServeOptions extends RunOptions {
  directory?: string
  headers?: Record<string, string>
}

/** Arguments that start `serve` on a free port of 127.0.0.1. */
const argsIn = (directory: string, args: readonly string[]) => [
  'serve',
  '--port',
  '0',
  '-d',
  directory,
  ...args,
]

/** Starts `serve` in this process, in a new directory unless one is given. */
export async function startServe(
  args: readonly string[] = [],
  { directory = tempDir('serve'), headers = {}, ...options }: ServeOptions = {},
): Promise<Serving> {
  return await serving(serveHere(argsIn(directory, args), options), directory, headers)
}

/** Starts the built `serve` in a process of its own, which can be killed and whose descriptors can be counted. */
export async function startServeProcess(
  args: readonly string[] = [],
  { directory = tempDir('serve'), headers = {}, ...options }: ServeOptions = {},
): Promise<Serving<RunningProcess>> {
  return await serving(spawnCli(argsIn(directory, args), options), directory, headers)
}

function serveHere(args: readonly string[], { cwd, env }: RunOptions): ServeRun & AsyncDisposable {
  const run = startHere(args, { cwd, env })
  let end: EndedHere | null = null
  const noted = run.ended.then((ended) => (end = ended))
  const kill = async (signal: HereSignal): Promise<EndedHere> => {
    if (end === null) run.signal(signal)
    return await withTimeout(noted, 10_000, `the end after ${signal}`)
  }
  return {
    get stdout() {
      return run.stdout
    },
    get stderr() {
      return run.stderr
    },
    waitForOutput: async (pattern) => {
      await waitFor(
        () => {
          if (pattern.test(run.stdout) || pattern.test(run.stderr)) return true
          if (end !== null) throw new Error(`Ended without ${String(pattern)}:\n${run.stdout}\n${run.stderr}`)
          return false
        },
        { timeoutMs: 10_000, what: `output like ${String(pattern)}` },
      )
    },
    kill,
    [Symbol.asyncDispose]: async () => {
      if (end === null) await kill('SIGTERM')
    },
  }
}

async function serving<P extends ServeRun & AsyncDisposable>(
  process: P,
  directory: string,
  headers: Record<string, string>,
): Promise<Serving<P>> {
  await process.waitForOutput(/^listening on \S+\n/m)
  const url = /^listening on (\S+)$/m.exec(process.stdout)?.[1] ?? ''
  const client = createClient({ baseUrl: url, headers })
  return {
    process,
    url,
    port: Number(new URL(url).port),
    directory,
    client,
    until: (of, state) =>
      waitFor(
        async () => {
          const download = await client.status(of)
          if (download.state === state) return download
          if (download.status === 'failed') throw new Error(`It failed: ${download.error ?? ''}`)
          return null
        },
        { timeoutMs: 10_000, what: `${of} to be ${state}` },
      ).then(present),
    preloaded: (timeoutMs = 15_000) =>
      waitFor(
        async () => {
          const status = await client.preload.status()
          return status.running ? null : status
        },
        { timeoutMs, what: 'the end of the preload' },
      ).then(present),
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  }
}

/** `waitFor` answers with nothing that is falsy, which its type does not say. */
function present<T>(value: T | null): T {
  if (value === null) throw new Error('Nothing.')
  return value
}

/** A model that an origin serves, and its entry in a catalog. */
export interface Model {
  content: Content
  path: string
  entry: CatalogModel & { url: string; sha256: string }
}

/** Serves a model at `/<key>.gguf`. */
export function serveModel(
  origin: Origin,
  key: string,
  size: number,
  resource: Omit<Resource, 'content'> = {},
): Model {
  const content = ggufContent(size, key)
  const at = `/${key}.gguf`
  origin.serve(at, { ...resource, content })
  return { content, path: at, entry: { key, url: origin.url(at), sha256: content.sha256() } }
}

/** Writes a catalog file into a folder of its own, or a given one. */
export function writeCatalog(models: readonly CatalogModel[], folder = tempDir('catalog')): string {
  const file = path.join(folder, 'models.json')
  writeFileSync(file, JSON.stringify({ models }))
  return file
}
