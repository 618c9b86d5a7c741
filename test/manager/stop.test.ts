/**
 * What holds when a download is asked to stop in two ways, as when the manager closes while it is being
 * paused.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  createFileStore,
  type Download,
  type DownloadManager,
  type DownloadStore,
  type Source,
} from '../../src/index.js'
import { arrives, KiB, makeManager, MiB } from '../faults/harness.js'
import { type Content, randomContent } from '../support/content.js'
import { type Origin, startOrigin } from '../support/origin.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { EventLog } from './events.js'
import { expectFiles } from './group-scene.js'

const files = {
  'a.bin': randomContent(2 * MiB, 'a'),
  'b.bin': randomContent(3 * MiB, 'b'),
  'c.json': randomContent(KiB, 'c'),
}
const single = { 'a.bin': files['a.bin'] }
const group = 'mine:group'

/** What a test may hold up, until `release` is called. */
interface Gate {
  readonly isReached: boolean
  pass(): Promise<void>
  release(): void
}

function makeGate(): Gate {
  let isReached = false
  let release = (): void => undefined
  const opened = new Promise<void>((resolve) => (release = resolve))
  return {
    get isReached() {
      return isReached
    },
    async pass() {
      isReached = true
      await opened
    },
    release,
  }
}

/** A source of `mine:file` and `mine:group`, which lie on an origin. */
function sourceOn(origin: Origin, answering: (signal: AbortSignal) => Promise<void>): Source {
  return {
    name: 'mine',
    match: (ref) => ref.startsWith('mine:'),
    resolve: async (ref, { signal }) => {
      await answering(signal)
      const chosen: Record<string, Content> = ref === group ? files : single
      const list = Object.entries(chosen).map(([filename, { size }]) => ({
        filename,
        urls: [origin.url(`/${filename}`)],
        size,
        headers: {},
      }))
      return { name: 'model', files: list }
    },
  }
}

/** A folder and an origin, and managers of that folder, one after the other. */
interface Scene extends AsyncDisposable {
  readonly origin: Origin
  readonly directory: string
  /** From now on all bytes are sent immediately. */
  hurry(): void
  open(held?: { answering?: (signal: AbortSignal) => Promise<void>; preparing?: Gate }): DownloadManager
}

/** @param bytesPerSecond - of each connection; slow enough to meet it in the middle, where a test wants that. */
async function startScene(bytesPerSecond: number): Promise<Scene> {
  const origin = await startOrigin()
  const directory = join(tempDir('stop'), 'models')
  const serve = (options: { bytesPerSecond?: number }) => {
    for (const [name, content] of Object.entries(files)) origin.serve(`/${name}`, { content, ...options })
  }
  serve({ bytesPerSecond })
  return {
    origin,
    directory,
    hurry() {
      serve({})
    },
    open({ answering = () => Promise.resolve(), preparing } = {}) {
      const records = createFileStore(join(directory, '.model-downloader'))
      const store: DownloadStore = {
        load: () => records.load(),
        // A group is saved for the first time while it is being prepared.
        save: async (record) => {
          if (record.group !== null && record.state === 'resolving') await preparing?.pass()
          await records.save(record)
        },
        remove: (id) => records.remove(id),
        close: async () => records.close?.(),
      }
      return makeManager(directory, { sources: [sourceOn(origin, answering)], store })
    },
    [Symbol.asyncDispose]: () => origin.close(),
  }
}

/** Runs all microtasks that are ready; timers, sockets, disks and threads get no turn. */
const settle = () => new Promise<void>((resolve) => process.nextTick(resolve))

/**
 * Closes the manager while a running download is being moved to another state; whether that was still under
 * way when closing began.
 */
async function closeDuring(manager: DownloadManager, move: Promise<Download>, gate?: Gate): Promise<boolean> {
  let isMoved = false
  const moved = move.finally(() => (isMoved = true))
  await settle()
  const wasUnderWay = !isMoved
  const closing = manager.close()
  await settle()
  gate?.release()
  await withTimeout(Promise.all([moved, closing]), 10_000, 'the manager to close')
  return wasUnderWay
}

/** The download after a restart, which doesn't resume automatically. */
async function expectPaused(scene: Scene, manager: DownloadManager, url: string): Promise<void> {
  const log = new EventLog(manager)
  await manager.ready
  await withTimeout(manager.onIdle(), 5_000, 'nothing to happen')
  expect(manager.get(url)?.state).toBe('paused')
  expect(log.order('started')).toEqual([])
  await arrives(await manager.resume(url))
  if (url === group) await expectFiles(join(scene.directory, 'model'), files)
  else expect(await sha256File(join(scene.directory, 'a.bin'))).toBe(single['a.bin'].sha256())
}

