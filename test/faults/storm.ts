/** Storms of calls upon a few downloads, and what must hold when they are over (FAULTS row 37). */
import fc from '../support/properties.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import {
  isDownloadError,
  type Download,
  type DownloadErrorCode,
  type DownloadManager,
} from '../../src/index.js'
import { randomContent, type Content } from '../support/content.js'
import type { Origin } from '../support/origin.js'
import { listTree, sha256File } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'
import { KiB } from './harness.js'

/** One call, or a pause between calls. */
export type Step =
  | {
      do: 'download' | 'pause' | 'resume' | 'cancel' | 'retry' | 'remove' | 'removeFile'
      target: number
      wait: boolean
    }
  | { do: 'sleep'; ms: number }
  | { do: 'onEvent'; event: ListenedEvent; call: 'pause' | 'resume' | 'cancel' | 'retry' | 'download' }

type ListenedEvent = 'started' | 'verifying' | 'completed' | 'failed' | 'canceled' | 'paused' | 'queued'

/** The targets of the storm: two good files, one that breaks and resumes, and one that doesn't exist. */
export const targets: readonly { name: string; content: Content | null }[] = [
  { name: 'one.bin', content: randomContent(300 * KiB, 'storm 1') },
  { name: 'two.bin', content: randomContent(700 * KiB, 'storm 2') },
  { name: 'breaks.bin', content: randomContent(400 * KiB, 'storm 3') },
  { name: 'missing.bin', content: null },
]

/** Lets an origin serve them, each within about a tenth of a second. */
export function serveTargets(origin: Origin): void {
  for (const { name, content } of targets) {
    if (content === null) continue
    const breaks = name === 'breaks.bin'
    origin.serve(`/${name}`, {
      content,
      bytesPerSecond: 4 * content.size,
      faults: breaks ? [{ type: 'reset', afterBytes: 150 * KiB, when: ({ nth }) => nth % 3 === 1 }] : [],
    })
  }
}

const call = fc.record({
  do: fc.constantFrom('download', 'download', 'pause', 'resume', 'cancel', 'retry', 'remove', 'removeFile'),
  target: fc.nat(targets.length - 1),
  wait: fc.boolean(),
} as const)

/** Steps of a storm. */
export const storm: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: call },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('sleep' as const), ms: fc.nat(60) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('onEvent' as const),
        event: fc.constantFrom<ListenedEvent>(
          ...(['started', 'verifying', 'completed', 'failed', 'canceled', 'paused', 'queued'] as const),
        ),
        call: fc.constantFrom('pause', 'resume', 'cancel', 'retry', 'download'),
      } as const),
    },
  ),
  { minLength: 1, maxLength: 25 },
)

/** What such calls may fail with. */
const allowed: readonly DownloadErrorCode[] = ['INVALID_STATE', 'UNKNOWN_DOWNLOAD', 'CLOSED']

/** A running storm: makes the calls, and records the results. */
export class Storm {
  /** Every download that was ever seen. */
  readonly downloads = new Set<Download>()
  /** Every `finished` promise that was ever seen. */
  readonly finished = new Set<Promise<unknown>>()
  readonly #manager: DownloadManager
  readonly #origin: Origin
  readonly #calls: Promise<void>[] = []
  readonly #events = new Map<Download, string[]>()
  readonly #unexpected: unknown[] = []

  constructor(manager: DownloadManager, origin: Origin) {
    this.#manager = manager
    this.#origin = origin
    for (const event of [
      ...(['queued', 'started', 'paused', 'resumed', 'verifying', 'completed', 'failed'] as const),
      ...(['canceled', 'removed'] as const),
    ]) {
      manager.on(event, ({ download }: { download: Download }) => {
        this.#note(download)
        const list = this.#events.get(download) ?? []
        this.#events.set(download, list)
        list.push(event)
      })
    }
  }

  /** Makes all calls; resolves when the last one was made, not when they have ended. */
  async blow(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step.do === 'sleep') await sleep(step.ms)
      else if (step.do === 'onEvent') {
        this.#manager.once(step.event, ({ download }: { download: Download }) => {
          void this.#call(step.call, download.url)
        })
      } else {
        const ended = this.#call(step.do, this.#origin.url(`/${targets[step.target]?.name ?? ''}`))
        if (step.wait) await ended
      }
    }
  }

  /** Waits for all calls; each must have ended well or with an error that is part of the game. */
  async calm(): Promise<void> {
    // Calls may make calls, by way of events.
    for (let done = 0; done < this.#calls.length;) {
      done = this.#calls.length
      await withTimeout(Promise.all(this.#calls), 10_000, 'the calls of the storm')
    }
    expect(this.#unexpected).toEqual([])
  }

  /** Every run has one end, and says nothing after it. */
  checkEvents(): void {
    for (const [download, events] of this.#events) {
      let state: 'idle' | 'live' | 'gone' = 'idle'
      for (const [index, event] of events.entries()) {
        const told = `${download.filename}: ${events.slice(0, index + 1).join(' ')}`
        expect(state, told).not.toBe('gone')
        if (event === 'queued') state = 'live'
        else if (event === 'removed') state = 'gone'
        // What has failed may be canceled, to be rid of its bytes.
        else if (event === 'canceled' && events[index - 1] === 'failed') state = 'idle'
        else {
          expect(state, told).toBe('live')
          if (event === 'completed' || event === 'failed' || event === 'canceled') state = 'idle'
        }
      }
    }
  }

  /** `finished` of every download has settled, or will. */
  async checkFinished(): Promise<void> {
    await withTimeout(Promise.allSettled(this.finished), 5_000, 'finished of all downloads')
  }

  #call(what: Exclude<Step['do'], 'sleep' | 'onEvent'>, url: string): Promise<void> {
    const ended = this.#one(what, url).catch((error: unknown) => {
      if (!isDownloadError(error) || !allowed.includes(error.code)) this.#unexpected.push(error)
    })
    this.#calls.push(ended)
    return ended
  }

  async #one(what: Exclude<Step['do'], 'sleep' | 'onEvent'>, url: string): Promise<void> {
    if (what === 'remove') await this.#manager.remove(url)
    else if (what === 'removeFile') await this.#manager.remove(url, { deleteFile: true })
    else if (what === 'download') this.#note(await this.#manager.download({ url }))
    else this.#note(await this.#manager[what](url))
  }

  #note(download: Download): void {
    this.downloads.add(download)
    this.finished.add(download.finished)
  }
}

/**
 * The disk after a storm: complete files only, parts only of downloads that can resume, and no lock or
 * temporary file.
 */
export async function checkDisk(directory: string, manager: DownloadManager): Promise<void> {
  const tree = (await listTree(directory)).filter((entry) => !entry.startsWith('.model-downloader/'))
  for (const entry of tree) {
    const target = targets.find(({ name }) => entry === name || entry.startsWith(`${name}.`))
    if (target === undefined) throw new Error(`Nobody asked for ${entry}.`)
    const { name, content } = target
    if (entry === name) {
      expect(await sha256File(join(directory, name)), name).toBe(content?.sha256())
    } else {
      expect(entry).toMatch(/\.part(?:\.json)?$/)
      const download = manager.list().find((one) => one.filename === name)
      expect(
        ['paused', 'queued'],
        `${entry} lies there, and it is ${download?.state ?? 'unknown'}`,
      ).toContain(download?.state)
    }
  }
  for (const download of manager.list()) {
    if (download.state === 'completed') expect(tree).toContain(download.filename)
  }
}
