/** The routes that ask sources: `inspect`, `search`, `check`, `outdated` and `update`. */
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { Lookups } from '../../src/http/upstream/lookups.js'
import { huggingFace } from '../../src/index.js'
import { ggufModel, llamaMetadata } from '../support/gguf.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { createHandler } from '../../src/http/handler.js'
import { ask, local, startHttp } from './bench.js'

const tensors = [{ name: 'token_embd.weight', shape: [64, 100], type: 12 }]

async function startBench({ allowed, maxQueued }: { allowed: boolean; maxQueued?: number }) {
  const hub = await startHub()
  hub.add('owner/tiny-GGUF', {
    files: {
      'tiny-Q4_K_M.gguf': ggufModel(20_000, { metadata: llamaMetadata, tensors }),
      'bad.gguf': randomContent(20_000),
    },
  })
  const bench = await startHttp({
    of: { sources: [huggingFace({ endpoint: hub.url, token: null })] },
    allowPrivateNetwork: allowed,
    allowedHosts: [],
    ...(maxQueued === undefined ? {} : { maxQueued }),
  })
  return {
    hub,
    bench,
    async [Symbol.asyncDispose]() {
      await bench[Symbol.asyncDispose]()
      await hub[Symbol.asyncDispose]()
    },
  }
}

describe('GET /api/models/inspect', () => {
  it('tells what a ref stands for, through the client', async () => {
    await using scene = await startBench({ allowed: true })
    const { handler } = scene.bench
    const client = createClient({
      baseUrl: 'http://localhost:8050',
      fetch: (input, init) => handler(new Request(input, init), local),
    })
    const found = await client.inspect('hf:owner/tiny-GGUF')
    expect(found).toMatchObject({
      success: true,
      url: 'hf:owner/tiny-GGUF',
      source: 'huggingface',
      file_count: 2,
      total_bytes: 40_000,
      quantisations: [{ name: 'Q4_K_M', files: 1, size: 20_000 }],
      models: [
        {
          filename: 'bad.gguf',
          header: null,
          code: 'CONTENT_MISMATCH',
          error: expect.stringContaining('GGUF'),
        },
        {
          filename: 'tiny-Q4_K_M.gguf',
          format: 'gguf',
          files: 1,
          header: {
            architecture: 'llama',
            name: 'Tiny Llama',
            parameters: 6_400,
            context_length: 8192,
            quantisation: 'Q4_K_M',
            tensors: 1,
            chat_template: true,
          },
          error: null,
          code: null,
        },
      ],
    })
    expect(Object.keys(found.files[0] ?? {}).sort()).toEqual([
      'digests',
      'filename',
      'git_oid',
      'quantisation',
      'sha256',
      'size',
    ])
    const { models } = await client.search('tiny', { gguf: true, limit: 5 })
    expect(models).toMatchObject([
      { ref: 'hf:owner/tiny-GGUF', downloads: 1_000, updated_at: '2026-01-01T00:00:00.000Z' },
    ])
    expect(scene.bench.manager.list()).toEqual([])
  })

  it('tells of the files that globs choose, each of which is a field of its own', async () => {
    await using scene = await startBench({ allowed: true })
    const { bench } = scene
    const filesOf = async (query: string) => {
      const { body } = await bench.ask('GET', `/api/models/inspect?url=hf:owner/tiny-GGUF${query}`)
      // The test fails if it is a problem, which has no files.
      return (body['files'] as { filename: string }[] | undefined)?.map(({ filename }) => filename) ?? body
    }
    expect(await filesOf('&include=tiny-*')).toEqual(['tiny-Q4_K_M.gguf'])
    expect(await filesOf('&exclude=tiny-*')).toEqual(['bad.gguf'])
    expect(await filesOf('&include=tiny-*&include=bad.*')).toEqual(['bad.gguf', 'tiny-Q4_K_M.gguf'])
    expect(await filesOf('&include=*&include=none&exclude=bad.*&exclude=other')).toEqual(['tiny-Q4_K_M.gguf'])
    expect(await filesOf('&include=none')).toMatchObject({ code: 'NOT_FOUND' })
    expect(await filesOf('&include=')).toMatchObject({ code: 'INVALID_OPTIONS' })
    expect(await filesOf('&include=a'.repeat(101))).toMatchObject({ code: 'INVALID_OPTIONS' })
    expect(await filesOf('&url=hf:owner/tiny-GGUF/bad.gguf'), 'of any other field, the last one').toEqual([
      'bad.gguf',
    ])
  })

  it('refuses what is not allowed, and what is no question', async () => {
    await using scene = await startBench({ allowed: false })
    const { bench } = scene
    const codeOf = async (path: string) => {
      const { status, body } = await bench.ask('GET', path)
      return [status, body['code']]
    }
    expect(await codeOf('/api/models/inspect?url=hf:owner/tiny-GGUF')).toEqual([400, 'SSRF_BLOCKED'])
    expect(await codeOf('/api/models/search?text=tiny')).toEqual([400, 'SSRF_BLOCKED'])
    expect(await codeOf('/api/models/inspect?url=http://127.0.0.1/a.gguf')).toEqual([400, 'SSRF_BLOCKED'])
    expect(await codeOf('/api/models/inspect?url=nothing%20at%20all')).toEqual([400, 'INVALID_URL'])
    expect(await codeOf('/api/models/inspect')).toEqual([400, 'INVALID_OPTIONS'])
    expect(await codeOf('/api/models/search?text=%20')).toEqual([400, 'INVALID_OPTIONS'])
    expect(await codeOf('/api/models/search?text=a&limit=1000')).toEqual([400, 'INVALID_OPTIONS'])
    expect(await codeOf('/api/models/search?text=a&source=file')).toEqual([400, 'INVALID_OPTIONS'])
    expect(scene.hub.origin.requests()).toEqual([])
  })
})

