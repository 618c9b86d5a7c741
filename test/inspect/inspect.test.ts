/** Refs are looked at before anything of them is fetched, against the imitation of the hub. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { DownloadManager, huggingFace, modelScope } from '../../src/index.js'
import { isDownloadError } from '../../src/errors.js'
import { ggufModel, llamaMetadata, safetensorsModel } from '../support/gguf.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { startApi } from '../sources/api-server.js'
import { tempDir } from '../support/temp.js'

const tensors = [{ name: 'token_embd.weight', shape: [64, 1000], type: 12 }]

const files = {
  'README.md': textContent('# A model'),
  'tiny-Q4_K_M.gguf': ggufModel(3_000_000, { metadata: llamaMetadata, tensors }),
  'tiny-Q8_0.gguf': ggufModel(5_000_000, { metadata: llamaMetadata, tensors }),
}

afterEach(() => {
  vi.unstubAllEnvs()
})

/** A manager of the hub at an address. */
function managerOf(endpoint: string, options: ConstructorParameters<typeof DownloadManager>[0] = {}) {
  return new DownloadManager({
    directory: tempDir('inspect'),
    sources: [huggingFace({ endpoint, token: null })],
    worker: false,
    tuning: { maxAttempts: 1 },
    ...options,
  })
}