describe('a pause while the manager closes', () => {
  it.each([
    ['a URL', null],
    ['a ref of one file', 'mine:file'],
    ['a group', group],
  ])('stays one, of %s that is being fetched', async (_name, ref) => {
    await using scene = await startScene(MiB / 2)
    const url = ref ?? scene.origin.url('/a.bin')
    {
      await using manager = scene.open()
      const download = await manager.download({ url })
      await waitFor(() => download.current.downloaded > 64 * KiB, { what: 'some bytes' })
      expect(await closeDuring(manager, manager.pause(url))).toBe(true)
      expect(download.state).toBe('paused')
    }
    scene.hurry()
    await using manager = scene.open()
    await expectPaused(scene, manager, url)
  })

  it.each(['mine:file', group])('stays one, of %s whose source is being asked', async (url) => {
    await using scene = await startScene(64 * MiB)
    {
      let isAsked = false
      const answering = (signal: AbortSignal) =>
        new Promise<void>((_, reject) => {
          isAsked = true
          signal.addEventListener('abort', () => {
            reject(new Error('Nobody wants to know any more.'))
          })
        })
      await using manager = scene.open({ answering })
      const download = await manager.download({ url })
      await waitFor(() => isAsked, { what: 'the source to be asked' })
      expect(await closeDuring(manager, manager.pause(url))).toBe(true)
      expect(download.state).toBe('paused')
    }
    await using manager = scene.open()
    await expectPaused(scene, manager, url)
  })

  it('stays one, of a group that is being prepared', async () => {
    await using scene = await startScene(64 * MiB)
    {
      const preparing = makeGate()
      await using manager = scene.open({ preparing })
      const download = await manager.download({ url: group })
      await waitFor(() => preparing.isReached, { what: 'the group to be prepared' })
      expect(await closeDuring(manager, manager.pause(group), preparing)).toBe(true)
      expect(download.state).toBe('paused')
      expect(scene.origin.requests()).toEqual([])
    }
    await using manager = scene.open()
    await expectPaused(scene, manager, group)
  })

  it('stays one, or is too late, of a group whose files are all being verified', async () => {
    await using scene = await startScene(64 * MiB)
    let state: string
    {
      await using manager = scene.open()
      const verifying = new Promise((resolve) => manager.once('verifying', resolve))
      const download = await manager.download({ url: group })
      await withTimeout(verifying, 10_000, 'all bytes')
      await closeDuring(manager, manager.pause(group))
      state = download.state
      expect(['paused', 'completed']).toContain(state)
    }
    await using manager = scene.open()
    if (state === 'paused') await expectPaused(scene, manager, group)
    else await expectFiles(join(scene.directory, 'model'), files)
  })

  it('stays one when a cancel waits for its turn, which then never comes', async () => {
    await using scene = await startScene(MiB / 2)
    {
      await using manager = scene.open()
      const download = await manager.download({ url: group })
      await waitFor(() => download.current.downloaded > 64 * KiB, { what: 'some bytes' })
      const pausing = manager.pause(group)
      const canceling = manager.cancel(group)
      const refused = expect(canceling).rejects.toMatchObject({ code: 'CLOSED' })
      expect(await closeDuring(manager, pausing)).toBe(true)
      await refused
    }
    scene.hurry()
    await using manager = scene.open()
    await expectPaused(scene, manager, group)
  })
})

describe('a manager that closes', () => {
  it('lets a cancel of a group that is under way come to its end', async () => {
    await using scene = await startScene(MiB / 2)
    {
      await using manager = scene.open()
      const log = new EventLog(manager)
      const download = await manager.download({ url: group })
      await waitFor(() => download.current.downloaded > 64 * KiB, { what: 'some bytes' })
      expect(await closeDuring(manager, manager.cancel(group))).toBe(true)
      expect(download.state).toBe('canceled')
      expect(log.order('canceled')).toHaveLength(1)
      expect(log.order('paused')).toEqual([])
    }
    expect((await listTree(scene.directory)).filter((path) => path.startsWith('model/'))).toEqual([])
    await using manager = scene.open()
    await withTimeout(manager.onIdle(), 5_000, 'nothing to happen')
    expect(manager.get(group)?.state).toBe('canceled')
  })

  it('takes no pause any more: what it has stopped goes on after a restart', async () => {
    await using scene = await startScene(MiB / 2)
    {
      await using manager = scene.open()
      const download = await manager.download({ url: group })
      await waitFor(() => download.current.downloaded > 64 * KiB, { what: 'some bytes' })
      const closing = manager.close()
      await expect(manager.pause(group)).rejects.toMatchObject({ code: 'CLOSED' })
      await closing
      expect(download.state).toBe('queued')
    }
    scene.hurry()
    await using manager = scene.open()
    await manager.ready
    const download = manager.get(group)
    if (download === undefined) throw new Error('It is forgotten.')
    await arrives(download)
    await expectFiles(join(scene.directory, 'model'), files)
  })
})

describe('a cancel that can not delete what was written', () => {
  it.each([
    ['a URL', null],
    ['a ref of one file', 'mine:file'],
    ['a group', group],
  ])('ends %s all the same, and says so', async (_name, ref) => {
    await using scene = await startScene(MiB / 2)
    const url = ref ?? scene.origin.url('/a.bin')
    const part = join(scene.directory, ref === group ? 'model' : '', 'a.bin.part')
    await using manager = scene.open()
    const logged: string[] = []
    manager.on('log', ({ message }) => logged.push(message))
    const download = await manager.download({ url })
    await waitFor(() => download.current.downloaded > 64 * KiB, { what: 'some bytes' })
    await manager.pause(url)
    // A folder with something in it can't be deleted as a file, by nobody.
    await rm(part, { force: true })
    await mkdir(join(part, 'full'), { recursive: true })
    await manager.cancel(url)
    expect(download.state).toBe('canceled')
    await expect(download.finished).rejects.toMatchObject({ code: 'CANCELED' })
    expect(logged.join()).toContain('could not be deleted')
    expect(manager.list()).toEqual([download])
    await withTimeout(manager.onIdle(), 5_000, 'nothing to happen')
    // Once nothing is in the way, it can be had again.
    await rm(part, { recursive: true })
    scene.hurry()
    await arrives(await manager.retry(url))
  })
})
