import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DownloadManager } from '../../src/index.js'
import { arrives, expectInvariant, fails, KiB, makeManager, startBench } from '../faults/harness.js'
import {
  type Content,
  ggufContent,
  randomContent,
  safetensorsContent,
  textContent,
} from '../support/content.js'
import type { Resource } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { EventLog } from './events.js'

const content = ggufContent(128 * KiB)

const disposition = (value: string): Resource => ({ content, contentDisposition: value })

describe('modes', () => {
  it('are sub-folders, llm unless something else is said', async () => {
    await using bench = await startBench({ defaultMode: 'llm' })
    const { manager, origin, directory } = bench
    for (const name of ['a', 'b', 'c', 'd']) origin.serve(`/${name}.gguf`, { content })
    const get = (name: string, mode?: string | null) =>
      manager.download({ url: origin.url(`/${name}.gguf`), ...(mode === undefined ? {} : { mode }) })
    const downloads = [
      await get('a'),
      await get('b', 'embed'),
      await get('c', 'rerank'),
      await get('d', null),
    ]
    await Promise.all(downloads.map((download) => arrives(download)))
    expect(downloads.map((download) => download.mode)).toEqual(['llm', 'embed', 'rerank', null])
    const files = ['d.gguf', 'embed/', 'embed/b.gguf', 'llm/', 'llm/a.gguf', 'rerank/', 'rerank/c.gguf']
    expect(await listTree(directory)).toEqual(files)
    expect(downloads[1]?.path).toBe(join(directory, 'embed', 'b.gguf'))
  })

  it('can be any that the host registers', async () => {
    await using bench = await startBench({ modes: ['voice'], defaultMode: null })
    const { manager, origin, directory } = bench
    for (const name of ['a', 'b']) origin.serve(`/${name}.gguf`, { content })
    await arrives(await manager.download({ url: origin.url('/a.gguf'), mode: 'voice' }))
    await arrives(await manager.download({ url: origin.url('/b.gguf') }))
    expect(await listTree(directory)).toEqual(['b.gguf', 'voice/', 'voice/a.gguf'])
  })

  it.each(['video', '', '..', '../llm', 'llm/../..'])('refuse %j', async (mode) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const refused = manager.download({ url: origin.url('/a.gguf'), mode })
    await expect(refused).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      issues: [{ path: 'mode', message: 'must be one of llm, embed, rerank' }],
    })
    expect(manager.list()).toEqual([])
    expect(origin.requests()).toEqual([])
    await expectInvariant(directory, 'a.gguf', 'N')
  })

  it('lie below ./models unless a directory is given', async () => {
    await using manager = new DownloadManager({ store: 'memory' })
    expect(manager.directory).toBe(join(process.cwd(), 'models'))
  })
})

