import fc, { anyText } from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../src/errors.js'
import { isGitHubRef, parseGitHubRef } from '../../src/sources/github.js'
import { isModelScopeRef, parseModelScopeRef } from '../../src/sources/modelscope.js'
import { isOllamaRef, parseOllamaRef, stemOf } from '../../src/sources/ollama.js'
import { isPlainPath, isRevision } from '../../src/sources/support.js'

const name = fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.[A-Za-z0-9]){0,20}$/)
const revision = fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9_-]|[./][A-Za-z0-9]){0,20}$/).filter(isRevision)
const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter((text) => !text.includes('/') && isPlainPath(text))
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
const hex = fc.stringMatching(/^[0-9a-f]{64}$/)

/** What parsing throws, other than `INVALID_URL`. */
function unexpected(parse: (ref: string) => unknown, ref: string): unknown {
  try {
    parse(ref)
    return null
  } catch (error) {
    return isDownloadError(error, 'INVALID_URL') ? null : error
  }
}

const refused = (parse: (ref: string) => unknown, ref: string): string => {
  try {
    parse(ref)
  } catch (error) {
    if (isDownloadError(error, 'INVALID_URL')) return error.message
  }
  throw new Error(`${ref} was not refused`)
}

describe('refs of ModelScope', () => {
  it('come apart into what they were made of', () => {
    fc.assert(
      fc.property(name, name, fc.option(path), revision, (owner, repo, file, at) => {
        const ref = `ms:${owner}/${repo}${file === null ? '' : `/${file}`}@${at}`
        expect(parseModelScopeRef(ref)).toEqual({ owner, repo, path: file, revision: at, site: null })
      }),
    )
  })

  it('come apart the same way as links', () => {
    fc.assert(
      fc.property(name, name, path, revision, (owner, repo, file, at) => {
        const place = `${encodeURIComponent(at)}/${file.split('/').map(encodeURIComponent).join('/')}`
        const query = new URLSearchParams({ Revision: at, FilePath: file }).toString()
        for (const link of [
          `https://modelscope.cn/models/${owner}/${repo}/resolve/${place}`,
          `https://www.modelscope.cn/models/${owner}/${repo}/file/view/${place}?status=1`,
          `https://modelscope.cn/api/v1/models/${owner}/${repo}/repo?${query}`,
        ]) {
          expect(isModelScopeRef(link)).toBe(true)
          expect(parseModelScopeRef(link)).toEqual({ owner, repo, path: file, revision: at, site: 'cn' })
        }
      }),
    )
  })

  it.each([
    ['ms:Qwen/Qwen3-GGUF', null, null],
    ['MS:Qwen/Qwen3-GGUF', null, null],
    ['ms:Qwen/Qwen3-GGUF/a@b.gguf@master', 'a@b.gguf', 'master'],
    ['ms:Qwen/Qwen3-GGUF/onnx/@v1.0', 'onnx/', 'v1.0'],
    ['https://modelscope.cn/models/Qwen/Qwen3-GGUF', null, null],
    ['https://modelscope.cn/models/Qwen/Qwen3-GGUF/summary', null, null],
    ['https://www.modelscope.cn/models/Qwen/Qwen3-GGUF/files?version=v1', null, null],
    ['https://modelscope.cn/models/Qwen/Qwen3-GGUF/tree/v1/onnx', 'onnx/', 'v1'],
    ['https://modelscope.cn/models/Qwen/Qwen3-GGUF/tree/v1', null, 'v1'],
    [
      'https://modelscope.cn/models/Qwen/Qwen3-GGUF/file/view/master?fileName=a%2Fb.json',
      'a/b.json',
      'master',
    ],
  ])('%s', (ref, file, at) => {
    expect(isModelScopeRef(ref)).toBe(true)
    expect(parseModelScopeRef(ref)).toMatchObject({
      owner: 'Qwen',
      repo: 'Qwen3-GGUF',
      path: file,
      revision: at,
    })
  })

  it.each([
    'ms:',
    'ms:Qwen',
    'ms:/repo',
    'ms:Qwen/..',
    'ms:Qwen/a..b',
    'ms:Qwen/repo/../x',
    'ms:Qwen/repo//x',
    'ms:Qwen/repo/a\\b',
    'ms:Qwen/repo/',
    'ms:Qwen/repo@',
    'ms:Qwen/repo@a..b',
    'ms:Qwen/repo@a b',
    'https://modelscope.cn/models/Qwen/repo/resolve/master',
    'https://modelscope.cn/models/Qwen/repo/resolve/master/%E0%A4%A',
    'https://modelscope.cn/models/Qwen/repo/resolve/master/..%2f..%2fx',
    'https://modelscope.cn/api/v1/models/Qwen/repo/repo?Revision=master',
  ])('refuse %s and say how to write it', (ref) => {
    expect(refused(parseModelScopeRef, ref)).toContain('ms:owner/repo')
  })

  it.each([
    'https://modelscope.cn/studios/a/b',
    'https://modelscope.cn/',
    'https://evil.example/models/a/b',
    'https://modelscope.cn.evil.example/models/a/b',
    'https://evil.example/?https://modelscope.cn/models/a/b',
    'hf:a/b',
  ])('are not %s', (ref) => {
    expect(isModelScopeRef(ref)).toBe(false)
  })
})

