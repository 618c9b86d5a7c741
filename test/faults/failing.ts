/** Very many downloads that fail, each in one of several ways, and what they leave behind (FAULTS row 38). */
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type DownloadManager, type DownloadErrorCode, isDownloadError } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { openFds } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { KiB, makeManager } from './harness.js'

const content = randomContent(48 * KiB, 'failing')
const wrongDigest = 'a'.repeat(64)

/** A manager that gives up at once, with a store, over a folder that is not there yet. */
export function failingManager(): { manager: DownloadManager; directory: string } {
  const directory = join(tempDir('failing'), 'models')
  const manager = makeManager(directory, {
    ...{ concurrency: 20, connections: 1, store: 'file' },
    tuning: { maxAttempts: 1 },
  })
  return { manager, directory }
}

/** Ways to fail: path prefix, how it is served, what it must end with. */
const ways: readonly {
  path: string
  code: DownloadErrorCode
  options?: { sha256?: string; size?: number; filename?: string }
}[] = [
  { path: '/missing', code: 'NOT_FOUND' },
  { path: '/broken', code: 'HTTP_ERROR' },
  { path: '/short', code: 'TRUNCATED' },
  { path: '/hangUp', code: 'CONNECT_FAILED' },
  { path: '/good', code: 'CHECKSUM_MISMATCH', options: { sha256: wrongDigest } },
  { path: '/good', code: 'CONTENT_MISMATCH', options: { size: 7 } },
  { path: '/garbage', code: 'PROTOCOL_ERROR' },
  { path: '/refused', code: 'CONNECT_FAILED' },
]

/** An origin where all of them fail, and the address of one that refuses. */
export interface FailingOrigin extends AsyncDisposable {
  origin: Origin
  urlOf: (path: string, n: number) => string
}

/** Starts it. */
export async function startFailingOrigin(): Promise<FailingOrigin> {
  const origin = await startOrigin()
  const closed = await startOrigin()
  await closed.close()
  origin.serve('*', ({ path }) => {
    const way = path.split('.')[0]
    if (way === '/broken') return { status: 500 }
    if (way === '/short') return { content, faults: [{ type: 'truncate', afterBytes: 20_000 }] }
    if (way === '/hangUp') return { content, faults: [{ type: 'hangUp' }] }
    if (way === '/garbage') return { faults: [{ type: 'garbage' }] }
    return way === '/good' ? { content } : { status: 404 }
  })
  return {
    origin,
    urlOf: (path, n) => (path === '/refused' ? closed : origin).url(`${path}.${n}`),
    [Symbol.asyncDispose]: () => origin.close(),
  }
}

/** What was counted. */
export interface Residue {
  fds: string[]
  heapBytes: number
}

/** Counts open files and the memory that is really in use. */
export async function residue(): Promise<Residue> {
  setFlagsFromString('--expose-gc')
  // The context is made after the flag was set, so that it has this function.
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 3; round++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { fds: await openFds(), heapBytes: process.memoryUsage().heapUsed }
}

/** Lets downloads fail, some at a time, and forgets them; throws when one ends in another way than it must. */
export async function failMany(
  manager: DownloadManager,
  { origin, urlOf }: FailingOrigin,
  from: number,
  count: number,
): Promise<void> {
  const batch = 50
  for (let start = from; start < from + count; start += batch) {
    const numbers = Array.from({ length: Math.min(batch, from + count - start) }, (_, index) => start + index)
    await withTimeout(Promise.all(numbers.map(fail)), 30_000, `the downloads from ${start} on`)
    origin.clearRequests()
  }
  await withTimeout(manager.onIdle(), 5_000, 'the manager to be idle')

  async function fail(n: number): Promise<void> {
    const way = ways[n % ways.length]
    if (way === undefined) return
    const url = urlOf(way.path, n)
    const download = await manager.download({ url, ...way.options })
    const end = await download.finished.catch((error: unknown) => error)
    if (!isDownloadError(end)) throw new Error(`${url} did not fail.`)
    if (end.code !== way.code) {
      throw new Error(`${url} must fail with ${way.code}, but it is ${end.code}: ${end.message}`)
    }
    await manager.remove(url)
  }
}

/** Waits until no socket of the manager is open at the origin any more. */
export async function closeAll(manager: DownloadManager, { origin }: FailingOrigin): Promise<void> {
  await withTimeout(manager.close(), 5_000, 'close()')
  await waitFor(() => origin.openConnections === 0, { what: 'the sockets to close' })
}