describe('the name of a file', () => {
  it.each([
    ['/dir/model-Q4_K_M.gguf?download=true#x', 'model-Q4_K_M.gguf'],
    ['/a%20b.gguf', 'a b.gguf'],
    ['/m%C3%B6del.gguf', 'mödel.gguf'],
  ])('is the last segment of the URL: %s', async (path, name) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('*', { content, contentDisposition: 'attachment; filename="other.gguf"' })
    const download = await manager.download({ url: origin.url(path) })
    expect(download).toMatchObject({ filename: name, named: true })
    await arrives(download)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('is what the caller says, before all others', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('*', { content, contentDisposition: 'attachment; filename="other.gguf"' })
    await arrives(await manager.download({ url: origin.url('/a.gguf'), filename: 'mine.gguf' }))
    await expectInvariant(directory, 'mine.gguf', 'done', { content })
  })

  it.each<[string, Resource, string]>([
    ['the server', disposition('attachment; filename="named.gguf"'), 'named.gguf'],
    ['the server, in UTF-8', disposition("attachment; filename*=UTF-8''n%C3%A4m.gguf"), 'näm.gguf'],
    ['nobody', { content }, 'model.gguf'],
    ['nobody, with a disposition without a name', disposition('inline'), 'model.gguf'],
  ])('is provisional for a URL without extension, until told by %s', async (_, resource, name) => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin, directory } = bench
    origin.serve('/download', resource)
    const download = await manager.download({ url: origin.url('/download') })
    expect(download).toMatchObject({ filename: 'model.gguf', named: false })
    const file = await arrives(download)
    expect(file).toMatchObject({ filename: name, path: join(directory, name) })
    expect(download).toMatchObject({ filename: name, named: true, path: join(directory, name) })
    await expectInvariant(directory, name, 'done', { content })
    expect(origin.requests('/download')).toHaveLength(1)
  })

  it('is the last segment of where redirects lead, when nobody else says', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/resolve', { redirect: '/cdn/real.gguf?signature=x' })
    origin.serve('/cdn/real.gguf', { content })
    const file = await arrives(await manager.download({ url: origin.url('/resolve') }))
    expect(file.filename).toBe('real.gguf')
    await expectInvariant(directory, 'real.gguf', 'done', { content })
  })

  it('goes to the server before the redirect', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/resolve', { redirect: '/cdn/real.gguf' })
    origin.serve('/cdn/real.gguf', disposition('attachment; filename="named.gguf"'))
    await arrives(await manager.download({ url: origin.url('/resolve') }))
    await expectInvariant(directory, 'named.gguf', 'done', { content })
  })

  it.each<[string, string, Content, Partial<Resource>]>([
    ['/models/128713', 'download-128713.safetensors', safetensorsContent(100_000), {}],
    ['/models/128713', 'download-128713.gguf', content, {}],
    ['/download', 'model.safetensors', safetensorsContent(100_000), {}],
    ['/download', 'model.bin', randomContent(100_000), {}],
    ['/download', 'model.bin', randomContent(10), { ranges: false, contentLength: false }],
    ['/download', 'model.bin', randomContent(0), {}],
    ['/answer?id=7', 'download-7.json', textContent('{}'), { contentType: 'application/json' }],
  ])('that nobody tells is made up of the address and the format: %s → %s', async (path, name, file, how) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve(path.replace(/\?.*/, ''), { content: file, ...how })
    const url = origin.url(path)
    expect((await manager.plan({ url })).files[0]?.path).toBe(join(directory, name))
    expect((await arrives(await manager.download({ url }))).filename).toBe(name)
    await expectInvariant(directory, name, 'done', { content: file })
  })

  it.each([{ type: 'truncate', afterBytes: 100 } as const, { type: 'stallBody', afterBytes: 100 } as const])(
    'is made up only of bytes that really are the first, after %o',
    async (fault) => {
      await using bench = await startBench()
      const { manager, origin, directory } = bench
      origin.serve('/download', { content, faults: [{ ...fault, times: 2 }] })
      await arrives(await manager.download({ url: origin.url('/download') }))
      await expectInvariant(directory, 'model.gguf', 'done', { content })
    },
  )

  it('that nobody tells is the same when the download is resumed', async () => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin, directory } = bench
    const file = safetensorsContent(300_000)
    origin.serve('/models/7', {
      content: file,
      faults: [{ type: 'stallBody', afterBytes: 100_000, times: 1 }],
    })
    const url = origin.url('/models/7')
    const download = await manager.download({ url })
    await waitFor(() => download.current.downloaded > 0, { what: 'bytes on disk' })
    await manager.pause(url)
    await expectInvariant(directory, 'download-7.safetensors', 'K')
    await manager.close()
    origin.serve('/models/7', { content: file })
    await using again = makeManager(directory)
    const got = await arrives(await again.download({ url }))
    expect(got.fetchedBytes).toBeLessThan(300_000)
    await expectInvariant(directory, 'download-7.safetensors', 'done', { content: file })
    expect(download.filename).toBe('download-7.safetensors')
  })

  it('that nobody tells does not make a file of a web page', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/models/7', { content: textContent('<!doctype html><title>Sign in</title>') })
    expect((await fails(await manager.download({ url: origin.url('/models/7') }))).code).toBe(
      'CONTENT_MISMATCH',
    )
    expect(await listTree(directory)).toEqual([])
  })

  it('of an existing file is known only then: it is not fetched again', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/named.gguf', { content })
    origin.serve('/download', disposition('attachment; filename="named.gguf"'))
    const first = await manager.download({ url: origin.url('/named.gguf') })
    await arrives(first)
    await manager.remove(first.url)
    const file = await arrives(
      await manager.download({ url: origin.url('/download'), sha256: content.sha256() }),
    )
    expect(file).toMatchObject({ existed: true, verified: true, filename: 'named.gguf' })
    await expectInvariant(directory, 'named.gguf', 'done', { content })
  })
})

