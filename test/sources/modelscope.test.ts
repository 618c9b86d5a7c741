import { describe, expect, it } from 'vitest'
import { modelScope } from '../../src/sources/modelscope.js'
import type { ResolveContext } from '../../src/sources/source.js'
import { failureOf, resolveWith, startApi, type Asked, type Said } from './api-server.js'

const token = 'ms-0123-secret'
const sha = (digit: string): string => digit.repeat(64)

const files = [
  { Name: '.gitattributes', Path: '.gitattributes', Type: 'blob', Size: 10, Sha256: sha('0') },
  { Name: 'onnx', Path: 'onnx', Type: 'tree', Size: 0, Sha256: '' },
  { Name: 'README.md', Path: 'README.md', Type: 'blob', Size: 20, Sha256: sha('1'), Revision: 'c1' },
  {
    Name: 'q4 (1).gguf',
    Path: 'q4 (1).gguf',
    Type: 'blob',
    Size: 5_000_000_000,
    Sha256: sha('A'),
    IsLFS: true,
  },
  { Name: 'model.onnx', Path: 'onnx/model.onnx', Type: 'blob', Size: 40, Sha256: sha('2') },
  { Name: 'odd.bin', Path: 'odd.bin', Type: 'blob', Size: 0, Sha256: '' },
]
const list = (entries: unknown): Said => ({
  body: { Code: 200, Data: { Files: entries }, Message: 'success', Success: true },
})

/** Resolves a ref against a server with one response. */
async function against(said: Said | ((asked: Asked) => Said), ref: string, env: Record<string, string> = {}) {
  const server = await startApi((asked) => (typeof said === 'function' ? said(asked) : said))
  const resolving = resolveWith(modelScope(), ref, { MODELSCOPE_ENDPOINT: `${server.origin}/`, ...env })
  return { server, resolving }
}

