/** FAULTS row 61: what was accepted is known after a power cut, many times; prints what it saw. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Catalog, Preloader } from '../../src/index.js'
import { fastTuning, makeManager, MiB } from '../faults/harness.js'
import { seededRandom } from '../faults/killing.js'
import { diskKinds, diskNeeds, LoopDisk, type Cut, type DiskKind } from '../faults/loop-disk.js'
import { checkJournal, reboot } from '../faults/power.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { listTree, sha256File } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'
import { roundsOf, soakSeed } from './rounds.js'

const files = 8

const content = randomContent(2 * MiB, 'accepted')

const modelKey = 'model'

/** What a round saw. */
interface Outcome {
  /** Downloads that had been accepted. */
  accepted: number
  /** Whether the preload had been. */
  preload: boolean
  /** Bytes that journals vouched for. */
  synced: number
  /** Bytes that were fetched afterwards. */
  fetched: number
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
    await sleep(random() * 3_000)
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
    const synced = await look(directory)
    await reboot(directory)

    origin.serve('*', { content })
    origin.clearRequests()
    await using after = open()
    await using again = new Preloader({ manager: after, catalog })
    await again.ready
    const known = after.list().map(({ url }) => url)
    for (const url of promised) expect(known, 'a download was forgotten').toContain(url)
    if (preloading) expect(again.status().started_at, 'the preload was forgotten').not.toBeNull()
    let fetched = 0
    for (const download of after.list()) {
      const file = await withTimeout(download.finished, 30_000, download.filename)
      // One without a known digest that had its final name already is not read again.
      expect(await sha256File(file.path), download.filename).toBe(content.sha256())
      const kept = synced.get(download.filename) ?? 0
      expect(file.fetchedBytes, 'synced bytes were fetched again').toBeLessThanOrEqual(content.size - kept)
      fetched += file.fetchedBytes
    }
    const vouched = [...synced.values()].reduce((sum, bytes) => sum + bytes, 0)
    return { accepted: promised.length, preload: preloading, synced: vouched, fetched }
  } finally {
    disk.remove()
  }
}

/** The bytes that journals vouch for, by file name. Fails when they are not there, or when a final name is torn. */
async function look(directory: string): Promise<Map<string, number>> {
  const synced = new Map<string, number>()
  for (const path of await listTree(directory)) {
    const name = path.slice(path.lastIndexOf('/') + 1)
    const folder = join(directory, path.slice(0, -name.length))
    if (name.endsWith('.bin')) {
      const file = await readFile(join(directory, path))
      expect(file.equals(content.slice(0, content.size)), `${path} is torn`).toBe(true)
    }
    if (!name.endsWith('.part.json')) continue
    const filename = name.slice(0, -'.part.json'.length)
    synced.set(filename, await checkJournal(folder, filename, content))
  }
  return synced
}

for (const kind of diskKinds) {
  describeWith(diskNeeds[kind], `row 61: the power is cut on ${kind} while downloads are accepted`, () => {
    it.each(['nothing', 'metadata'] as const)('with %s flushed', { timeout: 3_600_000 }, async (how) => {
      const rounds = roundsOf('SOAK_CUTS', 1 / 6)
      const seed = soakSeed()
      const random = seededRandom(seed)
      const seen: Outcome[] = []
      const wrong: unknown[] = []
      const start = performance.now()
      for (let number = 0; number < rounds; number++) {
        try {
          seen.push(await round(kind, how, random))
        } catch (error) {
          wrong.push(new Error(`seed ${seed}, round ${number}`, { cause: error }))
          console.error(wrong.at(-1))
        }
      }
      const sum = (what: 'accepted' | 'synced' | 'fetched') =>
        seen.reduce((all, outcome) => all + outcome[what], 0)
      const preloads = seen.filter(({ preload }) => preload).length
      console.log(
        `${kind}, ${how}: ${rounds} cuts, ${wrong.length} wrong; ${sum('accepted')} downloads and ${preloads} preloads ` +
          `were accepted; ${(sum('synced') / MiB).toFixed(1)} MiB were synced, ` +
          `${(sum('fetched') / MiB).toFixed(1)} MiB fetched afterwards, ` +
          `${Math.round((performance.now() - start) / 1_000)} s (seed ${seed})`,
      )
      expect(wrong).toEqual([])
    })
  })
}