describe('row 41: an unsafe name', () => {
  const unsafe = [
    '../evil.gguf',
    '..',
    '/etc/passwd',
    'C:\\evil.gguf',
    '\\\\host\\share\\a.gguf',
    'a/b.gguf',
    'CON',
    'nul.gguf',
    'a.gguf:stream',
    'a\u202egguf.exe',
    'a\0.gguf',
    'a\n.gguf',
    'a.gguf.',
    'a.gguf.part',
    '.model-downloader',
    `${'x'.repeat(250)}.gguf`,
    '',
  ]

  it.each(unsafe)('from the caller is refused: %j', async (filename) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const refused = manager.download({ url: origin.url('/a.gguf'), filename })
    await expect(refused).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
    expect(manager.list()).toEqual([])
    expect(origin.requests()).toEqual([])
    await expectInvariant(directory, 'a.gguf', 'N')
  })

  it.each(['/..%2fevil.gguf', '/a%00b.gguf', '/a%5cb.gguf', '/con.gguf', '/a.gguf%0a'])(
    'in the URL is refused: %s',
    async (path) => {
      await using bench = await startBench()
      const { manager, origin, directory } = bench
      const refused = manager.download({ url: origin.url(path) })
      await expect(refused).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
      expect(origin.requests()).toEqual([])
      await expectInvariant(directory, 'a.gguf', 'N')
    },
  )

  it.each([
    'attachment; filename="../evil.gguf"',
    'attachment; filename="..\\\\evil.gguf"',
    "attachment; filename*=UTF-8''..%2Fevil.gguf",
    'attachment; filename=".npmrc"',
    'attachment; filename="package.json"',
  ])('from the server fails the download, and nothing is made: %s', async (contentDisposition) => {
    const outside = tempDir('outside')
    const directory = join(outside, 'models')
    await using bench = await startBench({ directory })
    const { manager, origin } = bench
    const log = new EventLog(manager)
    origin.serve('/download', { content, contentDisposition })
    const download = await manager.download({ url: origin.url('/download') })
    expect((await fails(download)).code).toBe('UNSAFE_FILENAME')
    expect(log.names()).toEqual(['queued', 'started', 'failed'])
    expect(origin.requests()).toHaveLength(1)
    await manager.close()
    expect(await listTree(outside)).toEqual([])
  })

  it.each(['/x/..%2fevil.gguf', '/x/package.json', '/x/.env.local'])(
    'from a redirect fails the download, and nothing is made: %s',
    async (path) => {
      await using bench = await startBench()
      const { manager, origin, directory } = bench
      origin.serve('/download', { redirect: path })
      origin.serve('*', { content })
      const download = await manager.download({ url: origin.url('/download') })
      expect((await fails(download)).code).toBe('UNSAFE_FILENAME')
      await expectInvariant(directory, 'model.gguf', 'N')
    },
  )

  it.each<[string, Resource]>([
    ['model_v1_.gguf', disposition('attachment; filename="model:v1?.gguf"')],
    ['model.gguf', disposition('attachment; filename="/srv/models/model.gguf"')],
    ['model.gguf', disposition('attachment; filename="C:\\models\\model.gguf"')],
    ['a_b.gguf', { redirect: '/x/a%3Ab.gguf' }],
    ['_aux.gguf', { redirect: '/x/aux.gguf' }],
  ])('row 59: from the server is cleaned: %s (%o)', async (name, resource) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('*', { content })
    origin.serve('/download', resource)
    const file = await arrives(await manager.download({ url: origin.url('/download') }))
    expect(file.filename).toBe(name)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('row 59: an escaped slash in the URL separates folders of the server', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('*', { content })
    const download = await manager.download({ url: origin.url('/o/models%2Fmodel.gguf?alt=media') })
    expect(download).toMatchObject({ filename: 'model.gguf', named: true })
    await arrives(download)
    await expectInvariant(directory, 'model.gguf', 'done', { content })
  })

  it('of a file that configures programs may be chosen by the caller', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('*', { content })
    await arrives(await manager.download({ url: origin.url('/download'), filename: '.npmrc' }))
    await arrives(await manager.download({ url: origin.url('/package.json') }))
    expect(await listTree(directory)).toEqual(['.npmrc', 'package.json'])
  })

  it('from the server does no harm when the caller names the file', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/download', { content, contentDisposition: 'attachment; filename="../evil.gguf"' })
    await arrives(await manager.download({ url: origin.url('/download'), filename: 'good.gguf' }))
    await expectInvariant(directory, 'good.gguf', 'done', { content })
  })
})

it('row 27: a name of 238 bytes is fine, one more is not', async () => {
  await using bench = await startBench()
  const { manager, origin, directory } = bench
  origin.serve('*', { content: randomContent(70 * KiB) })
  const longest = 'x'.repeat(238)
  const refused = manager.download({ url: origin.url('/a'), filename: `${longest}x` })
  await expect(refused).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
  await arrives(await manager.download({ url: origin.url('/a'), filename: longest }))
  await expectInvariant(directory, longest, 'done', { content: randomContent(70 * KiB) })
})

it('two managers of one folder agree about where files lie', () => {
  const directory = tempDir('two')
  const [one, two] = [makeManager(directory), makeManager(join(directory, 'x', '..'))]
  expect(one.directory).toBe(two.directory)
})