describe('ModelScope', () => {
  it('tells one file, with size and digest', async () => {
    const { server, resolving } = await against(list(files), 'ms:Qwen/Qwen3-GGUF/q4 (1).gguf@v1.0')
    expect(await resolving).toEqual([
      {
        filename: 'q4 (1).gguf',
        urls: [`${server.origin}/api/v1/models/Qwen/Qwen3-GGUF/repo?Revision=v1.0&FilePath=q4+%281%29.gguf`],
        size: 5_000_000_000,
        sha256: sha('a'),
        headers: {},
      },
    ])
    expect(server.asked.map(({ path }) => path)).toEqual([
      '/api/v1/models/Qwen/Qwen3-GGUF/repo/files?Revision=v1.0&Recursive=true',
    ])
    expect(server.asked[0]?.headers).toMatchObject({
      accept: 'application/json',
      'user-agent': 'model-downloader',
    })
    expect(server.asked[0]?.headers).not.toHaveProperty('authorization')
  })

  it('tells a whole repository without folders and files of git, at its default revision', async () => {
    const { server, resolving } = await against(list(files), 'ms:Qwen/Qwen3-GGUF')
    const found = await resolving
    expect(found.map(({ filename }) => filename)).toEqual([
      'README.md',
      'q4 (1).gguf',
      'onnx/model.onnx',
      'odd.bin',
    ])
    expect(found[3]).toMatchObject({ size: 0, sha256: undefined })
    expect(server.asked[0]?.path).toContain('Revision=master')
  })

  it('tells what is in a folder', async () => {
    const { resolving } = await against(list(files), 'ms:Qwen/Qwen3-GGUF/onnx/')
    expect((await resolving).map(({ filename }) => filename)).toEqual(['onnx/model.onnx'])
  })

  it('takes what globs choose', async () => {
    const server = await startApi(() => list(files))
    const env = { MODELSCOPE_ENDPOINT: server.origin }
    const globs = { include: ['*.md', '*.onnx'], exclude: ['onnx/*'] }
    const found = await resolveWith(modelScope(), 'ms:Qwen/Qwen3-GGUF', env, globs)
    expect(found.map(({ filename }) => filename)).toEqual(['README.md'])
  })

  it('reads a link of its pages', async () => {
    const link = 'https://modelscope.cn/models/Qwen/Qwen3-GGUF/file/view/v2/onnx%2Fmodel.onnx?status=2'
    const { server, resolving } = await against(list(files), link)
    expect(await resolving).toMatchObject([{ filename: 'onnx/model.onnx' }])
    expect(server.asked[0]?.path).toContain('Revision=v2')
  })

  it('knows the name of a file before it asks', () => {
    const source = modelScope()
    expect(source.filenameOf?.('ms:a/b/c/d.gguf@v1')).toBe('d.gguf')
    expect(source.filenameOf?.('ms:a/b/c/')).toBeNull()
    expect(source.filenameOf?.('ms:a/b')).toBeNull()
  })

  it('sends the token to the hub, and gives it along for its files', async () => {
    const { server, resolving } = await against(list(files), 'ms:a/b/README.md', {
      MODELSCOPE_API_TOKEN: ` ${token}\n`,
    })
    const headers = { authorization: `Bearer ${token}`, cookie: `m_session_id=${token}` }
    expect((await resolving)[0]?.headers).toEqual(headers)
    expect(server.asked[0]?.headers).toMatchObject(headers)
  })

  it('tells the files of a dataset, page by page', async () => {
    const entries = Array.from({ length: 201 }, (_, n) => ({
      Path: `d/${String(n)}.json`,
      Type: 'blob',
      Size: n,
    }))
    const { server, resolving } = await against(({ path }) => {
      const page = Number(new URL(path, 'http://a').searchParams.get('PageNumber'))
      return list(entries.slice((page - 1) * 200, page * 200))
    }, 'ms:datasets/a/b@v2')
    const found = await resolving
    expect(found).toHaveLength(201)
    expect(found[200]?.urls).toEqual([
      `${server.origin}/api/v1/datasets/a/b/repo?Source=SDK&Revision=v2&FilePath=d%2F200.json`,
    ])
    expect(server.asked.map(({ path }) => path.split('?')[0])).toEqual(
      Array(2).fill('/api/v1/datasets/a/b/repo/tree'),
    )
    const absent = await against({ status: 404 }, 'ms:datasets/a/b')
    expect((await failureOf(absent.resolving)).message).toContain('/datasets/a/b')
  })

  it('sends the token nowhere else', async () => {
    const other = await startApi(() => list(files))
    const { server, resolving } = await against(
      ({ path }) => ({ status: 302, headers: { location: other.origin + path } }),
      'ms:a/b/README.md',
      { MODELSCOPE_API_TOKEN: token },
    )
    expect(await resolving).toMatchObject([{ urls: [expect.stringContaining(server.origin)] }])
    expect(other.asked).toHaveLength(1)
    expect(JSON.stringify(other.asked)).not.toContain(token)
  })

  it('takes a link of the international site there, without the token of the other', async () => {
    const link = 'https://modelscope.ai/models/a/b/resolve/master/README.md'
    const asked: { url: string; headers: unknown }[] = []
    const ask = async (env: Record<string, string>) => {
      const context: ResolveContext = {
        env: { MODELSCOPE_API_TOKEN: token, ...env },
        signal: new AbortController().signal,
        timeoutMs: 1_000,
        fetchJson: async (url, request) => {
          asked.push({ url: String(url), headers: request?.headers })
          return { status: 200, headers: {}, url: String(url), text: '', json: list(files).body }
        },
        fetchText: () => Promise.reject(new Error('not asked for')),
        fetchHead: () => Promise.reject(new Error('not asked for')),
        readTextFile: async () => null,
      }
      return (await modelScope().resolve(link, context)).files
    }
    expect(await ask({})).toMatchObject([{ headers: {} }])
    expect(asked[0]?.url).toMatch(/^https:\/\/www\.modelscope\.ai\//)
    expect(asked[0]?.headers).toEqual({})
    const own = await ask({ MODELSCOPE_ENDPOINT: 'https://www.modelscope.ai' })
    expect(own).toMatchObject([{ headers: { authorization: `Bearer ${token}` } }])
  })

  it.each([
    [401, 'ACCESS_DENIED', 'MODELSCOPE_API_TOKEN'],
    [403, 'ACCESS_DENIED', 'ask for access'],
    [404, 'NOT_FOUND', 'no repository a/b with a revision nowhere'],
  ])('explains status %i', async (status, code, remedy) => {
    const body = { Code: 10010205001, Message: token, Success: false }
    const { resolving } = await against({ status, body }, 'ms:a/b@nowhere', { MODELSCOPE_API_TOKEN: token })
    const error = await failureOf(resolving, token)
    expect(error).toMatchObject({ code, status, retryable: false })
    expect(error.message).toContain(remedy)
  })

  it('says where a token is got when it has none', async () => {
    const { server, resolving } = await against({ status: 403 }, 'ms:a/b')
    expect((await failureOf(resolving)).message).toContain(`${server.origin}/my/myaccesstoken`)
  })

  it.each([
    [10010101004, 'ACCESS_DENIED'],
    [10010205001, 'NOT_FOUND'],
    [10019999999, 'HTTP_ERROR'],
  ])('explains the code %i that comes with status 200', async (Code, code) => {
    const { resolving } = await against({ body: { Code, Message: 'no', Success: false } }, 'ms:a/b')
    expect(await failureOf(resolving)).toMatchObject({ code })
  })

  it('waits as it is told, and gives up with the time when that is long', async () => {
    let times = 0
    const { resolving } = await against(() => {
      times += 1
      return times === 1 ? { status: 429, headers: { 'retry-after': '0' } } : list(files)
    }, 'ms:a/b/README.md')
    expect(await resolving).toHaveLength(1)
    const slow = await against({ status: 429, headers: { 'retry-after': '7200' } }, 'ms:a/b')
    const error = await failureOf(slow.resolving)
    expect(error).toMatchObject({ code: 'HTTP_ERROR', status: 429, retryable: true, retryAfterMs: 7_200_000 })
    expect(error.message).toContain('MODELSCOPE_API_TOKEN')
  })

  it('names what is there when a file is not', async () => {
    const { resolving } = await against(list(files), 'ms:a/b/q8.gguf')
    const error = await failureOf(resolving)
    expect(error.code).toBe('NOT_FOUND')
    expect(error.message).toMatch(/no file "q8.gguf" at master. It has "q4 \(1\).gguf", /)
  })

  it.each([
    ['an empty repository', list(null), 'NOT_FOUND'],
    [
      'a path that climbs',
      list([{ Path: '../x', Type: 'blob', Size: 1, Sha256: sha('1') }]),
      'PROTOCOL_ERROR',
    ],
    [
      'a size that is none',
      list([{ Path: 'x', Type: 'blob', Size: -1, Sha256: sha('1') }]),
      'PROTOCOL_ERROR',
    ],
    ['another shape', { body: [] }, 'PROTOCOL_ERROR'],
    ['a page for people', { body: '<html>' }, 'PROTOCOL_ERROR'],
  ])('refuses %s', async (_what, said, code) => {
    const { resolving } = await against(said, 'ms:a/b')
    expect(await failureOf(resolving)).toMatchObject({ code })
  })

  it('says that nobody is there', async () => {
    const env = { MODELSCOPE_ENDPOINT: 'http://127.0.0.1:1' }
    expect(await failureOf(resolveWith(modelScope(), 'ms:a/b', env))).toMatchObject({
      code: 'CONNECT_FAILED',
    })
  })

  it.each([
    [{ MODELSCOPE_ENDPOINT: 'ftp://x' }, 'MODELSCOPE_ENDPOINT'],
    [{ MODELSCOPE_ENDPOINT: `https://me:${token}@x` }, 'MODELSCOPE_ENDPOINT'],
    [
      { MODELSCOPE_ENDPOINT: 'http://127.0.0.1:1', MODELSCOPE_API_TOKEN: `${token}\r\nx: y` },
      'MODELSCOPE_API_TOKEN',
    ],
  ])('refuses the settings %j', async (env, path) => {
    const error = await failureOf(resolveWith(modelScope(), 'ms:a/b', env), token)
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', issues: [{ path }] })
  })
})