describe('datasets of ModelScope', () => {
  it.each([
    ['ms:datasets/o/d', null, null],
    ['ms:datasets/o/d/a/b.json@v1', 'a/b.json', 'v1'],
    ['https://modelscope.cn/datasets/o/d/files', null, null],
    ['https://www.modelscope.cn/datasets/o/d/resolve/master/a/b.json', 'a/b.json', 'master'],
    ['https://modelscope.cn/api/v1/datasets/o/d/repo?Source=SDK&FilePath=a%2Fb.json', 'a/b.json', null],
  ])('%s', (ref, path, revision) => {
    expect(isModelScopeRef(ref)).toBe(true)
    expect(parseModelScopeRef(ref)).toMatchObject({ type: 'datasets', owner: 'o', repo: 'd', path, revision })
  })

  it('need more than the word: this is a model', () => {
    expect(parseModelScopeRef('ms:datasets/d')).toMatchObject({ owner: 'datasets', repo: 'd' })
    expect(parseModelScopeRef('ms:datasets/d')).not.toHaveProperty('type')
  })
})

describe("links to Ollama's library", () => {
  it.each([
    ['https://ollama.com/library/llama3.2', 'library/llama3.2', 'latest'],
    ['https://ollama.com/library/llama3.2:3b-instruct-q8_0', 'library/llama3.2', '3b-instruct-q8_0'],
    ['http://www.ollama.com/library/llama3.2%3A3b?x=y#z', 'library/llama3.2', '3b'],
    ['https://ollama.com/library/llama3.2/tags', 'library/llama3.2', 'latest'],
    ['https://ollama.com/library/llama3.2:3b/blobs/dde5aa3fc5ff', 'library/llama3.2', '3b'],
    ['https://ollama.com/someone/model:v1', 'someone/model', 'v1'],
  ])('%s', (ref, repository, reference) => {
    expect(isOllamaRef(ref)).toBe(true)
    const origin = 'https://registry.ollama.ai'
    expect(parseOllamaRef(ref)).toEqual({ origin, repository, reference, layers: 'model' })
  })

  it.each([
    'https://ollama.com/download/Ollama-darwin.zip',
    'https://ollama.com/public/ollama.png',
    'https://ollama.com/install.sh',
    'https://ollama.com/library',
    'https://ollama.com.evil.example/library/llama3.2',
    'https://evil.example/ollama.com/library/llama3.2',
    'https://ollama.com/library/a:b:c',
  ])('%s is an ordinary URL', (url) => {
    expect(isOllamaRef(url)).toBe(false)
  })
})

describe('refs of GitHub releases', () => {
  const asset = segment.filter((text) => !/[\\/]/.test(text))
  const tag = fc.oneof(
    revision.filter((text) => text !== 'latest'),
    fc.constantFrom('v1.0', 'release/v1', '@scope/package@1.0.0', 'b4.2/rc.1'),
  )

  it('come apart into what they were made of', () => {
    fc.assert(
      fc.property(name, name, tag, fc.option(asset), (owner, repo, release, file) => {
        fc.pre(/^[\w-]+$/.test(owner))
        const parsed = parseGitHubRef(`gh:${owner}/${repo}@${release}/${file ?? ''}`)
        expect(parsed).toEqual({ owner, repo, tag: release, asset: file })
      }),
    )
  })

  it.each([
    ['gh:o/r@latest/a.gguf', null, 'a.gguf'],
    ['gh:o/r@latest', null, null],
    ['gh:o/r', null, null],
    ['gh:o/r@v1', 'v1', null],
    ['gh:o/r@release/v1/', 'release/v1', null],
    ['gh:o/r@v1/model (2).gguf', 'v1', 'model (2).gguf'],
  ])('%s', (ref, release, file) => {
    expect(isGitHubRef(ref)).toBe(true)
    expect(parseGitHubRef(ref)).toEqual({ owner: 'o', repo: 'r', tag: release, asset: file })
  })

  it.each([
    'gh:',
    'gh:o',
    'gh:o/',
    'gh:o/r@',
    'gh:o/..@v1/a',
    'gh:o/r/a.gguf',
    'gh:o/r@a b/x',
    'gh:o/r@v1/..',
  ])('refuse %s and say how to write it', (ref) => {
    expect(refused(parseGitHubRef, ref)).toContain('gh:owner/repo@tag/asset')
  })
})

