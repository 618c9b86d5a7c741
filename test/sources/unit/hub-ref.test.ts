/** Refs of the hub, its lists of files, quantisations and globs: what text means, whatever is in it. */
import fc, { anyText } from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import { matches, selects } from '../../../src/sources/globs.js'
import {
  escapePath,
  type HubRef,
  nextPage,
  parseHubLink,
  parseHubRef,
  parseTreePage,
  sha256Of,
} from '../../../src/sources/huggingface-ref.js'
import { cpuMs } from '../../support/cost.js'

const word = fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9_]|\.[A-Za-z0-9]|-[A-Za-z0-9]){0,20}$/)
const owner = word.filter((text) => !['datasets', 'spaces', 'api', 'docs', 'blog'].includes(text))
const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter((text) => !/[\p{Cc}\p{Cs}/\\@]/u.test(text) && text !== '.' && text !== '..')
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
const revision = fc.oneof(word, fc.constant('refs/pr/1'), fc.stringMatching(/^[0-9a-f]{40}$/))
const type = fc.constantFrom<HubRef['type']>('models', 'datasets', 'spaces')
const prefixOf = (kind: HubRef['type']) => (kind === 'models' ? '' : `${kind}/`)

/** The error, unless it is a DownloadError. */
function surprise(run: () => unknown, code: 'INVALID_URL' | 'PROTOCOL_ERROR'): unknown {
  try {
    run()
    return null
  } catch (error) {
    return isDownloadError(error, code) ? null : error
  }
}

