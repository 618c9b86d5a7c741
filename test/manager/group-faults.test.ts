/** Groups under storms, over links that expire, and in numbers. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Source } from '../../src/index.js'
import { arrives, fails, KiB, makeManager, MiB } from '../faults/harness.js'
import { randomContent, textContent, type Content } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { listTree, smallTmpfs, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { expectFiles, startScene } from './group-scene.js'

const ref = 'hf:owner/model'

/** Files of these names, each of its own content. */
function filesOf(names: readonly string[], size: number): Record<string, Content> {
  return Object.fromEntries(names.map((name) => [name, randomContent(size, name)]))
}

/** A source of files at addresses of a test. */
function sourceOf(
  files: () => { filename: string; url: string; size?: number }[],
  revision?: string,
): Source {
  return {
    name: 'mine',
    match: (text) => text.startsWith('mine:'),
    resolve: () =>
      Promise.resolve({
        name: 'model',
        files: files().map(({ filename, url, size }) => ({
          filename,
          urls: [url],
          size,
          revision,
          headers: {},
        })),
      }),
  }
}

describe('a group', () => {
  it('of many small files goes through a few connections that are kept', async () => {
    await using scene = await startScene({ connections: 8 })
    const { hub, manager, directory } = scene
    const names = Array.from({ length: 1_000 }, (_, index) => `part-${index % 13}/file-${index}.bin`)
    // Half of them small enough to be kept in git itself.
    const files = { ...filesOf(names.slice(0, 500), 12 * KiB), ...filesOf(names.slice(500), KiB) }
    hub.add('owner/model', { files })
    const download = await manager.download({ url: ref })
    await arrives(download, 60_000)
    expect(download.group?.completed).toBe(1_000)
    // The list is requested separately, and a connection that idles too long on a slow machine is replaced.
    expect(hub.origin.totalConnections).toBeLessThanOrEqual(100)
    expect(hub.cdn.totalConnections).toBeLessThanOrEqual(100)
    const found = await listTree(join(directory, 'model'))
    expect(found.filter((path) => !path.endsWith('/'))).toEqual([...names].sort())
  })

  it('of an untrusted caller keeps its connections as well', async () => {
    await using origin = await startOrigin()
    const names = Array.from({ length: 60 }, (_, index) => `file-${index}.bin`)
    const files = filesOf(names, KiB)
    for (const name of names) origin.serve(`/${name}`, { content: files[name] ?? textContent('') })
    const source = sourceOf(() =>
      names.map((name) => ({ filename: name, url: origin.url(`/${name}`), size: KiB })),
    )
    const directory = tempDir('group-remote')
    await using manager = makeManager(directory, { sources: [source] })
    const remote = { allowedHosts: [new URL(origin.origin).host] }
    await arrives(await manager.download({ url: 'mine:model', remote }))
    await expectFiles(join(directory, 'model'), files)
    // On a slow machine some idle too long and are replaced; without keeping them there would be one for each file.
    expect(origin.totalConnections).toBeLessThan(names.length)
  })

  it('goes on when signed links expire in the middle, and no other origin sees the token', async () => {
    await using scene = await startScene({ token: 'hf_canary', connections: 2 })
    const { hub, manager, directory } = scene
    const files = filesOf(['a.bin', 'b.bin', 'c.bin', 'd.bin'], 2 * MiB)
    hub.add('owner/model', { files, gated: 'manual' })
    hub.allow('hf_canary', ['owner/model'])
    hub.cdnBehaviour = {
      bytesPerSecond: 2 * MiB,
      faults: [{ type: 'truncate', afterBytes: 512 * KiB, times: 2 }],
    }
    const lines: string[] = []
    manager.on('log', ({ message }) => lines.push(message))
    manager.on('retrying', ({ error }) => lines.push(error.message))
    const download = await manager.download({ url: ref })
    await waitFor(() => download.current.downloaded > MiB, { what: 'some bytes' })
    hub.expireLinks()
    await arrives(download)
    await expectFiles(join(directory, 'model'), files)
    const seen = hub.cdn.requests().map(({ headers }) => headers)
    expect(JSON.stringify(seen)).not.toContain('hf_canary')
    expect(JSON.stringify(download.group) + JSON.stringify(download.record)).not.toMatch(
      /hf_canary|Signature/,
    )
    expect(lines.join('\n')).not.toMatch(/hf_canary|Signature/)
    expect(hub.origin.requests().some(({ headers }) => headers['authorization'] === 'Bearer hf_canary')).toBe(
      true,
    )
  })

  it('asks its source once for fresh addresses, however many files need one', async () => {
    await using origin = await startOrigin()
    const names = ['a.bin', 'b.bin', 'c.bin', 'd.bin']
    const files = filesOf(names, 256 * KiB)
    let key = 1
    let asked = 0
    for (const name of names) {
      origin.serve(`/${name}`, {
        content: files[name] ?? textContent(''),
        requires: (request) => (request.query.get('key') === String(key) ? undefined : 403),
        faults: [{ type: 'truncate', afterBytes: 64 * KiB, times: 1 }],
        bytesPerSecond: 512 * KiB,
      })
    }
    const source = sourceOf(() => {
      asked += 1
      return names.map((name) => ({
        filename: name,
        url: `${origin.url(`/${name}`)}?key=${key}`,
        size: 256 * KiB,
      }))
    }, 'r1')
    const directory = tempDir('group-links')
    await using manager = makeManager(directory, { sources: [source], connections: 4 })
    const download = await manager.download({ url: 'mine:model' })
    await waitFor(() => download.current.downloaded > 64 * KiB, { what: 'some bytes' })
    key = 2
    await arrives(download)
    await expectFiles(join(directory, 'model'), files)
    expect(asked).toBeLessThanOrEqual(3)
  })

  it.each([400, 401, 403, 404, 410])(
    'goes on when its credentials expire before the first request for some files: %i',
    async (refusal) => {
      await using origin = await startOrigin()
      const names = Array.from({ length: 12 }, (_, index) => `file-${index}.bin`)
      const files = filesOf(names, 8 * KiB)
      // Each token is good for the first requests for three files.
      let tokens = 0
      const seen = new Map<string, Set<string>>()
      for (const name of names) {
        origin.serve(`/${name}`, {
          content: files[name] ?? textContent(''),
          requires: ({ headers, path }) => {
            const token = headers['authorization'] ?? ''
            const paths = seen.get(token) ?? new Set()
            seen.set(token, paths.add(path))
            return token === `Bearer ${tokens}` && paths.size <= 3 ? undefined : refusal
          },
        })
      }
      const source: Source = {
        name: 'mine',
        match: (text) => text.startsWith('mine:'),
        resolve: () => {
          const headers = { authorization: `Bearer ${(tokens += 1)}` }
          return Promise.resolve({
            name: 'model',
            files: names.map((filename) => ({ filename, urls: [origin.url(`/${filename}`)], headers })),
          })
        },
      }
      const directory = tempDir('group-tokens')
      await using manager = makeManager(directory, { sources: [source], connections: 1 })
      await arrives(await manager.download({ url: 'mine:model' }))
      await expectFiles(join(directory, 'model'), files)
      // What was renewed for one file serves the ones after it.
      expect(tokens).toBe(4)
      expect(origin.requests().filter(({ status }) => status === refusal)).toHaveLength(3)
    },
  )

  it('that its source can give no other credentials for asks once, and fails as the server says', async () => {
    await using origin = await startOrigin()
    origin.serve('*', { status: 401 })
    let asked = 0
    const source = sourceOf(() => {
      asked += 1
      return ['a.bin', 'b.bin', 'c.bin'].map((filename) => ({ filename, url: origin.url(`/${filename}`) }))
    })
    await using manager = makeManager(tempDir('group-refused'), { sources: [source], connections: 1 })
    expect(await fails(await manager.download({ url: 'mine:model' }))).toMatchObject({
      code: 'ACCESS_DENIED',
      status: 401,
    })
    expect([asked, origin.requests().length]).toEqual([2, 3])
  })

  it('comes out right of a storm of pauses, resumes and cancels', async () => {
    await using scene = await startScene({ connections: 4 })
    const { hub, manager, directory } = scene
    const files = filesOf(
      Array.from({ length: 30 }, (_, index) => `d${index % 4}/f${index}.bin`),
      40 * KiB,
    )
    hub.add('owner/model', { files })
    hub.cdnBehaviour = { bytesPerSecond: 4 * MiB }
    const download = await manager.download({ url: ref })
    for (let round = 0; round < 12; round += 1) {
      await waitFor(() => download.state !== 'resolving', { what: 'the files to be known' })
      const moves = [manager.pause(ref), manager.resume(ref), manager.pause(ref), manager.resume(ref)]
      if (round === 6) moves.push(manager.cancel(ref), manager.retry(ref))
      // A call that comes too late for the state is refused, and does no harm.
      await Promise.allSettled(moves)
    }
    await withTimeout(manager.onIdle(), 20_000, 'the end of the storm')
    if (download.state !== 'completed') await arrives(await manager.retry(ref).catch(() => download))
    await expectFiles(join(directory, 'model'), files)
    expect(download.group?.files.every(({ downloaded, size }) => downloaded === size)).toBe(true)
  })

  it('tells beforehand when the disk has no room for all of it', async () => {
    const disk = smallTmpfs(4 * MiB)
    if (disk === null) return
    await using scene = await startScene({ directory: disk })
    const { hub, manager } = scene
    hub.add('owner/model', { files: filesOf(['a.bin', 'b.bin', 'c.bin'], 2 * MiB) })
    const error = await fails(await manager.download({ url: ref }))
    expect(error.code).toBe('NO_SPACE')
    expect(error.message).toMatch(/: 6\.3 MB are needed, [\d.]+ [kM]B are free\.$/)
    expect(hub.cdn.requests()).toEqual([])
  })

  it.each([
    [['../climbs.bin', 'a.bin'], 'UNSAFE_FILENAME'],
    [['a.bin', 'A.bin'], 'CONFLICT'],
    [['a.bin', 'a.bin/b.bin'], 'CONFLICT'],
  ])('with the paths %j fetches nothing: %s', async (names, code) => {
    await using origin = await startOrigin()
    origin.serve('*', () => ({ content: textContent('x') }))
    const source = sourceOf(() => names.map((filename) => ({ filename, url: origin.url('/x') })))
    const directory = tempDir('group-paths')
    await using manager = makeManager(directory, { sources: [source] })
    expect(await fails(await manager.download({ url: 'mine:model' }))).toMatchObject({ code })
    expect(origin.requests()).toEqual([])
    expect(await listTree(directory)).toEqual([])
  })

  const oddNames = ['back\\slash.bin', 'aux.json', 'dot.', `${'x'.repeat(250)}.bin`]

  it('row 59: with odd names yields everything else, and lists them with their reasons', async () => {
    await using origin = await startOrigin()
    const content = textContent('x')
    origin.serve('*', { content })
    const names = ['a.bin', ...oddNames, 'package.json', '.hidden']
    const source = sourceOf(() => names.map((filename) => ({ filename, url: origin.url('/x') })))
    const directory = tempDir('group-odd')
    await using manager = makeManager(directory, { sources: [source], store: 'file' })
    const { files } = await manager.plan({ url: 'mine:model' })
    expect(files.flatMap(({ filename, status }) => (status === 'refused' ? filename : []))).toEqual(oddNames)
    const download = await manager.download({ url: 'mine:model' })
    const error = await fails(download)
    expect(error).toMatchObject({ code: 'GROUP_INCOMPLETE', retryable: false })
    expect(error.issues.map(({ path }) => path)).toEqual(oddNames)
    for (const { message } of error.issues) expect(message).toMatch(/can't be used: it .*restrictNames/)
    const good = { '.hidden': content, 'a.bin': content, 'package.json': content }
    await expectFiles(join(directory, 'model'), good)
    expect(origin.requests()).toHaveLength(3)
    // Their names are not recorded, so that a record contains safe paths only.
    await manager.close()
    await using again = makeManager(directory, { sources: [source], store: 'file' })
    await again.ready
    expect(again.get('mine:model')?.group?.files.map(({ filename }) => filename)).toEqual(
      Object.keys(good).sort((a, b) => names.indexOf(a) - names.indexOf(b)),
    )
    await fails(await again.retry('mine:model'))
    await arrives(await again.download({ url: 'mine:model', restrictNames: true }))
    const cleaned = ['_aux.json', 'back_slash.bin', 'dot', `${'x'.repeat(234)}.bin`]
    await expectFiles(join(directory, 'model'), {
      ...good,
      ...Object.fromEntries(cleaned.map((name) => [name, content])),
    })
  })

  it('row 59: a single file that the caller names is cleaned if the caller wants that', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    const content = textContent('x')
    hub.add('owner/model', { files: { 'sub/aux.json': content } })
    const url = 'hf:owner/model/sub/aux.json'
    await expect(manager.download({ url })).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
    const download = await manager.download({ url, restrictNames: true })
    expect((await arrives(download)).filename).toBe('_aux.json')
    await expectFiles(directory, { '_aux.json': content })
  })

  it('row 59: a single file that the source names is cleaned, but does not configure programs', async () => {
    await using origin = await startOrigin()
    const content = textContent('x')
    origin.serve('*', { content })
    let filename = 'folder/aux.json'
    const source = sourceOf(() => [{ filename, url: origin.url('/x') }])
    const directory = tempDir('group-one')
    await using manager = makeManager(directory, { sources: [source] })
    expect((await arrives(await manager.download({ url: 'mine:model' }))).filename).toBe('_aux.json')
    filename = 'folder/package.json'
    const refused = await fails(await manager.download({ url: 'mine:other' }))
    expect(refused).toMatchObject({ code: 'UNSAFE_FILENAME' })
    await arrives(await manager.download({ url: 'mine:third', filename: 'package.json' }))
    expect(await listTree(directory)).toEqual(['_aux.json', 'package.json'])
  })

  it('keeps its limit over all of its files together', async () => {
    await using scene = await startScene({ connections: 4 })
    const { hub, manager } = scene
    hub.add('owner/model', { files: filesOf(['a.bin', 'b.bin', 'c.bin', 'd.bin'], 256 * KiB) })
    const begin = performance.now()
    await arrives(await manager.download({ url: ref, maxBytesPerSecond: MiB / 2 }))
    // 1 MiB at half of that a second, less what a bucket may hold when it is opened.
    expect(performance.now() - begin).toBeGreaterThan(1_000)
  })

  it('takes globs, also of a source that knows none', async () => {
    await using origin = await startOrigin()
    const files = filesOf(['a.bin', 'b.json', 'deep/c.json'], KiB)
    for (const [name, content] of Object.entries(files)) origin.serve(`/${name}`, { content })
    const source = sourceOf(() =>
      Object.keys(files).map((filename) => ({ filename, url: origin.url(`/${filename}`) })),
    )
    const directory = tempDir('group-globs')
    await using manager = makeManager(directory, { sources: [source] })
    await arrives(
      await manager.download({ url: 'mine:model', include: ['*.json', 'a.*'], exclude: ['deep/'] }),
    )
    expect(await listTree(directory)).toEqual(['model/', 'model/a.bin', 'model/b.json'])
    const none = await manager.download({ url: 'mine:other', include: ['*.gguf'] })
    expect(await fails(none)).toMatchObject({ code: 'NOT_FOUND' })
    const plain = manager.download({ url: origin.url('/a.bin'), include: ['*.json'] })
    await expect(plain).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
  })

  it('does not meet another download in a file', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files: filesOf(['a.bin', 'b.bin'], 20 * KiB) })
    hub.add('other/model', { files: filesOf(['b.bin', 'c.bin'], 20 * KiB) })
    await arrives(await manager.download({ url: ref }))
    const error = await fails(await manager.download({ url: 'hf:other/model' }))
    expect(error.code).toBe('CONFLICT')
    await arrives(await manager.download({ url: 'hf:other/model@main', filename: 'other' }))
    expect(await listTree(directory)).toContain('other/c.bin')
    // Nor does a single file, wherever it is asked for.
    hub.add('third/x', { files: filesOf(['a.bin'], 20 * KiB) })
    const single = manager.download({ url: 'hf:third/x/a.bin', directory: 'model' })
    await expect(single).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('stops asking when access is refused to every file', async () => {
    await using origin = await startOrigin()
    origin.serve('*', () => ({ status: 403, content: textContent('no') }))
    const names = Array.from({ length: 100 }, (_, index) => `f${index}.bin`)
    const source = sourceOf(() =>
      names.map((filename) => ({ filename, url: origin.url(`/${filename}`), size: 5 })),
    )
    await using manager = makeManager(tempDir('group-refused'), { sources: [source] })
    const error = await fails(await manager.download({ url: 'mine:model' }))
    expect(error.code).toBe('ACCESS_DENIED')
    expect(error.issues).toHaveLength(100)
    expect(origin.requests().length).toBeLessThan(100)
  })

  it('goes on beside a folder where a file should lie', async () => {
    await using scene = await startScene()
    const { hub, manager, directory } = scene
    const files = filesOf(['a.bin', 'b.bin'], 20 * KiB)
    hub.add('owner/model', { files })
    await mkdir(join(directory, 'model', 'a.bin'), { recursive: true })
    await writeFile(join(directory, 'model', 'a.bin', 'mine.txt'), 'mine')
    const error = await fails(await manager.download({ url: ref }))
    expect(error.code).toBe('GROUP_INCOMPLETE')
    expect(error.issues.map(({ path }) => path)).toEqual(['a.bin'])
    await manager.remove(ref, { deleteFile: true })
    expect(await listTree(directory)).toEqual(['model/', 'model/a.bin/', 'model/a.bin/mine.txt'])
  })
})