describe('what has changed at the source', () => {
  const before = { 'model.bin': randomContent(40_000, 'model'), 'config.json': textContent('{"a":1}') }

  /** A client with one completed group, and with a completed file of a plain URL. */
  async function startFinished(options: Parameters<typeof startBench>[0] & { maxQueued?: number }) {
    const scene = await startBench(options)
    const { bench, hub } = scene
    const first = hub.add('owner/model', { files: before })
    bench.origin.serve('/a.bin', { content: randomContent(1000), headers: { ETag: '"1"' } })
    const client = createClient({
      baseUrl: 'http://localhost:8050',
      fetch: (input, init) => bench.handler(new Request(input, init), local),
    })
    const plain = bench.origin.url('/a.bin')
    for (const url of ['hf:owner/model', plain]) {
      await (
        await bench.manager.download({ url })
      ).finished
    }
    return { ...scene, client, first, plain }
  }

  it('is told of one download and of all, and fetched', async () => {
    await using scene = await startFinished({ allowed: true })
    const { hub, client, first, plain, bench } = scene
    const group = 'hf:owner/model'
    expect(await client.check(group)).toMatchObject({ status: 'current', by: 'revision', change_count: 0 })
    expect(await client.outdated()).toEqual({ success: true, checked: 2, checks: [] })
    expect((await client.outdated({ all: true })).checks.map(({ url, status }) => [url, status])).toEqual([
      [group, 'current'],
      [plain, 'current'],
    ])
    expect(await client.update(plain)).toMatchObject({ url: plain, state: 'completed' })
    const second = hub.commit('owner/model', { ...before, 'config.json': textContent('{"a":2}') })
    expect((await client.outdated()).checks).toEqual([
      {
        url: group,
        status: 'outdated',
        by: 'digest',
        revision: first,
        latest_revision: second,
        change_count: 1,
        changes: [{ filename: 'config.json', change: 'changed', size: 7 }],
        bytes: 7,
        error: null,
        code: null,
      },
    ])
    const queued = await client.update(group)
    expect(queued.url).toBe(group)
    const { fetchedBytes } = (await bench.manager.get(group)?.finished) ?? {}
    expect(fetchedBytes).toBe(7)
    expect(await client.check(group)).toMatchObject({ status: 'current', revision: second })
    hub.remove('owner/model')
    bench.origin.serve('/a.bin', { status: 404 })
    // To strangers, the hub does not tell whether a repository exists.
    expect((await client.outdated()).checks).toMatchObject([
      { url: group, status: 'unknown', code: 'ACCESS_DENIED', error: expect.stringContaining('owner/model') },
      { url: plain, status: 'gone', code: 'NOT_FOUND', bytes: null },
    ])
    await expect(client.update(group)).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    await expect(client.update(plain)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(bench.manager.get(plain)?.state).toBe('completed')
  })

  it('is neither asked nor fetched for a download that is unknown or not completed, or without permission', async () => {
    await using scene = await startFinished({ allowed: true })
    const { bench, client, plain } = scene
    await expect(client.check('hf:no/body')).rejects.toMatchObject({ code: 'UNKNOWN_DOWNLOAD' })
    await expect(client.update('hf:no/body')).rejects.toMatchObject({ code: 'UNKNOWN_DOWNLOAD' })
    bench.origin.serve('/slow.bin', { content: randomContent(1_000_000), bytesPerSecond: 1000 })
    const slow = bench.origin.url('/slow.bin')
    await client.download({ url: slow })
    await expect(client.check(slow)).rejects.toMatchObject({ code: 'INVALID_STATE' })
    await expect(client.update(slow)).rejects.toMatchObject({ code: 'INVALID_STATE' })
    const readOnly = createHandler({
      manager: bench.manager,
      authorize: (action) => action === 'downloads:read',
    })
    const seen = bench.origin.requests().length
    for (const [method, path] of [
      ['GET', `/api/models/check?url=${encodeURIComponent(plain)}`],
      ['GET', '/api/models/outdated'],
      ['POST', '/api/models/update'],
    ] as const) {
      const sent = method === 'POST' ? { json: { url: plain } } : {}
      expect([path, (await ask(readOnly, method, path, sent)).status]).toEqual([path, 403])
    }
    expect(bench.origin.requests()).toHaveLength(seen)
  })

  it('is not fetched while too many downloads wait', async () => {
    await using scene = await startFinished({ allowed: true, maxQueued: 0 })
    const { bench, client, plain } = scene
    bench.origin.serve('/a.bin', { content: randomContent(2000), headers: { ETag: '"2"' } })
    await expect(client.update(plain)).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    expect(bench.manager.get(plain)?.state).toBe('completed')
  })
})

describe('questions to sources', () => {
  it('are asked a few at a time, and refused when too many wait', async () => {
    const lookups = new Lookups()
    const ends: (() => void)[] = []
    const { signal } = new AbortController()
    const ask = (own = signal) => lookups.run(own, () => new Promise<void>((resolve) => ends.push(resolve)))
    const asked = Array.from({ length: 19 }, () => ask())
    const left = expect(ask(AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELED' })
    await expect(ask()).rejects.toMatchObject({ code: 'QUEUE_FULL', retryable: true })
    await expect.poll(() => ends.length).toBe(4)
    while (ends.length > 0) {
      ends.shift()?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all(asked)
    await left
    const again = ask()
    await expect.poll(() => ends.length).toBe(1)
    ends[0]?.()
    await again
  })
})
