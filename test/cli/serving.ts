/** What the tests of `serve` and `preload` share. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { CatalogModel } from '../../src/catalog/catalog.js'
import { createClient, type Client } from '../../src/client/index.js'
import type { PreloadStatus, WireDownload } from '../../src/http/schemas.js'
import { ggufContent, type Content } from '../support/content.js'
import type { Origin, Resource } from '../support/origin.js'
import { spawnCli, type RunOptions, type RunningProcess } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

export const MiB = 1024 * 1024

/** A `serve` that runs; killed at the end of the scope. */
export interface Serving extends AsyncDisposable {
  process: RunningProcess
  url: string
  port: number
  directory: string
  client: Client
  /** Waits until a download is in a state. */
  until: (url: string, state: WireDownload['state']) => Promise<WireDownload>
  /** Waits until no preload runs. */
  preloaded: (timeoutMs?: number) => Promise<PreloadStatus>
}

/** Starts `serve` on a free port of 127.0.0.1, in a new directory unless one is given. */
export async function startServe(
  args: readonly string[] = [],
  {
    directory = tempDir('serve'),
    headers = {},
    ...options
  }: RunOptions & { directory?: string; headers?: Record<string, string> } = {},
): Promise<Serving> {
  const process = spawnCli(['serve', '--port', '0', '-d', directory, ...args], options)
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
