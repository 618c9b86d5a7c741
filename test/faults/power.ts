/** One download with a power cut in the middle, and what must hold after it (FAULTS row 30b). */
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { DownloadOptions } from '../../src/index.js'
import { parseJournal } from '../../src/engine/part/journal.js'
import { randomContent, textContent, type Content } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { runCli, spawnCli } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { arrives, expectInvariant, makeManager, MiB } from './harness.js'
import { cacheFiles, findFiles } from './killing.js'
import { lengthOf } from './leftovers.js'
import { LoopDisk, type Cut, type DiskKind } from './loop-disk.js'

/** How a round goes. */
export interface PowerRound {
  content: Content
  /** Default ext4. */
  disk?: DiskKind
  how: Cut
  /**
   * When the power is cut: milliseconds after the request, or after the last byte was sent, or as soon as the journal
   * vouches for some bytes.
   */
  cut: number | { afterLastByte: number } | 'when synced'
  /** A file that lies there before, and is to be replaced. */
  old: Buffer | null
  options: Omit<DownloadOptions, 'url'>
}

/** What a round saw. */
export interface PowerOutcome {
  /** Under the final name after the cut. */
  final: 'absent' | 'old' | 'new'
  /** Bytes that the journal vouched for. */
  synced: number
  /** Bytes fetched after the cut. */
  fetched: number
}

const name = 'model.bin'

/** Runs one round on a new disk. Throws when anything is not as expected. */
export async function cutAndResume({
  content,
  disk: kind = 'ext4',
  how,
  cut,
  old,
  options,
}: PowerRound): Promise<PowerOutcome> {
  await using origin = await startOrigin()
  const path = `/${name}`
  // Two connections: a file takes about a second, or long enough for the first bytes to be synced before the
  // last come.
  const seconds = cut === 'when synced' ? 20 : 1
  origin.serve(path, { content, bytesPerSecond: content.size / 2 / seconds })
  const url = origin.url(path)
  const disk = new LoopDisk(content.size * 3 + 16 * MiB, kind)
  // A folder below: the root has a lost+found of its own.
  const directory = join(disk.path, 'models')
  try {
    if (old !== null) {
      await mkdir(directory)
      await writeFile(join(directory, name), old)
      for (const each of [join(directory, name), directory, disk.path]) {
        await using handle = await open(each, 'r')
        await handle.sync()
      }
    }

    // The process dies with the machine: what the manager still does to a disk that is gone doesn't count.
    const before = makeManager(directory, {
      connections: 2,
      tuning: { syncIntervalMs: 100, journalIntervalMs: 25 },
    })
    const download = await before.download({ url, ...options })
    if (cut === 'when synced')
      await waitFor(() => hasSynced(directory), { timeoutMs: 15_000, what: 'a sync' })
    else if (typeof cut === 'object') {
      await waitFor(() => origin.bytesSent(path) >= content.size, {
        timeoutMs: 15_000,
        what: 'the last byte',
      })
      await sleep(cut.afterLastByte)
    } else await sleep(cut)
    disk.cut(how)
    await withTimeout(before.close(), 5_000, 'the manager to close on a dead disk')
    await withTimeout(
      download.finished.catch(() => undefined),
      1_000,
      'the download to settle',
    )
    disk.restart()

    const final = await finalOf(directory, content, old)
    const synced = await checkJournal(directory, name, content)
    await reboot(directory)
    origin.serve(path, { content })
    await using after = makeManager(directory)
    const file = await arrives(await after.download({ url, ...options }))
    expect(file.size).toBe(content.size)
    await expectInvariant(directory, name, 'done', { content })
    // None of the synced bytes is fetched again.
    if (final !== 'new') expect(file.fetchedBytes).toBeLessThanOrEqual(content.size - synced)
    await after.close()
    return { final, synced, fetched: file.fetchedBytes }
  } finally {
    disk.remove()
  }
}

/** What a group of a hub has, in a round of {@link cutGroup}. */
const group = {
  'a.bin': randomContent(3 * MiB, 'a'),
  'b/c.bin': randomContent(5 * MiB, 'c'),
  'b/d.bin': randomContent(300_000, 'd'),
}

/** Served by the hub itself. */
const small = { 'config.json': textContent('{}') }

/**
 * Cuts the power while the command fetches a group, so many milliseconds after it has asked for the first byte, and lets
 * the same command go on. Throws when anything is not as expected.
 *
 * @returns how many bytes were complete or vouched for after the cut, and how many were fetched then.
 */
