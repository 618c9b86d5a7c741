/** The plan of a download, and that planning changes nothing. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { huggingFace } from '../../src/index.js'
import { arrives, makeManager, MiB, startBench } from '../faults/harness.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { mounting, skipFor } from '../support/machine.js'
import { listTree, smallTmpfs, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { withHome } from './home.js'

const content = randomContent(4 * MiB, 'plan')

describe('the plan of a URL', () => {
  it('foresees that another download goes to the file', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    for (const path of ['/a/model.bin', '/b/MODEL.bin']) origin.serve(path, { content, bytesPerSecond: MiB })
    const [url, other] = [origin.url('/a/model.bin'), origin.url('/b/MODEL.bin')]
    const download = await manager.download({ url })
    await expect(manager.plan({ url: other })).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(manager.download({ url: other })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await manager.plan({ url: other, filename: 'b.bin' })).toMatchObject({ url: other })
    expect(await manager.plan({ url }), 'its own').toMatchObject({ url })
    await download.cancel()
    expect(await manager.plan({ url: other }), 'given up').toMatchObject({ url: other })
  })

  it('asks for one byte, and neither starts nor writes anything', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/model.bin', { content })
    const plan = await manager.plan({ url: origin.url('/model.bin'), headers: { 'x-mine': '1' } })
    expect(plan).toEqual({
      url: origin.url('/model.bin'),
      files: [
        {
          filename: 'model.bin',
          path: join(directory, 'model.bin'),
          size: content.size,
          sha256: null,
          status: 'missing',
          haveBytes: 0,
          from: null,
        },
      ],
      totalBytes: content.size,
      missingBytes: content.size,
      freeBytes: expect.any(Number),
      fits: true,
    })
    const requests = origin.requests()
    expect(requests.map(({ headers }) => [headers.range, headers['x-mine']])).toEqual([['bytes=0-0', '1']])
    expect(manager.list()).toEqual([])
    expect(await listTree(dirname(directory))).toEqual([])
  })

  it('follows redirects to other origins without the headers, and hears the name from there', async () => {
    await using bench = await startBench()
    await using other = await startBench()
    bench.origin.serve('/get', { redirect: other.origin.url('/real') })
    other.origin.serve('/real', { content, contentDisposition: 'attachment; filename="told.bin"' })
    const plan = await bench.manager.plan({
      url: bench.origin.url('/get'),
      headers: { authorization: 'secret' },
    })
    expect(plan.files[0]).toMatchObject({ filename: 'told.bin', size: content.size })
    expect(other.origin.requests()[0]?.headers.authorization).toBeUndefined()
  })

  it('without a length knows no totals; of an empty file it knows them', async () => {
    await using bench = await startBench()
    bench.origin.serve('/a.bin', { content, ranges: false, contentLength: false })
    bench.origin.serve('/empty.bin', { content: textContent('') })
    expect(await bench.manager.plan({ url: bench.origin.url('/a.bin') })).toMatchObject({
      totalBytes: null,
      missingBytes: null,
      fits: null,
    })
    expect(await bench.manager.plan({ url: bench.origin.url('/empty.bin') })).toMatchObject({ totalBytes: 0 })
  })

  it('knows what is there, and what was begun', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/model.bin', { content, bytesPerSecond: 4 * MiB })
    const url = origin.url('/model.bin')
    const download = await manager.download({ url })
    await waitFor(() => download.current.downloaded > MiB, { what: 'some bytes' })
    await download.pause()
    const before = await listTree(bench.directory)
    const { files, missingBytes } = await manager.plan({ url })
    expect(files[0]).toMatchObject({ status: 'partial' })
    expect(files[0]!.haveBytes).toBeGreaterThan(MiB / 2)
    expect(missingBytes).toBe(content.size - files[0]!.haveBytes)
    expect(await listTree(bench.directory)).toEqual(before)
    await download.resume()
    await arrives(download)
    expect(await manager.plan({ url })).toMatchObject({
      files: [{ status: 'complete', haveBytes: content.size }],
      missingBytes: 0,
    })
    expect((await manager.plan({ url, force: true })).missingBytes).toBe(content.size)
  })

  it('fails as the download would', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/gone.bin', { status: 404, content: textContent('no') })
    origin.serve('/a.bin', { content })
    const failing = async (options: Parameters<typeof manager.plan>[0]) =>
      manager.plan(options).then(
        () => null,
        (error: unknown) => (error as { code: string }).code,
      )
    expect(await failing({ url: 'ftp://x/y' })).toBe('INVALID_URL')
    expect(await failing({ url: origin.url('/a.bin'), filename: '../x' })).toBe('UNSAFE_FILENAME')
    expect(await failing({ url: origin.url('/gone.bin') })).toBe('NOT_FOUND')
    expect(await failing({ url: origin.url('/a.bin'), size: 5 })).toBe('CONTENT_MISMATCH')
    expect(await failing({ url: origin.url('/a.bin'), remote: true })).toBe('SSRF_BLOCKED')
    await manager.download({ url: origin.url('/a.bin') }).then(arrives)
    expect(await failing({ url: origin.url('/a.bin'), filename: 'other.bin' })).toBe('CONFLICT')
    await manager.close()
    expect(await failing({ url: origin.url('/a.bin') })).toBe('CLOSED')
  })

  it('tells when there is no room', async (context) => {
    const folder = smallTmpfs(MiB)
    if (folder === null) return skipFor(context, mounting)
    await using bench = await startBench({ directory: folder })
    bench.origin.serve('/a.bin', { content })
    const plan = await bench.manager.plan({ url: bench.origin.url('/a.bin') })
    expect(plan.fits).toBe(false)
    expect(plan.freeBytes).toBeLessThanOrEqual(MiB)
  })
})

describe('the plan of a ref', () => {
  const model = ggufContent(300_000)

  it('has path, size and digest of the hub, in both layouts', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files: { 'sub/model.gguf': model } })
    const root = tempDir('plan')
    await using manager = makeManager(root, { sources: [huggingFace({ endpoint: hub.url, token: null })] })
    const url = 'hf:owner/model/sub/model.gguf'
    const flat = await manager.plan({ url })
    expect(flat.files).toMatchObject([
      { path: join(root, 'model.gguf'), size: model.size, sha256: model.sha256(), status: 'missing' },
    ])
    const snapshot = join(root, 'models--owner--model', 'snapshots', commit, 'sub', 'model.gguf')
    const cached = await manager.plan({ url, layout: 'hf-cache' })
    expect(cached.files).toMatchObject([{ path: snapshot, status: 'missing' }])
    await arrives(await manager.download({ url, layout: 'hf-cache' }))
    expect((await manager.plan({ url })).files).toMatchObject([{ path: snapshot, status: 'complete' }])
    await expect(manager.plan({ url, sha256: '0'.repeat(64) })).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    })
  })

  it('finds the file in the caches of this machine, unless it must not look there', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { 'model.gguf': model } })
    await withHome(async (home) => {
      const original = join(home, '.ollama', 'models', 'blobs', `sha256-${model.sha256()}`)
      await mkdir(dirname(original), { recursive: true })
      await writeFile(original, model.slice(0, model.size))
      await using manager = makeManager(tempDir('plan'), {
        sources: [huggingFace({ endpoint: hub.url, token: null })],
      })
      const url = 'hf:owner/model/model.gguf'
      expect(await manager.plan({ url })).toMatchObject({
        files: [{ status: 'adoptable', from: original, haveBytes: model.size }],
        missingBytes: 0,
      })
      expect((await manager.plan({ url, adopt: false })).files[0]?.status).toBe('missing')
      const remote = { allowPrivateNetwork: true }
      expect((await manager.plan({ url, remote })).files[0]?.status, 'a stranger must not know').toBe(
        'missing',
      )
    })
  })
})
