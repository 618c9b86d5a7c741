/** `GET /api/models/inspect` and `GET /api/models/search`. */
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { Lookups } from '../../src/http/upstream/lookups.js'
import { huggingFace } from '../../src/index.js'
import { ggufModel, llamaMetadata } from '../support/gguf.js'
import { randomContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { local, startHttp } from './bench.js'

const tensors = [{ name: 'token_embd.weight', shape: [64, 100], type: 12 }]

async function startBench({ allowed }: { allowed: boolean }) {
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