export async function cutGroup({
  disk: kind,
  how,
  cut,
  layout,
}: {
  disk: DiskKind
  how: Cut
  cut: number
  layout: 'flat' | 'hf-cache'
}): Promise<{ synced: number; fetched: number }> {
  await using hub = await startHub()
  const commit = hub.add('owner/model', { files: { ...group, ...small } })
  hub.cdnBehaviour = { bytesPerSecond: MiB / 4 }
  const disk = new LoopDisk(64 * MiB, kind)
  const directory = join(disk.path, 'models')
  const home = tempDir('power-home')
  const env = { HF_ENDPOINT: hub.url, HOME: home, HF_HOME: join(home, 'hf') }
  const args = ['get', 'hf:owner/model', '-d', directory, '--layout', layout, '--connections', '4', '--json']
  const isFlat = layout === 'flat'
  try {
    {
      await using before = spawnCli(args, { env })
      await waitFor(() => hub.cdn.requests().length > 0 || !before.running, {
        timeoutMs: 15_000,
        what: 'the first request',
      })
      await sleep(cut)
      disk.cut(how)
    }
    disk.restart()

    let synced = 0
    for (const [path, content] of Object.entries(group)) {
      const at = isFlat ? `model/${path}` : `models--owner--model/blobs/${content.sha256()}`
      const file = await readFile(join(directory, at)).catch(() => null)
      if (file !== null) expect(file.equals(content.slice(0, content.size)), `${at} is torn`).toBe(true)
      const kept = await checkJournal(dirname(join(directory, at)), basename(at), content)
      synced += file === null ? kept : content.size
    }
    await reboot(directory)
    hub.cdnBehaviour = {}
    const after = await runCli(args, { env, timeoutMs: 30_000 })
    expect(after.code, after.stdout + after.stderr).toBe(0)
    const folder = isFlat ? 'model' : `models--owner--model/snapshots/${commit}`
    const files = Object.entries({ ...group, ...small }).map(
      ([path, one]) => [`${folder}/${path}`, one] as const,
    )
    const others = isFlat ? /^$/ : cacheFiles
    const found = await findFiles(directory, Object.fromEntries(files), others)
    expect(found).toMatchObject({ right: true, tidy: true })
    const fetched = Number(/"type":"completed".*?"fetchedBytes":(\d+)/.exec(after.stdout)?.[1])
    const all = Object.values({ ...group, ...small }).reduce((sum, { size }) => sum + size, 0)
    expect(fetched, `${synced} of ${all} bytes were there`).toBeLessThanOrEqual(all - synced)
    return { synced, fetched }
  } finally {
    disk.remove()
  }
}

async function finalOf(
  directory: string,
  content: Content,
  old: Buffer | null,
): Promise<PowerOutcome['final']> {
  if (!(await listTree(directory)).includes(name)) {
    expect(old, 'the old file is gone').toBeNull()
    return 'absent'
  }
  const file = await readFile(join(directory, name))
  if (old !== null && file.equals(old)) return 'old'
  expect(file.length, 'a torn or empty file has the final name').toBe(content.size)
  expect(file.equals(content.slice(0, content.size)), 'wrong bytes have the final name').toBe(true)
  return 'new'
}

/** Whether the journal vouches for any byte. */
async function hasSynced(directory: string): Promise<boolean> {
  const text = await readFile(join(directory, `${name}.part.json`), 'utf8').catch(() => '')
  return (parseJournal(text)?.synced.length ?? 0) > 0
}

/** Looks whether the part of a file holds what its journal vouches for, and returns how many bytes that is. */
export async function checkJournal(directory: string, name: string, content: Content): Promise<number> {
  const text = await readFile(join(directory, `${name}.part.json`), 'utf8').catch(() => '')
  const journal = parseJournal(text)
  if (journal === null) return 0
  const part = await readFile(join(directory, `${name}.part`)).catch(() => null)
  // The part gets its final name before the journal goes.
  if (part === null) return 0
  for (const [from, to] of journal.synced) {
    const same = part.subarray(from, to).equals(content.slice(from, to))
    expect(same, `the journal vouches for ${from} to ${to}, but the bytes are not there`).toBe(true)
  }
  return lengthOf(journal.synced)
}

/**
 * Makes the journals and locks in a folder, and in those below it, those of another boot, since here none took place.
 * One that the cut has torn stays as it is.
 */
export async function reboot(directory: string): Promise<void> {
  // Not as a list of what is left, which does without the locks of managers.
  for (const path of await readdir(directory, { recursive: true }).catch(() => [])) {
    if (!/\.(?:part\.json|part\.live|lock)$/.test(path)) continue
    const text = await readFile(join(directory, path), 'utf8')
    if (!text.startsWith('{') || !text.endsWith('}')) continue
    await writeFile(join(directory, path), text.replace(/"bootId":"[^"]*"/, '"bootId":"before-the-cut"'))
  }
}