describe('inspect', () => {
  it('tells files, quantisations and what the smallest one says, and fetches no file', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/tiny-GGUF', { files, license: 'apache-2.0' })
    await using manager = managerOf(hub.url)
    const found = await manager.inspect('hf:owner/tiny-GGUF')
    expect(found).toMatchObject({
      url: 'hf:owner/tiny-GGUF',
      source: 'huggingface',
      name: 'tiny-GGUF',
      revision: commit,
      license: 'apache-2.0',
      gated: false,
      totalBytes: 8_000_009,
      quantisations: [
        { name: 'Q4_K_M', files: 1, size: 3_000_000 },
        { name: 'Q8_0', files: 1, size: 5_000_000 },
      ],
    })
    expect(
      found.files.map(({ filename, sha256, gitOid }) => [filename, sha256 !== null, gitOid !== null]),
    ).toEqual([
      ['README.md', false, true],
      ['tiny-Q4_K_M.gguf', true, false],
      ['tiny-Q8_0.gguf', true, false],
    ])
    const header = {
      architecture: 'llama',
      name: 'Tiny Llama',
      parameters: 64_000,
      contextLength: 8192,
      quantisation: 'Q4_K_M',
      tensors: 1,
      chatTemplate: true,
    }
    expect(found.models).toEqual([
      { filename: 'tiny-Q4_K_M.gguf', format: 'gguf', files: 1, size: 3_000_000, header, error: null },
      { filename: 'tiny-Q8_0.gguf', format: 'gguf', files: 1, size: 5_000_000, header: null, error: null },
    ])
    const asked = hub.cdn.requests()
    expect(asked.map(({ headers }) => headers.range)).toEqual(['bytes=0-262143'])
    expect(manager.list()).toEqual([])
  })

  it('adds up split models, and reads what is beside safetensors', async () => {
    await using hub = await startHub()
    const split = (number: number) =>
      ggufModel(
        20_000,
        {
          metadata:
            number === 1
              ? { ...llamaMetadata, 'split.count': { u16: 2 }, 'split.tensors.count': { u32: 2 } }
              : {},
          tensors: [{ name: `part${number}`, shape: [100, number], type: 12 }],
        },
        number,
      )
    const part = (name: string, rows: number) =>
      safetensorsModel({ [name]: { dtype: 'BF16', shape: [rows, 10], bytes: rows * 20 } })
    hub.add('owner/mixed', {
      files: {
        'big-Q2_K-00001-of-00002.gguf': split(1),
        'big-Q2_K-00002-of-00002.gguf': split(2),
        'config.json': textContent(
          JSON.stringify({ architectures: ['LlamaForCausalLM'], max_position_embeddings: 4096 }),
        ),
        'model-00001-of-00002.safetensors': part('a', 1_000),
        'model-00002-of-00002.safetensors': part('b', 2_000),
        'model.safetensors.index.json': textContent(JSON.stringify({ weight_map: { a: 'x', b: 'y' } })),
        'tokenizer_config.json': textContent('{"chat_template":"…"}'),
      },
    })
    await using manager = managerOf(hub.url)
    const { models } = await manager.inspect('hf:owner/mixed')
    expect(models.map(({ files: count, header, error }) => ({ count, header, error }))).toMatchObject([
      {
        count: 2,
        error: null,
        header: { architecture: 'llama', parameters: 300, tensors: 2, quantisation: 'Q2_K' },
      },
      {
        count: 2,
        error: null,
        header: {
          architecture: 'LlamaForCausalLM',
          parameters: 30_000,
          contextLength: 4096,
          quantisation: 'BF16',
          tensors: 2,
          chatTemplate: true,
        },
      },
    ])
    const some = await manager.inspect('hf:owner/mixed', {
      include: ['*00001-of-00002.safetensors', '*.index.json'],
    })
    expect(some.models).toMatchObject([
      {
        header: { parameters: null, tensors: 2 },
        error: { message: expect.stringContaining('1 of the model') },
      },
    ])
  })

  it('says why a header can not be read, and tells the rest', async () => {
    await using hub = await startHub()
    hub.add('owner/odd', {
      files: { 'bad.gguf': randomContent(20_000), 'ok.safetensors': files['tiny-Q8_0.gguf'] },
    })
    await using manager = managerOf(hub.url)
    const { models } = await manager.inspect('hf:owner/odd')
    expect(models.map(({ header, error }) => [header, error?.code])).toEqual([
      [null, 'CONTENT_MISMATCH'],
      [null, 'CONTENT_MISMATCH'],
    ])
    hub.cdnBehaviour = { ranges: false }
    const whole = await manager.inspect('hf:owner/odd', { include: ['*.safetensors'] })
    expect(whole.models).toMatchObject([{ error: { code: 'CONTENT_MISMATCH' } }])
    const none = await manager.inspect('hf:owner/odd', { readHeaders: false })
    expect(none.models).toMatchObject([{ error: null }, { error: null }])
  })

  it('looks at plain URLs, with their headers, also on servers without ranges', async () => {
    await using origin = await startOrigin()
    const content = files['tiny-Q8_0.gguf']
    origin.serve('/a.gguf', {
      content,
      requires: ({ headers }) => (headers['x-key'] === 'k' ? undefined : 403),
    })
    origin.serve('/whole.gguf', { content, ranges: false })
    await using manager = managerOf(origin.origin)
    const {
      source,
      files: listed,
      models,
    } = await manager.inspect(origin.url('/a.gguf'), { headers: { 'x-key': 'k' } })
    expect(source).toBeNull()
    expect(listed).toMatchObject([{ filename: 'a.gguf', size: 5_000_000 }])
    expect(models).toMatchObject([{ header: { architecture: 'llama', parameters: 64_000 } }])
    const whole = await manager.inspect(origin.url('/whole.gguf'))
    expect(whole.models).toMatchObject([{ header: { contextLength: 8192 } }])
    expect(origin.requests().every(({ bytesSent }) => bytesSent < 5_000_000)).toBe(true)
  })

  it('keeps strangers away from private addresses and from tokens', async () => {
    await using hub = await startHub()
    hub.add('owner/secret', { files, private: true })
    hub.allow('hf_token', ['owner/secret'])
    vi.stubEnv('HF_TOKEN', 'hf_token')
    const remote = { allowedHosts: [new URL(hub.url).host, new URL(hub.cdn.origin).host] }
    await using manager = managerOf(hub.url, { sources: [huggingFace({ endpoint: hub.url })] })
    const codeOf = (asking: Promise<unknown>) =>
      asking.then(
        () => null,
        (error: unknown) => (isDownloadError(error) ? error.code : error),
      )
    expect(await codeOf(manager.inspect('hf:owner/secret'))).toBeNull()
    expect(await codeOf(manager.inspect('hf:owner/secret', { remote }))).toBe('ACCESS_DENIED')
    expect(await codeOf(manager.inspect('hf:owner/secret', { remote: true }))).toBe('SSRF_BLOCKED')
    expect(await codeOf(manager.inspect('http://127.0.0.1:1/a.gguf', { remote: true }))).toBe('SSRF_BLOCKED')
    expect(await codeOf(manager.search('tiny', { remote: true }))).toBe('SSRF_BLOCKED')
    expect(await codeOf(manager.inspect('nothing at all'))).toBe('INVALID_URL')
    expect(await codeOf(manager.inspect('hf:owner/secret', { offline: true }))).toBe('OFFLINE')
    expect(await manager.search('secret', { remote })).toEqual([])
    expect(await manager.search('secret')).toHaveLength(1)
    await manager.close()
    expect(await codeOf(manager.inspect('hf:owner/secret'))).toBe('CLOSED')
  })
})