describe('a ref', () => {
  it('comes apart into what it was made of', () => {
    fc.assert(
      fc.property(type, owner, word, path, fc.option(revision), (kind, who, name, file, at) => {
        const ref = `hf:${prefixOf(kind)}${who}/${name}/${file}${at === null ? '' : `@${at}`}`
        const what = { kind: 'file', path: file }
        expect(parseHubRef(ref)).toEqual({
          type: kind,
          repo: `${who}/${name}`,
          revision: at,
          what,
          origin: null,
        })
      }),
    )
  })

  it('is written in other ways, too', () => {
    fc.assert(
      fc.property(type, owner, word, path, fc.option(revision), (kind, who, name, file, at) => {
        const meant = parseHubRef(`hf:${prefixOf(kind)}${who}/${name}/${file}${at === null ? '' : `@${at}`}`)
        const slug = at?.startsWith('refs/') === true ? at : encodeURIComponent(at ?? '')
        const rest = `${prefixOf(kind)}${who}/${name}${at === null ? '' : `@${slug}`}/${file}`
        for (const scheme of ['hf://', 'huggingface://', 'HF://'])
          expect(parseHubRef(scheme + rest)).toEqual(meant)
      }),
    )
  })

  it.each([
    ['hf://owner/repo', 'hf:owner/repo'],
    ['hf://owner/repo/', 'hf:owner/repo/'],
    ['hf://models/owner/repo/a.gguf', 'hf:owner/repo/a.gguf'],
    ['hf://owner/repo@v1', 'hf:owner/repo@v1'],
    ['hf://owner/repo/a.gguf@v1', 'hf:owner/repo/a.gguf@v1'],
    ['hf://owner/repo:Q4_K_M@v1', 'hf:owner/repo:Q4_K_M@v1'],
    ['hf://owner/repo@feature%2Fx/a.gguf', 'hf:owner/repo/a.gguf@feature/x'],
    ['hf://owner/repo@refs/pr/1/dir/a.gguf', 'hf:owner/repo/dir/a.gguf@refs/pr/1'],
    ['hf://owner/repo@refs/convert/parquet', 'hf:owner/repo@refs/convert/parquet'],
    ['huggingface:owner/repo/a.gguf@v1', 'hf:owner/repo/a.gguf@v1'],
    ['HuggingFace://datasets/owner/repo', 'hf:datasets/owner/repo'],
  ])('%s means %s', (written, meant) => {
    expect(parseHubRef(written)).toEqual(parseHubRef(meant))
  })

  it.each([
    'hf://',
    'hf://owner',
    'hf://owner/repo@',
    'hf://owner/repo@../x',
    'hf://owner/repo@v1//x',
    'hf://owner/repo@%zz/x',
    'hf:///owner/repo',
  ])('%s is refused', (text) => {
    expect(surprise(() => parseHubRef(text), 'INVALID_URL')).toBe(null)
    expect(() => parseHubRef(text)).toThrow()
  })

  it('and the link of its page mean the same', () => {
    fc.assert(
      fc.property(
        type,
        owner,
        word,
        path,
        revision,
        fc.constantFrom('blob', 'resolve', 'raw'),
        (kind, who, name, file, at, action) => {
          const origin = 'https://huggingface.co'
          const slug = at.startsWith('refs/') ? at : encodeURIComponent(at)
          const link = `${origin}/${prefixOf(kind)}${who}/${name}/${action}/${slug}/${escapePath(file)}?download=true`
          // A browser takes dots and the like out of a path before anybody reads it.
          fc.pre(decodeURIComponent(new URL(link).pathname).endsWith(`/${file}`))
          const parsed = parseHubLink(link)
          expect(parsed).toEqual({
            ...parseHubRef(`hf:${prefixOf(kind)}${who}/${name}/${file}@${at}`),
            origin,
          })
        },
      ),
    )
  })

  it.each([
    ['hf:o/r', { kind: 'folder', path: '' }],
    ['hf:o/r/', { kind: 'folder', path: '' }],
    ['hf://o/r/onnx/', { kind: 'folder', path: 'onnx' }],
    ['HF:o/r:Q4_K_M', { kind: 'quant', quant: 'Q4_K_M' }],
    ['hf:o/r:UD-Q4_K_XL@v1', { kind: 'quant', quant: 'UD-Q4_K_XL' }],
  ])('%s is %j', (ref, what) => {
    expect(parseHubRef(ref)).toMatchObject({ repo: 'o/r', what })
  })

  it.each([
    ...['hf:', 'hf:o', 'hf:/r', 'hf:o/', 'hf:o//r', 'hf:o/r//f', 'hf:o/r/../f', 'hf:o/r/./f', 'hf:../r/f'],
    ...[
      'hf:o/r@',
      'hf:o/r@..',
      'hf:o/r@a..b',
      'hf:o/r@/x',
      'hf:o/r@a b',
      'hf:o/r:',
      'hf:o/r:Q4/x',
      'hf:o/r:a:b',
    ],
    ...[
      'hf:o/r/a\ud800',
      'hf:o/r/a\\b',
      'hf:o/r/a\nb',
      'hf:-o/r/f',
      'hf:o/r--x/f',
      'hf:o/r@x?y',
      'hf:datasets/r',
    ],
  ])('%j is refused', (ref) => {
    expect(() => parseHubRef(ref)).toThrow(expect.objectContaining({ code: 'INVALID_URL' }))
  })

  it.each([
    ...['https://huggingface.co/', 'https://huggingface.co/models', 'https://huggingface.co/docs/hub'],
    ...['https://huggingface.co/api/models/o/r', 'https://huggingface.co/o/r/discussions/1', 'not a link'],
    ...['https://user:pw@huggingface.co/o/r/blob/main/f', 'ftp://huggingface.co/o/r'],
  ])('%s is no link of files', (link) => {
    expect(parseHubLink(link)).toBeNull()
  })

  it.each([
    ['/gpt2/blob/main/config.json', 'models', 'gpt2', { kind: 'file', path: 'config.json' }],
    ['/gpt2/resolve/main/onnx/a.onnx?download=true', 'models', 'gpt2', { kind: 'file', path: 'onnx/a.onnx' }],
    ['/bert-base-uncased/tree/main', 'models', 'bert-base-uncased', { kind: 'folder', path: '' }],
    ['/datasets/squad/raw/main/README.md', 'datasets', 'squad', { kind: 'file', path: 'README.md' }],
    // A repository whose name is that of an action.
    ['/owner/raw/blob/main/a.bin', 'models', 'owner/raw', { kind: 'file', path: 'a.bin' }],
    ['/owner/tree', 'models', 'owner/tree', { kind: 'folder', path: '' }],
  ])('%s is a link to %s %s', (link, kind, repo, what) => {
    expect(parseHubLink(`https://huggingface.co${link}`)).toMatchObject({ type: kind, repo, what })
  })

  it.each([
    '/gpt2',
    '/datasets/squad',
    '/docs/resolve/main/x',
    '/gpt2/discussions/main/1',
    '/--/blob/main/x',
  ])('%s is none', (link) => {
    expect(parseHubLink(`https://huggingface.co${link}`)).toBeNull()
  })

  it('of any text is understood or refused, and its path never leads elsewhere', () => {
    fc.assert(
      fc.property(anyText(), (text) => {
        for (const parse of [() => parseHubRef(`hf:${text}`), () => parseHubLink(`https://hub/${text}`)]) {
          expect(surprise(parse, 'INVALID_URL')).toBeNull()
        }
        for (const parts of [`o/r/${text}`, `o/r/blob/main/${text}`]) {
          let what: HubRef['what'] | undefined
          try {
            what = parseHubLink(`https://hub/${parts}`)?.what
          } catch {
            continue
          }
          if (what !== undefined && what.kind !== 'quant')
            expect(what.path).not.toMatch(/(?:^|\/)\.\.?(?:\/|$)|\\/)
        }
      }),
    )
  })
})

