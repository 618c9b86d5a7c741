/**
 * What the fault tests share: a manager with short times over a temporary folder, and a look at the disk
 * afterwards.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import {
  type Download,
  type DownloadedFile,
  type DownloadError,
  DownloadManager,
  type DownloadManagerOptions,
  isDownloadError,
  type TransferTuning,
} from '../../src/index.js'
import type { Content } from '../support/content.js'
import { startOrigin, type Origin, type OriginOptions } from '../support/origin.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { slowness, withTimeout } from '../support/wait.js'

export const KiB = 1024
export const MiB = 1024 * 1024

/** Short times, so that a fault is over quickly, but not so short that a slow machine looks like a fault. */
export const fastTuning = {
  connectTimeoutMs: Math.round(2_000 * slowness),
  headersTimeoutMs: Math.round(1_000 * slowness),
  bodyTimeoutMs: Math.round(300 * slowness),
  minDelayMs: 1,
  maxDelayMs: 5,
  outageMs: 0,
  maxAttempts: 4,
  progressIntervalMs: 20,
  journalIntervalMs: 50,
  minSegmentBytes: 64 * KiB,
  // All at once, so that tests need not wait for more of them.
  initialConnections: 64,
  bodyReader: process.env['BODY_READER'] === 'standard' ? 'standard' : 'fast',
} satisfies Partial<TransferTuning>

/** By default, a manager without a store that puts files directly into `directory`. */
export function makeManager(directory: string, options: DownloadManagerOptions = {}): DownloadManager {
  const { tuning, ...rest } = options
  return new DownloadManager({
    directory,
    defaultMode: null,
    store: 'memory',
    connections: 4,
    proxy: false,
    // In this thread the coverage sees it; `npm run test:worker` runs the same tests with the engine in its
    // worker.
    worker: process.env['ENGINE'] === 'worker',
    ...rest,
    tuning: { ...fastTuning, ...tuning },
  })
}

/** A manager, its folder, and an origin; all gone with `await using`. */
export interface Bench extends AsyncDisposable {
  readonly manager: DownloadManager
  readonly directory: string
  readonly origin: Origin
}

/** Starts a {@link Bench}. The folder does not exist yet: whoever makes it shows that something was written. */
export async function startBench(
  options: DownloadManagerOptions & { origin?: OriginOptions } = {},
): Promise<Bench> {
  const { origin: originOptions, ...managerOptions } = options
  const origin = await startOrigin(originOptions)
  const directory = options.directory ?? join(tempDir('fault'), 'models')
  const manager = makeManager(directory, { ...managerOptions, directory })
  return {
    manager,
    directory,
    origin,
    async [Symbol.asyncDispose]() {
      await withTimeout(manager.close(), 5_000, 'the manager to close')
      await origin.close()
    },
  }
}

/** The file of a download, within the deadline. */
export function arrives(download: Download, timeoutMs = 10_000): Promise<DownloadedFile> {
  return withTimeout(download.finished, timeoutMs, 'the file')
}

/** The error that a download ends with, within the deadline. Fails when it succeeds. */
export async function fails(download: Download, timeoutMs = 10_000): Promise<DownloadError> {
  try {
    await withTimeout(download.finished, timeoutMs, 'the failure')
  } catch (error) {
    if (isDownloadError(error)) return error
    throw error
  }
  throw new Error('The download succeeded, but it should have failed.')
}

/**
 * What must lie on the disk: the complete file (`done`), part and journal (`K`), neither of them (`X`), or
 * nothing at all, not even the folder (`N`).
 */
export type Disk = 'done' | 'K' | 'X' | 'N'

/**
 * Checks the invariant of FAULTS.md: under the final name there is nothing, the unchanged old file, or the
 * complete one. There is no lock, no temporary file, and nothing else that is not named here.
 *
 * @param old - the file that lay there before.
 * @param content - what `done` must have under the final name.
 * @param others - further entries of the folder that are meant to be there.
 */
export async function expectInvariant(
  directory: string,
  name: string,
  disk: Disk,
  { old, content, others = [] }: { old?: Buffer; content?: Content; others?: readonly string[] } = {},
): Promise<void> {
  const kept = disk === 'K' ? [`${name}.part`, `${name}.part.json`] : []
  const final = disk === 'done' || old !== undefined ? [name] : []
  expect(await listTree(directory), `disk afterwards: ${disk}`).toEqual([...final, ...kept, ...others].sort())
  const path = join(directory, name)
  if (disk === 'done') {
    if (content === undefined) throw new Error('Say what the file must hold.')
    expect(await sha256File(path), 'digest of the final file').toBe(content.sha256())
  } else if (old !== undefined) {
    expect((await readFile(path)).equals(old), 'the old file is untouched').toBe(true)
  }
  if (disk === 'N' && old === undefined && others.length === 0) {
    await expect(readFile(directory), 'the folder was not made').rejects.toMatchObject({ code: 'ENOENT' })
  }
}
