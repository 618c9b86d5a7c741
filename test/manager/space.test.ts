/** The disk budget of a manager: who may take space, who waits for it, and what is evicted. */
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Catalog, type Download, type DownloadManagerOptions, Preloader } from '../../src/index.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB, startBench } from '../faults/harness.js'
import { internals } from '../../src/manager/internals.js'
import { createMemoryStore } from '../../src/store/memory.js'
import { ManualClock } from '../support/clock.js'
import { type Content, randomContent } from '../support/content.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { startScene } from './group-scene.js'

const remote = { allowPrivateNetwork: true }

/** A bench whose origin has files of the given sizes in KiB by name, and whose manager has a budget of 500 KiB. */
async function startSpace(sizes: Record<string, number>, options: DownloadManagerOptions = {}) {
  const bench = await startBench({ maxDiskBytes: 500 * KiB, connections: 1, ...options })
  const contents = new Map<string, Content>()
  for (const [name, size] of Object.entries(sizes)) {
    contents.set(name, randomContent(size * KiB, name))
    bench.origin.serve(`/${name}`, { content: randomContent(size * KiB, name) })
  }
  const fetch = (name: string, more: object = {}) =>
    bench.manager.download({ url: bench.origin.url(`/${name}`), filename: name, ...more })
  return { ...bench, contents, fetch }
}

/** What lies in a folder, without parts and journals. */
async function finished(directory: string): Promise<string[]> {
  return (await listTree(directory)).filter((path) => !path.includes('.part'))
}