describe('search', () => {
  it('finds models of Hugging Face, with what the hub tells of them', async () => {
    await using hub = await startHub()
    hub.add('owner/tiny-GGUF', { files, license: 'mit', gated: 'auto' })
    hub.add('owner/tiny', { files: { 'model.safetensors': textContent('x') } })
    await using manager = managerOf(hub.url)
    expect((await manager.search('TINY')).map(({ ref }) => ref)).toEqual([
      'hf:owner/tiny-GGUF',
      'hf:owner/tiny',
    ])
    expect(await manager.search('tiny', { gguf: true, source: 'hf' })).toEqual([
      {
        ref: 'hf:owner/tiny-GGUF',
        name: 'owner/tiny-GGUF',
        downloads: 1_000,
        likes: 10,
        updatedAt: '2026-01-01T00:00:00.000Z',
        license: 'mit',
        task: 'text-generation',
        gated: true,
      },
    ])
    expect(await manager.search('tiny', { limit: 1 })).toHaveLength(1)
    await expect(manager.search('tiny', { source: 'ollama' })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
    })
    await expect(manager.search('  ')).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
  })

  it('finds models of ModelScope, and leaves out what is none', async () => {
    const api = await startApi(() => ({
      body: {
        success: true,
        data: {
          models: [
            {
              id: 'Qwen/Qwen3-GGUF',
              downloads: 5,
              likes: 2,
              last_modified: '2026-05-15T01:09:19Z',
              license: 'apache-2.0',
              tasks: ['chat'],
            },
            { id: '../../etc', downloads: 'many' },
            null,
            { id: 'a/b', downloads: -1, last_modified: 'soon' },
          ],
        },
      },
    }))
    await using manager = managerOf(api.origin, {
      sources: [modelScope({ endpoint: api.origin, token: null })],
    })
    const unknown = { likes: null, updatedAt: null, license: null, task: null, gated: null }
    expect(await manager.search('qwen3', { source: 'ms', gguf: true, limit: 5 })).toEqual([
      {
        ref: 'ms:Qwen/Qwen3-GGUF',
        name: 'Qwen/Qwen3-GGUF',
        downloads: 5,
        likes: 2,
        updatedAt: '2026-05-15T01:09:19.000Z',
        license: 'apache-2.0',
        task: 'chat',
        gated: null,
      },
      { ref: 'ms:a/b', name: 'a/b', downloads: null, ...unknown },
    ])
    expect(api.asked.map(({ path }) => path)).toEqual([
      '/openapi/v1/models?search=qwen3+GGUF&page_number=1&page_size=5&sort=downloads',
    ])
  })
})
