/**
 * For the tests of the server's faults: one origin, managers as often as wanted, and kept bytes to come back
 * to.
 */
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import {
  isDownloadError,
  type Download,
  type DownloadedFile,
  type DownloadError,
  type DownloadErrorCode,
  type DownloadManager,
  type DownloadManagerOptions,
  type DownloadOptions,
} from '../../src/index.js'
import type { Content } from '../support/content.js'
import { startOrigin, type Fault, type Origin, type OriginOptions, type Resource } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { expectInvariant, makeManager } from './harness.js'

/** How long any of these downloads may take. */
const deadlineMs = 12_000

/** What was reported during a download. */
export interface Told {
  /** Codes of the errors before each wait, in order. */
  retries: DownloadErrorCode[]
  /** Duration of each wait, in milliseconds. */
  delaysMs: number[]
  /** One message for each time that it began again at byte 0. */
  restarts: string[]
}

/** How a download ended. */
export type Ending = ({ file: DownloadedFile; error: null } | { file: null; error: DownloadError }) & {
  download: Download
  told: Told
}

/** A folder and an origin, and managers as often as a test wants a new one. All of it ends with the test. */
export class Scene {
  readonly origin: Origin
  /** Holds {@link directory} and nothing else. */
  readonly root = tempDir('server')
  /** Where the managers work. It doesn't exist until something is kept there. */
  readonly directory = join(this.root, 'models')
  readonly #options: DownloadManagerOptions

  constructor(origin: Origin, options: DownloadManagerOptions) {
    this.origin = origin
    this.#options = options
  }