describe('a download that would break the budget', () => {
  it('fails before its first byte, and names what it needs and what is left', async () => {
    await using space = await startSpace({ a: 300, b: 300 })
    await arrives(await space.fetch('a'))
    const error = await fails(await space.fetch('b'))
    expect(error).toMatchObject({ code: 'NO_SPACE', retryable: true })
    expect(error.message).toBe(
      'Not enough disk space: 307 kB are needed, 205 kB of the disk budget of 512 kB are left (maxDiskBytes).',
    )
    await expectInvariant(space.directory, 'b', 'X', { others: ['a'] })
    const plan = await space.manager.plan({ url: space.origin.url('/b'), filename: 'b' })
    expect(plan).toMatchObject({ missingBytes: 300 * KiB, fits: false })
    // Nothing is refused for what exists already, nor what somebody has made room for.
    expect((await arrives(await space.fetch('a'))).existed).toBe(true)
    await rm(join(space.directory, 'a'))
    await arrives(await space.fetch('b'))
  })

  it('does not share the last room with any other that asks at the same time', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `f${index}`)
    await using space = await startSpace(Object.fromEntries(names.map((name) => [name, 100])), {
      concurrency: 12,
    })
    const downloads = await Promise.all(names.map((name) => space.fetch(name)))
    const ends = await Promise.allSettled(downloads.map((download) => arrives(download)))
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    expect((await finished(space.directory)).length).toBe(5)
    expect(await space.manager.disk()).toMatchObject({ used: 500 * KiB, maxDiskBytes: 500 * KiB })
  })

  it('counts what paused downloads have kept, and needs room for the old and the new file', async () => {
    await using space = await startSpace({ a: 400, b: 200, c: 300 })
    space.origin.serve('/a', {
      content: randomContent(400 * KiB, 'a'),
      faults: [{ type: 'stallBody', afterBytes: 350 * KiB, times: 1 }],
    })
    const a = await space.fetch('a')
    await waitFor(() => a.current.downloaded >= 340 * KiB)
    await a.pause()
    expect((await fails(await space.fetch('b'))).code).toBe('NO_SPACE')
    await a.cancel()
    await arrives(await space.fetch('c'))
    expect((await fails(await space.fetch('c', { force: true }))).code).toBe('NO_SPACE')
    expect((await stat(join(space.directory, 'c'))).size).toBe(300 * KiB)
  })

  it('is seen while it runs if its size is unknown, and nothing is published', async () => {
    await using space = await startSpace({})
    const content = randomContent(4 * MiB)
    space.origin.serve('/a', { content, contentLength: false, bytesPerSecond: 8 * MiB })
    const error = await fails(await space.fetch('a'))
    expect(error).toMatchObject({ code: 'NO_SPACE' })
    expect(await finished(space.directory)).toEqual([])
    space.origin.serve('/b', { content: randomContent(100 * KiB), contentLength: false })
    await space.manager.remove(space.origin.url('/a'))
    await arrives(await space.fetch('b'))
  })

  it('is a whole group, before any of its files', async () => {
    await using scene = await startScene({ maxDiskBytes: 500 * KiB })
    const { hub, manager, directory } = scene
    hub.add('o/big', {
      files: { 'a.bin': randomContent(300 * KiB, 'a'), 'b.bin': randomContent(300 * KiB, 'b') },
    })
    hub.add('o/fits', {
      files: { 'a.bin': randomContent(250 * KiB, 'c'), 'b.bin': randomContent(250 * KiB, 'd') },
    })
    const error = await fails(await manager.download({ url: 'hf:o/big' }))
    expect(error).toMatchObject({ code: 'NO_SPACE', retryable: false })
    expect(await listTree(directory)).toEqual([])
    await arrives(await manager.download({ url: 'hf:o/fits' }))
    expect(await manager.disk()).toMatchObject({
      used: 500 * KiB,
      by: [{ filename: 'fits', url: 'hf:o/fits' }],
    })
  })

  it('is refused on a disk where too little would stay free', async () => {
    await using space = await startSpace(
      { a: 100 },
      { maxDiskBytes: null, minFreeBytes: Number.MAX_SAFE_INTEGER },
    )
    const error = await fails(await space.fetch('a'))
    expect(error.message).toMatch(
      /^Not enough disk space: 102 kB are needed, 0 B are free beyond the .* that must stay free/,
    )
    expect(error).toMatchObject({ code: 'NO_SPACE', retryable: false })
  })

  it('sees what another manager of the folder has there, and is still writing', async () => {
    await using space = await startSpace({ a: 400, b: 200 })
    space.origin.serve('/a', {
      content: randomContent(400 * KiB, 'a'),
      faults: [{ type: 'stallBody', afterBytes: 100 * KiB, times: 1 }],
    })
    const other = makeManager(space.directory, { maxDiskBytes: 500 * KiB, connections: 1 })
    try {
      const a = await other.download({ url: space.origin.url('/a'), filename: 'a' })
      await waitFor(() => a.current.downloaded > 0)
      expect((await fails(await space.fetch('b'))).code).toBe('NO_SPACE')
    } finally {
      await other.close()
    }
  })
})