describe('refs of registries', () => {
  it('come apart into what they were made of', () => {
    const folders = fc.array(name, { minLength: 1, maxLength: 3 })
    const reference = fc.oneof(
      fc.record({ text: name, ask: fc.constant(':') }),
      fc.record({ text: hex.map((digits) => `sha256:${digits}`), ask: fc.constant('@') }),
    )
    const port = fc.option(fc.integer({ min: 1, max: 65_535 }).filter((at) => at !== 443))
    fc.assert(
      fc.property(port, folders, name, reference, fc.boolean(), (at, parents, model, version, all) => {
        const host = `registry.example.com${at === null ? '' : `:${String(at)}`}`
        const repository = [...parents, model].join('/')
        const ref = `ollama:${host}/${repository}${version.ask}${version.text}${all ? '?layers=all' : ''}`
        expect(parseOllamaRef(ref)).toEqual({
          origin: `https://${host}`,
          repository,
          reference: version.text,
          layers: all ? 'all' : 'model',
        })
      }),
    )
  })

  it.each([
    ['ollama:llama3.2', 'https://registry.ollama.ai', 'library/llama3.2', 'latest', 'llama3.2'],
    ['ollama:llama3.2:1b', 'https://registry.ollama.ai', 'library/llama3.2', '1b', 'llama3.2-1b'],
    ['ollama:me/mine:q4', 'https://registry.ollama.ai', 'me/mine', 'q4', 'mine-q4'],
    [
      'ollama:hf.co/Qwen/Qwen3-GGUF:Q4_K_M',
      'https://hf.co',
      'Qwen/Qwen3-GGUF',
      'Q4_K_M',
      'Qwen3-GGUF-Q4_K_M',
    ],
    ['ollama:registry.ollama.ai/llama3', 'https://registry.ollama.ai', 'library/llama3', 'latest', 'llama3'],
    ['ollama:intranet/team/model', 'https://intranet', 'team/model', 'latest', 'model'],
    ['ollama:localhost:5000/model', 'http://localhost:5000', 'model', 'latest', 'model'],
    ['ollama:127.0.0.1:5000/a/b/model:1', 'http://127.0.0.1:5000', 'a/b/model', '1', 'model-1'],
    ['ollama:[::1]:5000/a/model', 'http://[::1]:5000', 'a/model', 'latest', 'model'],
    ['ollama:http://intranet:5000/a/model', 'http://intranet:5000', 'a/model', 'latest', 'model'],
    ['ollama:https://localhost/a/model', 'https://localhost', 'a/model', 'latest', 'model'],
  ])('%s', (ref, origin, repository, reference, stem) => {
    expect(isOllamaRef(ref)).toBe(true)
    const parsed = parseOllamaRef(ref)
    expect(parsed).toEqual({ origin, repository, reference, layers: 'model' })
    expect(stemOf(parsed)).toBe(stem)
  })

  it('take a digest before a tag', () => {
    const digest = `sha256:${'0a'.repeat(32)}`
    const parsed = parseOllamaRef(`ollama:llama3:8b@${digest}`)
    expect(parsed.reference).toBe(digest)
    expect(stemOf(parsed)).toBe('llama3-0a0a0a0a0a0a')
  })

  it.each([
    'ollama:',
    'ollama:a/',
    'ollama:/a',
    'ollama:a:b:c',
    'ollama:a:',
    'ollama:../a',
    'ollama:a/..',
    'ollama:host.example/a/../b',
    'ollama:user:pass@host.example/a/b',
    'ollama:host.example:99999/a/b',
    'ollama:a@sha256:12',
    'ollama:a?layers=some',
    'ollama:a?layers=all?',
    'ollama:a b',
    'ollama:ftp://host/a/b',
  ])('refuse %s and say how to write it', (ref) => {
    expect(refused(parseOllamaRef, ref)).toContain('ollama:name:tag')
  })
})

describe('any text', () => {
  const text = fc.oneof(anyText({ maxLength: 60 }), fc.stringMatching(/^[a-z/@:.?%\\\x5b\x5d-]{0,40}$/))
  it.each([
    ['ms:', parseModelScopeRef],
    ['https://modelscope.cn/models/a/', parseModelScopeRef],
    ['https://modelscope.cn/api/v1/models/a/b/repo?', parseModelScopeRef],
    ['gh:', parseGitHubRef],
    ['ollama:', parseOllamaRef],
  ])('behind %s is parsed or refused, and nothing climbs', (prefix, parse) => {
    fc.assert(
      fc.property(text, (rest) => {
        expect(unexpected(parse, prefix + rest)).toBeNull()
      }),
      { numRuns: 300 },
    )
  })

  it('never makes a repository or a path with dots that climb', () => {
    const climbs = (value: string | null) => value?.split('/').some((part) => part === '..' || part === '.')
    fc.assert(
      fc.property(fc.stringMatching(/^[a./@:]{1,20}$/), (rest) => {
        try {
          expect(climbs(parseModelScopeRef(`ms:a/b/${rest}`).path)).not.toBe(true)
        } catch (error) {
          if (!isDownloadError(error, 'INVALID_URL')) throw error
        }
        try {
          expect(climbs(parseOllamaRef(`ollama:a/${rest}`).repository)).not.toBe(true)
        } catch (error) {
          if (!isDownloadError(error, 'INVALID_URL')) throw error
        }
      }),
    )
  })
})