describe('a list of files', () => {
  it('gives size and digest of what LFS keeps, not of its pointer', () => {
    const oid = 'A'.repeat(64)
    const page = [
      { type: 'directory', path: 'onnx', size: 0, oid: 'x' },
      {
        type: 'file',
        path: 'onnx/a b.onnx',
        size: 135,
        oid: 'x',
        lfs: { oid, size: 9_000, pointerSize: 135 },
        xetHash: 'c'.repeat(64),
      },
      { type: 'file', path: 'README.md', size: 12, oid: 'b'.repeat(40) },
    ]
    expect(parseTreePage(page)).toEqual([
      { path: 'onnx/a b.onnx', size: 9_000, sha256: 'a'.repeat(64), gitOid: null, xetHash: 'c'.repeat(64) },
      { path: 'README.md', size: 12, sha256: null, gitOid: 'b'.repeat(40), xetHash: null },
    ])
  })

  it('is taken or refused, whatever the hub says; no path in it leads elsewhere', () => {
    const entry = fc.record(
      {
        type: fc.constantFrom('file', 'directory'),
        path: fc.string(),
        size: fc.anything(),
        lfs: fc.anything(),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.oneof(fc.array(entry), fc.anything()), (page) => {
        expect(surprise(() => parseTreePage(page), 'PROTOCOL_ERROR')).toBeNull()
      }),
    )
    for (const bad of ['../a', '/a', 'a/../b', '', 'a//b']) {
      expect(() => parseTreePage([{ type: 'file', path: bad, size: 1 }])).toThrow(/not a valid list of files/)
    }
  })

  it('keeps names that can not be stored, for the group to decide about', () => {
    for (const path of ['a\\b', 'aux.json', 'a\n', 'a\ud800', 'x'.repeat(2_000)]) {
      expect(parseTreePage([{ type: 'file', path, size: 1 }])).toMatchObject([{ path }])
      expect(escapePath(path)).toMatch(/^[!-~]+$/)
    }
  })

  it.each([
    ['<https://h/x?cursor=a,b>; rel="next"', 'https://h/x?cursor=a,b'],
    ['</x>; rel=prev, </y?c=1>; title="t"; rel=next', '/y?c=1'],
    ['<https://h/x>; rel="last"', null],
    [undefined, null],
  ])('with the Link %s goes on at %s', (link, next) => {
    expect(nextPage(link)).toBe(next)
  })

  it('tells a SHA-256 from the name of a git object', () => {
    const digest = '0123456789abcdef'.repeat(4)
    for (const text of [digest, `"${digest}"`, `W/"${digest}"`, `sha256:${digest}`, digest.toUpperCase()]) {
      expect(sha256Of(text)).toBe(digest)
    }
    for (const other of ['a'.repeat(40), `"${'a'.repeat(40)}"`, '', null, 5])
      expect(sha256Of(other)).toBeNull()
  })
})

describe('a glob', () => {
  it.each([
    ['*.gguf', 'a/b/model.gguf', true],
    ['*.gguf', 'model.gguf.txt', false],
    ['onnx/*', 'onnx/a.onnx', true],
    ['onnx/*', 'onnx/deep/a.onnx', false],
    ['onnx/', 'onnx/deep/a.onnx', true],
    ['**/a.onnx', 'a.onnx', true],
    ['**/deep/*.onnx', 'x/y/deep/a.onnx', true],
    ['/model.?', 'model.x', true],
    ['/model.?', 'sub/model.x', false],
    ['[a].txt', 'a.txt', false],
  ])('%s and %s: %s', (glob, file, fits) => {
    expect(matches(glob, file)).toBe(fits)
  })

  it('agrees with a regular expression', () => {
    const text = (signs: string) => fc.string({ unit: fc.constantFrom(...signs.split('')), maxLength: 10 })
    fc.assert(
      fc.property(text('ab*?'), text('ab'), (glob, file) => {
        const pattern = glob.replace(/\*/g, '.*').replace(/\?/g, '.')
        expect(matches(glob, file)).toBe(new RegExp(`^${pattern}$`).test(file))
      }),
    )
  })

  it('that is made to be slow is not', async () => {
    const cost = await cpuMs(() => {
      expect(matches('*a'.repeat(400), `${'a'.repeat(5_000)}b`)).toBe(false)
    })
    expect(cost).toBeLessThan(1_000)
  })

  it('chooses together with others', () => {
    expect(selects('a.bin', undefined, undefined)).toBe(true)
    expect(selects('a.bin', ['*.gguf', '*.bin'], ['a.*'])).toBe(false)
    expect(selects('b.bin', ['*.gguf', '*.bin'], ['a.*'])).toBe(true)
    expect(selects('b.txt', ['*.gguf'], [])).toBe(false)
  })
})
