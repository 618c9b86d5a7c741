/** FAULTS row 61: what was accepted is known after a power cut, many times; prints what it saw. */
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Catalog, isDownloadError, Preloader } from '../../src/index.js'
import { size as sizeOf } from '../../src/engine/part/intervals.js'
import { parseJournal } from '../../src/engine/part/journal.js'
import { fastTuning, makeManager, MiB } from '../faults/harness.js'
import { seededRandom } from '../faults/killing.js'
import { type Cut, type DiskKind, LoopDisk, loopDisks, xfsDisks } from '../faults/loop-disk.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { withTimeout } from '../support/wait.js'

const rounds = 100

const files = 8

const content = randomContent(2 * MiB, 'accepted')

const modelKey = 'model'

interface Outcome {
  accepted: number
  preload: boolean
  synced: number
}

async function round(kind: DiskKind, how: Cut, random: () => number): Promise<Outcome> {
  await using origin = await startOrigin()
  origin.serve('*', { content, bytesPerSecond: (0.5 + random()) * MiB })
  const disk = new LoopDisk((files + 4) * content.size + 16 * MiB, kind)
  const directory = join(disk.path, 'models')
  const tuning = { ...fastTuning, syncIntervalMs: 200 }
  const open = () => makeManager(directory, { store: 'file', worker: false, connections: 2, tuning })
  const urls = Array.from({ length: files }, (_, index) => origin.url(`/${index}.bin`))
  const catalog = new Catalog({
    models: [{ key: modelKey, name: modelKey, url: origin.url('/model.bin'), mode: 'llm' }],
  })
  try {
    const manager = open()
    const preloader = new Preloader({ manager, catalog })
    const accepted = new Set<string>()
    const preload = { isAccepted: false }
    const ask = async (url: string) => {
      await sleep(random() * 500)
      const download = await manager.download({ url, sha256: content.sha256() })
      accepted.add(url)
      download.finished.catch(() => undefined)
    }
    const asking = Promise.allSettled([
      ...urls.map(ask),
      preloader.start().then(() => (preload.isAccepted = true)),
    ])
    await sleep(random() * 1_500)
    // Who has its answer by now was promised something.
    disk.cut(how)
    const promised = [...accepted]
    const preloading = preload.isAccepted
    await withTimeout(asking, 10_000, 'the answers')
    await withTimeout(
      preloader.close().catch(() => undefined),
      10_000,
      'the preloader to close',
    )
    await withTimeout(
      manager.close().catch(() => undefined),
      10_000,
      'the manager to close on a dead disk',
    )
    disk.restart()
    const synced = await reboot(directory)

    origin.serve('*', { content })
    origin.clearRequests()
    await using after = open()
    await using again = new Preloader({ manager: after, catalog })
    await again.ready
    const known = after.list().map(({ url }) => url)
    for (const url of promised) expect(known, 'a download was forgotten').toContain(url)
    if (preloading) expect(again.status().started_at, 'the preload was forgotten').not.toBeNull()
    for (const download of after.list()) {
      const file = await withTimeout(download.finished, 30_000, download.filename).catch((error: unknown) => {
        if (isDownloadError(error)) return error
        throw error
      })
      expect(file, download.filename).toMatchObject({ sha256: content.sha256() })
    }
    return { accepted: promised.length, preload: preloading, synced }
  } finally {
    disk.remove()
  }
}

/** Makes locks and journals those of another boot: here none took place. Returns the bytes that journals vouch for. */
async function reboot(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => [])
  let synced = 0
  for (const name of names) {
    if (!name.endsWith('.part.json') && !name.endsWith('.part.lock')) continue
    const path = join(directory, name)
    const text = await readFile(path, 'utf8')
    if (text.startsWith('{'))
      await writeFile(path, text.replace(/"bootId":"[^"]*"/, '"bootId":"before-the-cut"'))
    const then = Date.now() / 1_000 - 61
    await utimes(path, then, then)
    synced += sizeOf(parseJournal(text)?.synced ?? [])
  }
  return synced
}

for (const [kind, need] of [
  ['ext4', loopDisks],
  ['xfs', xfsDisks],
] as const) {
  describeWith(need, `row 61: the power is cut on ${kind} while downloads are accepted`, () => {
    it.each(['nothing', 'metadata'] as const)('with %s flushed', { timeout: 3_600_000 }, async (how) => {
      const seed = Date.now()
      const random = seededRandom(seed)
      const seen: Outcome[] = []
      for (let number = 0; number < rounds; number++) {
        seen.push(
          await round(kind, how, random).catch((error: unknown) => {
            throw new Error(`seed ${seed}, round ${number}`, { cause: error })
          }),
        )
      }
      const accepted = seen.reduce((sum, outcome) => sum + outcome.accepted, 0)
      const preloads = seen.filter(({ preload }) => preload).length
      const synced = seen.reduce((sum, outcome) => sum + outcome.synced, 0) / MiB
      console.log(
        `${kind}, ${how}: ${rounds} cuts; ${accepted} downloads and ${preloads} preloads were accepted, none forgotten; ` +
          `${synced.toFixed(1)} MiB were synced (seed ${seed})`,
      )
    })
  })
}