describe('a download that waits for space', () => {
  it('is queued without a slot, tells why, and starts when something is removed', async () => {
    await using space = await startSpace({ a: 300, b: 300, c: 10 }, { whenFull: 'wait', concurrency: 1 })
    const a = await space.fetch('a')
    await arrives(a)
    const logs: string[] = []
    space.manager.on('log', ({ message }) => logs.push(message))
    const b = await space.fetch('b')
    await waitFor(() => b.waitingFor !== null)
    expect(b).toMatchObject({ state: 'queued', error: null, waitingFor: { code: 'NO_SPACE' } })
    expect(b.toJSON()).toMatchObject({
      status: 'downloading',
      state: 'queued',
      waiting: expect.stringContaining('307 kB are needed') as string,
    })
    expect(logs).toContainEqual(expect.stringMatching(/^Waiting for disk space: .* needed/))
    // A smaller one that came later must not take the room that the first one waits for.
    const c = await space.fetch('c')
    await waitFor(() => c.waitingFor !== null)
    expect(space.manager.waiting).toBe(2)
    await space.manager.remove(a.url, { deleteFile: true })
    await Promise.all([arrives(b), arrives(c)])
    expect([b.waitingFor, space.manager.waiting]).toEqual([null, 0])
    await space.manager.onIdle()
  })

  it('notices that somebody else has made room', async () => {
    const clock = new ManualClock()
    const services = { worker: false, [internals]: { clock } }
    await using space = await startSpace({ a: 300, b: 300 }, { whenFull: 'wait', ...services })
    await arrives(await space.fetch('a'))
    const b = await space.fetch('b')
    await waitFor(() => b.waitingFor !== null)
    await rm(join(space.directory, 'a'))
    await waitFor(() => (clock.advance(1_000), b.state === 'completed'))
  })

  it('fails at once if it is larger than all of the budget', async () => {
    await using space = await startSpace({ a: 501 }, { whenFull: 'wait' })
    const error = await fails(await space.fetch('a'))
    expect(error).toMatchObject({ code: 'NO_SPACE', retryable: false })
    expect(error.message).toContain('would not fit even if nothing else were there')
  })

  it('can be paused, resumed, canceled and removed, and lets the next one go on', async () => {
    await using space = await startSpace({ a: 400, b: 300, c: 300, d: 50 }, { whenFull: 'wait' })
    await arrives(await space.fetch('a'))
    const wait = async (name: string) => {
      const download = await space.fetch(name)
      await waitFor(() => download.waitingFor !== null)
      return download
    }
    const b = await wait('b')
    const c = await wait('c')
    const d = await wait('d')
    await b.pause()
    expect([b.state, b.waitingFor, d.state]).toEqual(['paused', null, 'queued'])
    await b.resume()
    await waitFor(() => b.waitingFor !== null)
    await b.cancel()
    expect(b.state).toBe('canceled')
    await space.manager.remove(c.url)
    await arrives(d)
  })

  it('waits on in the next process', async () => {
    await using space = await startSpace({ a: 300, b: 300 }, { whenFull: 'wait', store: 'file' })
    await arrives(await space.fetch('a'))
    const b = await space.fetch('b')
    await waitFor(() => b.waitingFor !== null)
    await space.manager.close()
    await using next = makeManager(space.directory, {
      whenFull: 'wait',
      store: 'file',
      maxDiskBytes: 500 * KiB,
    })
    await next.ready
    const again = next.get(b.url)
    await waitFor(() => again?.waitingFor?.code === 'NO_SPACE')
    await next.remove(space.origin.url('/a'), { deleteFile: true })
    if (again !== undefined) await arrives(again)
  })

  it('gives its partial bytes up rather than wait for those of one that waits for it', async () => {
    await using space = await startSpace({}, { whenFull: 'wait', concurrency: 2 })
    // Neither has a known size, and together they are too large.
    for (const name of ['a', 'b']) {
      space.origin.serve(`/${name}`, {
        content: randomContent(400 * KiB, name),
        bytesPerSecond: 400 * KiB,
        contentLength: false,
      })
    }
    const [a, b] = await Promise.all([space.fetch('a'), space.fetch('b')])
    const { filename } = await Promise.race([arrives(a, 30_000), arrives(b, 30_000)])
    const [first, second] = filename === 'a' ? [a, b] : [b, a]
    await waitFor(() => second.waitingFor !== null)
    await space.manager.remove(first.url, { deleteFile: true })
    await arrives(second, 30_000)
  })
})

