/** Refs wherever a URL is taken: the command line, killed in the middle too; the routes; a catalog. */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { createHandler, huggingFace } from '../../src/index.js'
import { listen } from '../../src/http/node.js'
import { open } from '../catalog/support.js'
import { jsonLines, run, start } from '../cli/run.js'
import { arrives, expectInvariant, KiB, makeManager, MiB } from '../faults/harness.js'
import { serve } from '../http/serving.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const model = ggufContent(200 * KiB)
const token = 'hf_canary'

describe('get', () => {
  it('goes on after kill -9, though the links that it had are worth nothing by then', async () => {
    await using hub = await startHub()
    const content = randomContent(6 * MiB, 'killed')
    hub.add('owner/gated', { files: { 'model.bin': content }, gated: 'manual' })
    hub.allow(token, ['owner/gated'])
    hub.cdnBehaviour = { bytesPerSecond: 2 * MiB, etag: null, lastModified: null }
    const directory = tempDir('hub-cli')
    const ref = 'hf:owner/gated/model.bin@main'
    const args = ['get', ref, '-d', directory, '--json', '--connections', '1']
    const options = { env: { HF_ENDPOINT: hub.url, HF_TOKEN: token } }

    const killed = start(args, options)
    await waitFor(() => hub.cdn.bytesSent() > 3 * MiB, { timeoutMs: 10_000 })
    killed.child.kill('SIGKILL')
    const first = await killed.ended
    hub.expireLinks()
    hub.cdnBehaviour = { etag: null, lastModified: null }
    const sent = hub.cdn.bytesSent()
    const second = await run(args, options)

    expect(second.code, second.stderr).toBe(0)
    expect(jsonLines(second.stdout).at(-1)).toMatchObject({ type: 'completed', url: ref, verified: true })
    expect(hub.cdn.bytesSent() - sent, 'only what is missing').toBeLessThan(content.size - MiB)
    await expectInvariant(directory, 'model.bin', 'done', { content })
    expect(first.stdout + first.stderr + second.stdout + second.stderr).not.toContain(token)
    expect(JSON.stringify(hub.cdn.requests().map(({ headers }) => headers))).not.toContain(token)
  })

  it('tells of a ref that makes no sense before anything is fetched, and of one that names nothing', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { 'model-Q8_0.gguf': model } })
    const options = { env: { HF_ENDPOINT: hub.url }, cwd: tempDir('hub-cli') }
    const senseless = await run(['get', 'hf:owner'], options)
    expect(senseless.code).toBe(2)
    expect(senseless.stderr).toContain('owner/name')
    const absent = await run(['get', 'hf:owner/model:Q4_0@main'], options)
    expect(absent.code).toBe(1)
    expect(absent.stderr).toContain('hf:owner/model:Q4_0@main')
    expect(absent.stderr).toContain('it has Q8_0')
  })
})

describe('the routes', () => {
  it('fetch a ref as far as the host lets remote callers reach, and tell of it under its name', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { 'model.gguf': model } })
    await using manager = makeManager(tempDir('hub-rest'), {
      sources: [huggingFace({ endpoint: hub.url, token: null })],
      defaultMode: 'llm',
    })
    const ref = 'hf:owner/model/model.gguf'
    const post = async (allowPrivateNetwork: boolean) => {
      const handler = createHandler({ manager, allowPrivateNetwork })
      const { url } = await serve((req, res) => {
        listen(handler, req, res)
      })
      const response = await fetch(`${url}/api/models/download`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ url: ref }),
      })
      expect(await response.json()).toMatchObject({ success: true, url: ref, filename: 'model.gguf' })
      await waitFor(() => ['completed', 'failed'].includes(manager.get(ref)?.state ?? ''))
      const status = await fetch(`${url}/api/models/download/status?url=${encodeURIComponent(ref)}`)
      return await status.json()
    }
    expect(await post(false)).toMatchObject({
      download: { url: ref, status: 'failed', code: 'SSRF_BLOCKED' },
    })
    expect(hub.origin.totalConnections).toBe(0)
    expect(await post(true)).toMatchObject({
      download: { url: ref, status: 'completed', sha256: model.sha256(), verified: true },
    })
  })
})

describe('a catalog', () => {
  it('names models by ref, also by one of a source of the host', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { 'model.gguf': model, 'small.txt': textContent('small') } })
    const commit = hub.commit('owner/model', { 'model.gguf': model, 'small.txt': textContent('small') })
    const mine = {
      name: 'mine',
      match: (ref: string) => ref.startsWith('mine:'),
      resolve: () =>
        Promise.resolve({
          files: [
            {
              filename: 'deep/small.txt',
              urls: [`${hub.url}/owner/model/resolve/${commit}/small.txt`],
              headers: {},
            },
          ],
        }),
    }
    const directory = tempDir('hub-catalog')
    await using scene = await open(
      [
        { key: 'hub', ref: 'hf:owner/model/model.gguf' },
        { key: 'own', ref: 'mine:small', mode: 'embed' },
      ],
      { directory, worker: false, sources: [huggingFace({ endpoint: hub.url, token: null }), mine] },
    )
    await scene.preloader.start({ models: 'all' })
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 2 })
    await expectInvariant(path.join(directory, 'llm'), 'model.gguf', 'done', { content: model })
    await expectInvariant(path.join(directory, 'embed'), 'small.txt', 'done', {
      content: textContent('small'),
    })
  })
})

describe('a source of the host', () => {
  it('that is gone after a restart, or breaks, is told as such', async () => {
    const broken = {
      name: 'broken',
      match: (ref: string) => ref.startsWith('broken:'),
      resolve: () => Promise.reject(new TypeError('oops')),
    }
    await using manager = makeManager(tempDir('hub-own'), { sources: [broken] })
    const download = await manager.download({ url: 'broken:x' })
    await expect(arrives(download)).rejects.toMatchObject({ code: 'INTERNAL' })
    const bad = { ...broken, resolve: () => Promise.resolve({ files: [] }) }
    await using other = makeManager(tempDir('hub-own'), { sources: [bad] })
    await expect(arrives(await other.download({ url: 'broken:x' }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await using none = makeManager(tempDir('hub-own'))
    await expect(none.download({ url: 'broken:x' })).rejects.toMatchObject({ code: 'INVALID_URL' })
    expect(() => makeManager(tempDir('hub-own'), { sources: [broken, broken] })).toThrow(
      /two sources are named broken/,
    )
  })

  it('whose filenameOf throws refuses the download and its plan with INTERNAL', async () => {
    const broken = {
      name: 'broken',
      match: (ref: string) => ref.startsWith('broken:') || ref.startsWith('https://broken.example/'),
      filenameOf: () => {
        throw new TypeError('oops')
      },
      resolve: () => Promise.resolve({ files: [] }),
    }
    await using manager = makeManager(tempDir('hub-own'), { sources: [broken] })
    for (const url of ['broken:x', 'https://broken.example/a.gguf']) {
      const expected = { name: 'DownloadError', code: 'INTERNAL', message: 'Unexpected failure: oops' }
      await expect(manager.download({ url }), url).rejects.toMatchObject(expected)
      await expect(manager.plan({ url }), url).rejects.toMatchObject(expected)
    }
    expect(manager.list()).toEqual([])
  })
})