  /** A new manager for the folder, without a store. */
  manager(options: DownloadManagerOptions = {}): DownloadManager {
    const tuning = { ...this.#options.tuning, ...options.tuning }
    const manager = makeManager(this.directory, { ...this.#options, ...options, tuning })
    onTestFinished(() => withTimeout(manager.close(), 5_000, 'the manager to close'))
    return manager
  }

  /** Fetches a path of the origin, to the end. */
  async fetch(
    path: string,
    options: Partial<DownloadOptions> = {},
    manager: DownloadManager = this.manager(),
  ): Promise<Ending> {
    const told = listen(manager)
    return ending(await manager.download({ url: this.origin.url(path), ...options }), told)
  }

  /** The complete right file lies there, and nothing else but `others`. */
  async expectFile(name: string, content: Content, others: readonly string[] = []): Promise<void> {
    await expectInvariant(this.directory, name, 'done', { content, others })
  }

  /** Part and journal are gone (X), and with them all that was made for them. */
  async expectDropped(name: string): Promise<void> {
    await expectInvariant(this.directory, name, 'X')
  }

  /** Nothing was made (N), not even the folder. */
  async expectNothing(): Promise<void> {
    expect(await listTree(this.root)).toEqual([])
  }

  /**
   * Part and journal are kept (K). What the journal claims to be there is there, and is what `content` has in that
   * place: nothing of another version, nothing at a wrong offset.
   *
   * @returns how many bytes that is.
   */
  async expectKept(name: string, content: Content): Promise<number> {
    await expectInvariant(this.directory, name, 'K')
    const journal = JSON.parse(await readFile(join(this.directory, `${name}.part.json`), 'utf8'))
    const written: [number, number][] = journal.written
    const part = await open(join(this.directory, `${name}.part`))
    let kept = 0
    try {
      for (const [start, end] of written) {
        const bytes = Buffer.alloc(end - start)
        expect((await part.read(bytes, 0, bytes.length, start)).bytesRead).toBe(bytes.length)
        expect(bytes.equals(content.slice(start, end)), `kept bytes ${start} to ${end}`).toBe(true)
        kept += bytes.length
      }
    } finally {
      await part.close()
    }
    expect(kept).toBeGreaterThan(0)
    return kept
  }
}

/** Opens a scene. `tuning` and the like hold for all its managers. */
export async function openScene(
  options: DownloadManagerOptions & { origin?: OriginOptions } = {},
): Promise<Scene> {
  const { origin: originOptions, ...managerOptions } = options
  const origin = await startOrigin(originOptions)
  onTestFinished(() => origin.close())
  return new Scene(origin, managerOptions)
}

/** Notes what a manager tells. */
export function listen(manager: DownloadManager): Told {
  const told: Told = { retries: [], delaysMs: [], restarts: [] }
  manager.on('retrying', ({ error, delayMs }) => {
    told.retries.push(error.code)
    told.delaysMs.push(delayMs)
  })
  manager.on('log', ({ message }) => {
    if (message.startsWith('Starting over: ')) told.restarts.push(message)
  })
  return told
}

/** How a download ends: before the deadline, with a file or a `DownloadError`, and in the state to match. */
export async function ending(download: Download, told: Told): Promise<Ending> {
  try {
    const file = await withTimeout(download.finished, deadlineMs, `the end of ${download.url}`)
    expect(download.state).toBe('completed')
    return { file, error: null, download, told }
  } catch (error) {
    if (!isDownloadError(error)) throw error
    expect(download.state).toBe('failed')
    return { file: null, error, download, told }
  }
}

/** The error that it ended with; it must have this code. */
export function failure(end: Ending, code: DownloadErrorCode): DownloadError {
  if (end.error === null) throw new Error(`It succeeded instead of failing with ${code}.`)
  expect(end.error.code, end.error.message).toBe(code)
  return end.error
}

/** The file that it ended with; it must not have failed. */
export function success(end: Ending): DownloadedFile {
  if (end.file === null) throw end.error
  return end.file
}

/** Ways in which a download goes on with bytes that are there already. */
export const comebacks = ['pause and resume', 'a new manager', 'a failure and retry()'] as const

/** One of {@link comebacks}. */
export type Comeback = (typeof comebacks)[number]

/**
 * Fetches a file until its first `bytes` are kept, and stops there.
 *
 * @param begin - how the answer stops after those bytes. Default: silence, or a cut for {@link comebacks}
 * that need one.
 * @returns goes on with it, to the end; to be called when the origin serves what the test is about. The
 * origin's log is empty at that time.
 */
export async function keepBytes(
  scene: Scene,
  path: string,
  resource: Resource & { content: Content },
  how: Comeback,
  bytes: number,
  options: Partial<DownloadOptions> = {},
  begin?: Fault,
): Promise<() => Promise<Ending>> {
  const { origin } = scene
  const failing = how === 'a failure and retry()'
  const cut: Fault = { type: failing ? 'truncate' : 'stallBody', afterBytes: bytes }
  origin.serve(path, { ...resource, faults: [{ ...(begin ?? cut), times: 1 }, { type: 'hangUp' }] })
  const first = scene.manager({ tuning: { bodyTimeoutMs: 60_000 } })
  const wanted = { url: origin.url(path), ...options }
  const download = await first.download({ ...wanted, connections: 1 })
  if (failing) await withTimeout(download.finished, deadlineMs).catch(() => undefined)
  await waitFor(() => download.current.downloaded === bytes, { what: `${bytes} bytes` })
  if (how === 'pause and resume') await download.pause()
  if (how === 'a new manager') await first.close()
  expect(await scene.expectKept(download.filename, resource.content)).toBe(bytes)
  origin.clearRequests()
  return async () => {
    if (how === 'a new manager') {
      return scene.fetch(path, options)
    }
    const told = listen(first)
    await (how === 'pause and resume' ? download.resume() : download.retry())
    return ending(download, told)
  }
}

/** The ranges that were asked for, as `start-end` with the last byte included, in order. */
export function rangesOf(origin: Origin, path: string): string[] {
  return origin.requests(path).map(({ range }) => {
    return range === null ? 'none' : `${range.start}-${range.end ?? ''}`
  })
}