describe('eviction', () => {
  const names = (downloads: readonly Download[]) => downloads.map(({ filename }) => filename)

  it('does not tell that a download was removed whose record could not be', async () => {
    const store = createMemoryStore()
    const remove = () => Promise.reject(new Error('read-only'))
    const options = { whenFull: 'evict', store: { ...store, remove } } as const
    await using space = await startSpace({ old: 300, new: 300 }, options)
    const { manager } = space
    await arrives(await space.fetch('old'))
    const removed: string[] = []
    manager.on('removed', ({ download }) => removed.push(download.filename))
    await arrives(await space.fetch('new'))
    expect([removed, names(manager.list())]).toEqual([[], ['old', 'new']])
  })

  it('deletes the least recently used of what nobody has pinned or requires, and tells so', async () => {
    await using space = await startSpace(
      { pinned: 100, required: 100, old: 100, used: 100, new: 150 },
      { whenFull: 'evict' },
    )
    const { manager, origin, directory } = space
    for (const name of ['pinned', 'required', 'old', 'used']) await arrives(await space.fetch(name))
    await manager.pin(origin.url('/pinned'))
    const catalog = new Catalog([{ key: 'm', url: origin.url('/required'), mode: 'llm', required: true }])
    await using preloader = new Preloader({ manager, catalog })
    await preloader.ready
    expect(
      (await manager.disk()).by
        .filter(({ pinned }) => pinned)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['pinned', 'required'])
    const evicted: string[] = []
    const logs: string[] = []
    manager.on('evicted', ({ download, bytes, neededFor }) => {
      evicted.push(`${download.filename} ${bytes} for ${neededFor.filename}`)
    })
    manager.on('log', ({ message }) => logs.push(message))
    await arrives(await space.fetch('used'))
    await arrives(await space.fetch('new'))
    expect(evicted).toEqual([`old ${100 * KiB} for new`])
    expect(logs).toContainEqual('Evicted to make room for new: 102 kB were deleted.')
    expect(await finished(directory)).toEqual(['new', 'pinned', 'required', 'used'])
    expect(names(manager.list())).toEqual(['pinned', 'required', 'used', 'new'])
  })

  it('deletes nothing if that would not be enough', async () => {
    await using space = await startSpace({ pinned: 300, a: 100, big: 250 }, { whenFull: 'evict' })
    await arrives(await space.fetch('pinned'))
    await space.manager.pin(space.origin.url('/pinned'))
    await arrives(await space.fetch('a'))
    expect((await fails(await space.fetch('big'))).code).toBe('NO_SPACE')
    expect(await finished(space.directory)).toEqual(['a', 'pinned'])
  })

  it('lets remote callers replace only what remote callers have requested', async () => {
    await using space = await startSpace(
      { own: 200, theirs: 200, more: 200, most: 400 },
      { whenFull: 'evict' },
    )
    await arrives(await space.fetch('own'))
    await arrives(await space.fetch('theirs', { remote }))
    await arrives(await space.fetch('more', { remote }))
    expect(await finished(space.directory)).toEqual(['more', 'own'])
    expect((await fails(await space.fetch('most', { remote }))).code).toBe('NO_SPACE')
    await arrives(await space.fetch('most'))
    expect(await finished(space.directory)).toEqual(['most'])
  })

  it('never touches files that it did not fetch, that have changed, or that are elsewhere', async () => {
    const elsewhere = tempDir('elsewhere')
    await using space = await startSpace(
      { there: 100, changed: 100, far: 100, new: 300 },
      { whenFull: 'evict' },
    )
    const { directory } = space
    await arrives(await space.fetch('changed'))
    await writeFile(join(directory, 'there'), await readFile(join(directory, 'changed')))
    await arrives(await space.fetch('there'))
    await arrives(await space.fetch('far', { directory: elsewhere }))
    await writeFile(join(directory, 'changed'), Buffer.alloc(100 * KiB))
    expect((await fails(await space.fetch('new'))).code).toBe('NO_SPACE')
    expect([...(await finished(directory)), ...(await finished(elsewhere))]).toEqual([
      'changed',
      'there',
      'far',
    ])
  })

  it('deletes a group as a whole', async () => {
    await using scene = await startScene({ maxDiskBytes: 500 * KiB, whenFull: 'evict' })
    const { hub, manager, directory } = scene
    for (const name of ['a', 'b'])
      hub.add(`o/${name}`, {
        files: { 'x.bin': randomContent(150 * KiB, name), 'd/y.bin': randomContent(150 * KiB, name + name) },
      })
    await arrives(await manager.download({ url: 'hf:o/a' }))
    await arrives(await manager.download({ url: 'hf:o/b' }))
    expect(await listTree(directory)).toEqual(['b/', 'b/d/', 'b/d/y.bin', 'b/x.bin'])
    expect(manager.get('hf:o/a')).toBeUndefined()
  })
})
