import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { checkFilename } from '../../../src/disk/names.js'
import { DownloadError } from '../../../src/errors.js'
import {
  canonicalText,
  displayName,
  hasRefScheme,
  identify,
  isRef,
  parseUrl,
  provisionalFilename,
} from '../../../src/sources/identify.js'
import { sourceRegistry } from '../../../src/sources/resolver.js'
import type { Source } from '../../../src/sources/source.js'
import fc from '../../support/properties.js'
import { failure } from '../../support/failure.js'

const source = (fields: Partial<Source>): Source => ({
  name: 'mine',
  match: (ref) => ref.toLowerCase().startsWith('mine:'),
  resolve: () => Promise.reject(new Error('is not asked here')),
  ...fields,
})

const builtIn = sourceRegistry()
const withMine = sourceRegistry([source({})])
const replaced = sourceRegistry([
  source({ name: 'huggingface', match: (ref) => ref.startsWith('hf:'), filenameOf: (ref) => ref.slice(3) }),
])

describe('identify', () => {
  it.each([
    ['https://host/dir/a.gguf', 'a.gguf'],
    ['HTTPS://host/a.gguf?x#y', 'a.gguf'],
    ['https://host/download', null],
    ['https://host/', null],
  ])('%s is a URL', (text, filename) => {
    expect(identify(text, builtIn)).toMatchObject({ kind: 'url', filename })
    expect(isRef(text, builtIn)).toBe(false)
  })

  it.each([
    ['hf:owner/repo/dir/a.gguf@v1', 'huggingface', 'a.gguf'],
    ['HF:owner/repo', 'huggingface', null],
    ['https://huggingface.co/owner/repo/resolve/main/a.gguf', 'huggingface', 'a.gguf'],
    ['ms:owner/repo/a.gguf', 'modelscope', 'a.gguf'],
    ['gh:owner/repo@v1/a.gguf', 'github', 'a.gguf'],
  ])('%s is a ref of %s', (text, name, filename) => {
    expect(identify(text, builtIn)).toMatchObject({ kind: 'ref', source: { name }, filename })
    expect(isRef(text, builtIn)).toBe(true)
  })

  it.each([
    ['Qwen/Qwen2.5-0.5B-Instruct', 'hf:Qwen/Qwen2.5-0.5B-Instruct'],
    ['datasets/owner/repo', 'hf:datasets/owner/repo'],
    ['owner/repo/dir/a.gguf', 'hf:owner/repo/dir/a.gguf'],
    ['owner/repo:Q4_K_M', 'hf:owner/repo:Q4_K_M'],
    ['owner/repo@v1.0', 'hf:owner/repo@v1.0'],
    ['example.com/model.gguf', 'https://example.com/model.gguf'],
    ['huggingface.co/owner/repo', 'https://huggingface.co/owner/repo'],
    ['llama3.2:1b', 'ollama:llama3.2:1b'],
  ])('%s is no URL, but says what is meant', (text, meant) => {
    const error = failure(() => identify(text, builtIn))
    expect(error).toMatchObject({ code: 'INVALID_URL', retryable: false })
    expect(error.message).toContain(`Did you mean ${meant}?`)
    expect(identify(meant, builtIn).kind).toBeDefined()
  })

  it.each([
    '',
    'model.gguf',
    './owner/repo',
    '../x',
    '/owner/repo',
    'C:\\models\\a.gguf',
    'c:model',
    'owner//repo',
    'a/b?token=x',
    'owner/repo x',
    '-/x',
    'ftp://owner/repo',
    'javascript:alert(1)',
    'localhost:8080',
  ])('%j is no URL, and nobody knows what is meant', (text) => {
    const error = failure(() => identify(text, builtIn))
    expect(error.code).toBe('INVALID_URL')
    expect(error.message).not.toContain('mean')
  })

  it('suggests no source that the host does not have', () => {
    const none = { find: () => null }
    expect(failure(() => identify('owner/repo', none)).message).not.toContain('mean')
  })

  it.each([
    ['hf:owner/repo/dir/aux.json', '_aux.json'],
    ['https://huggingface.co/owner/repo/blob/main/aux.json', '_aux.json'],
    ['ms:owner/repo/con.gguf', '_con.gguf'],
    ['gh:owner/repo@v1/a:b.gguf', 'a_b.gguf'],
    ['hf:owner/repo/a.gguf.part', 'a.gguf.part_'],
    ['https://host/nul.bin', '_nul.bin'],
    ['https://host/a%3Ab.bin', 'a_b.bin'],
    ['hf:owner/repo/a.gguf', 'a.gguf'],
    ['https://host/a.gguf', 'a.gguf'],
  ])('%s has a name that is cleaned only if the caller wants that', (text, filename) => {
    expect(identify(text, builtIn, null, true)).toMatchObject({ filename })
    const isSafe = text.endsWith(`/${filename}`)
    if (isSafe) expect(identify(text, builtIn)).toMatchObject({ filename })
    else expect(failure(() => identify(text, builtIn)).code).toBe('UNSAFE_FILENAME')
  })

  it('asks the sources of the host first, also one in place of a built-in one', () => {
    expect(failure(() => identify('hf:internal-model', builtIn)).code).toBe('INVALID_URL')
    expect(identify('hf:internal-model', replaced)).toMatchObject({ kind: 'ref', filename: 'internal-model' })
    expect(identify('MINE:a', withMine)).toMatchObject({
      kind: 'ref',
      source: { name: 'mine' },
      filename: null,
    })
    const claims = sourceRegistry([source({ match: (ref) => ref.startsWith('https://models.corp/') })])
    expect(identify('https://models.corp/a', claims).kind).toBe('ref')
    expect(identify('https://elsewhere/a', claims).kind).toBe('url')
  })

  it('checks the name that a source gives', () => {
    const climbing = sourceRegistry([source({ filenameOf: () => '../a' })])
    expect(failure(() => identify('mine:x', climbing)).code).toBe('UNSAFE_FILENAME')
  })

  it.each([
    ['a TypeError', new TypeError('oops'), 'INTERNAL'],
    ['a DownloadError', new DownloadError('INVALID_URL', 'oops'), 'INVALID_URL'],
  ])('reports as a DownloadError that a source throws %s over the name', (_, thrown, code) => {
    const broken = sourceRegistry([
      source({
        filenameOf: () => {
          throw thrown
        },
      }),
    ])
    const error = failure(() => identify('mine:x', broken))
    expect(error.code).toBe(code)
    expect(error.message).toContain('oops')
    expect(isRef('mine:x', broken)).toBe(true)
    expect(displayName('mine:x', broken)).toBe('mine:x')
  })

  it.each([7, {}, Promise.resolve('a.gguf')])('reports that a source gives %o as the name', (name) => {
    // What a source in plain JavaScript may return.
    const broken = sourceRegistry([source({ filenameOf: () => name as unknown as string })])
    const error = failure(() => identify('mine:x', broken))
    expect(error.code).toBe('INTERNAL')
    expect(error.message).toContain('filenameOf of the source mine')
  })

  it.each([undefined, null])('takes %s for no name', (name) => {
    // What a source in plain JavaScript may return.
    const silent = sourceRegistry([source({ filenameOf: () => name as null })])
    expect(identify('mine:x', silent)).toMatchObject({ kind: 'ref', filename: null })
  })

  it('lets a source that breaks claim nothing', () => {
    const broken = sourceRegistry([
      source({
        match: () => {
          throw new TypeError('broken')
        },
      }),
    ])
    expect(identify('https://host/a.gguf', broken).kind).toBe('url')
    expect(failure(() => identify('mine:x', broken)).code).toBe('INVALID_URL')
  })

  it.each(['C:\\x', 'host:8080/x', 'plain text', 'owner/repo', '', 'ftp://host/a', 'mine:x', 'file:a'])(
    '%j is neither a URL nor a ref that a source knows',
    (text) => {
      expect(failure(() => identify(text, builtIn)).code).toBe('INVALID_URL')
      // A download of a source that was removed must not be taken for a URL.
      expect(isRef(text, builtIn)).toBe(true)
    },
  )

  it('knows files of this machine, but not for remote callers', () => {
    const remote = { allowPrivateNetwork: true, allowedHosts: [] }
    // With the drive that Windows asks for.
    const ref = String(pathToFileURL('/m/a.gguf'))
    expect(identify(ref, builtIn)).toMatchObject({ kind: 'ref', filename: 'a.gguf' })
    expect(failure(() => identify(ref, builtIn, remote)).code).toBe('INVALID_URL')
  })

  it('refuses userinfo in the URL of a remote caller only', () => {
    const remote = { allowPrivateNetwork: false, allowedHosts: [] }
    expect(identify('https://me:pw@host/a', builtIn).kind).toBe('url')
    for (const url of ['https://me:pw@host/a', 'https://me@host/a', 'https://:pw@host/a'])
      expect(failure(() => identify(url, builtIn, remote))).toMatchObject({
        code: 'INVALID_URL',
        message: 'The URL must not contain a user name or password.',
      })
    expect(identify('https://host/a', builtIn, remote).kind).toBe('url')
  })
})

describe('hasRefScheme', () => {
  it.each([
    ['mine:owner/repo', true],
    ['HF:owner/repo', true],
    ['host:8080/x', true],
    ['git+ssh:x', true],
    ['x-1.a:x', true],
    [' mine:x', false],
    ['mine', false],
    ['https:x', false],
    ['HTTP://host/a', false],
    ['httpsx:a', true],
    ['s3://bucket/x', false],
    ['C:\\x', false],
    ['@mine/model', false],
    ['1a:x', false],
    [':x', false],
    ['', false],
  ])('%j: %s', (text, expected) => {
    expect(hasRefScheme(text)).toBe(expected)
  })
})

describe('canonicalText', () => {
  it.each([
    ['HTTPS://HOST:443/a/../b#x', 'https://host/b'],
    ['https://host/a?b#c', 'https://host/a?b'],
    ['http://HOST:80/a#b', 'http://host/a'],
    ['MINE:https://Host/a#b', 'mine:https://Host/a#b'],
    ['X-1.A+B:C', 'x-1.a+b:C'],
    ['https://', 'https://'],
    ['HF:Owner/Repo#x', 'hf:Owner/Repo#x'],
    ['MINE://Host/a/../b?c#d', 'mine://Host/a/../b?c#d'],
    ['@Team/Model', '@Team/Model'],
    ['a B:c', 'a B:c'],
    ['', ''],
  ])('%j → %j', (text, expected) => {
    expect(canonicalText(text)).toBe(expected)
    expect(canonicalText(expected)).toBe(expected)
  })
})

describe('displayName', () => {
  it.each([
    ['mine:owner/repo@v1', 'mine:owner/repo@v1'],
    ['mine:owner/repo@v1?token=SECRET', 'mine:owner/repo@v1?…'],
    ['mine:owner/repo#SECRET', 'mine:owner/repo'],
    ['mine:https://me:SECRET@host/x@v1', 'mine:https://host/x@v1'],
    ['mine://me:SECRET@host/x', 'mine://host/x'],
    ['mine:owner/x:https://me:SECRET@host/a', 'host/a'],
    ['hf:owner/repo@refs/pr/1', 'hf:owner/repo@refs/pr/1'],
    ['hf://owner/repo@v1', 'hf://owner/repo@v1'],
    [
      'https://huggingface.co/o/r/resolve/main/a.gguf?token=SECRET',
      'https://huggingface.co/o/r/resolve/main/a.gguf?…',
    ],
    ['https://me:SECRET@host/a?b=SECRET#SECRET', 'https://host/a?…'],
    ['me:SECRET@host/x', 'host/x'],
    ['other://me:SECRET@host/x', 'other://host/x'],
  ])('%s → %s', (text, expected) => {
    expect(displayName(text, withMine)).toBe(expected)
  })

  it('shows every ref of an own source as it was written, up to a query or a fragment', () => {
    const part = fc.stringMatching(/^[A-Za-z0-9._@-]{1,20}$/)
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const ref = `mine:${parts.join('/')}`
        expect(displayName(ref, withMine)).toBe(ref)
        expect(displayName(`${ref}?SECRET`, withMine)).toBe(`${ref}?…`)
      }),
    )
  })

  it('never shows the userinfo or the query of a URL, whoever claims it', () => {
    const everything = sourceRegistry([source({ match: () => true })])
    const secret = fc.stringMatching(/^[A-Za-z0-9._~-]{1,20}$/).map((text) => `SECRET${text}`)
    const schemes = fc.constantFrom('https://', 'http://', 'HTTPS://', 'mine:https://', 'ollama:http://')
    fc.assert(
      fc.property(secret, schemes, (text, scheme) => {
        for (const registry of [builtIn, withMine, everything]) {
          expect(displayName(`${scheme}me:${text}@host/a?x=${text}#${text}`, registry)).not.toContain(
            'SECRET',
          )
        }
      }),
    )
  })
})

describe('the name of a ref that is not resolved', () => {
  it.each([
    ['hf:owner/repository', 'repository'],
    ['hf:owner/repository@main', 'repository'],
    ['hf:owner/repository@refs/pr/1', 'repository'],
    ['hf:owner/repository:Q4_K_M', 'repository_Q4_K_M'],
    ['hf://owner/repository/', 'repository'],
    ['hf:owner/repository/folder/*.gguf', 'folder'],
    ['ollama:qwen3:0.6b', 'qwen3_0.6b'],
    ['ollama:library/qwen3', 'qwen3'],
    ['ms:owner/模型', '模型'],
    ['https://huggingface.co/owner/repository/tree/main/folder', 'repository'],
    ['https://modelscope.cn/models/owner/repository/files?x=1#top', 'repository'],
    ['own:', 'model.gguf'],
    ['own:..', 'model.gguf'],
    ['own:a/..', 'model.gguf'],
  ])('%s is %s', (ref, name) => {
    expect(provisionalFilename(ref)).toBe(name)
  })

  it('is always one that may be used', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(checkFilename(provisionalFilename(text))).toBe(provisionalFilename(text))
      }),
    )
  })
})

describe('parseUrl', () => {
  it.each([
    ['https://host/a.gguf', 'https://host/a.gguf'],
    ['HTTPS://HOST:443/a', 'https://host/a'],
    ['http://host:8080', 'http://host:8080/'],
    ['https://host/a#part', 'https://host/a'],
    ['https://host/a?x=1#part', 'https://host/a?x=1'],
    ['https://user:pw@host/a', 'https://user:pw@host/a'],
    ['https://host/模', 'https://host/%E6%A8%A1'],
    ['http://[::1]:8080/a', 'http://[::1]:8080/a'],
  ])('%s → %s', (input, expected) => {
    expect(parseUrl(input).href).toBe(expected)
  })

  it.each([
    '',
    'host/a.gguf',
    '/a.gguf',
    'https://',
    'https://host:99999/',
    'ftp://host/a',
    'file:///etc/passwd',
    'data:,x',
    'javascript:alert(1)',
    ' https://host/a',
    'https://host/a b',
    'https://host/a\tb',
    'https://host/a\nb',
    'https://host/a\0b',
    'https://host\\@evil/a',
    'https://ho st/',
  ])('refuses %j', (input) => {
    expect(failure(() => parseUrl(input)).code).toBe('INVALID_URL')
  })

  it.each([
    [' https://host/a', 'The URL contains white space, a backslash or a control character.'],
    ['https://host/a\u001fb', 'The URL contains white space, a backslash or a control character.'],
    ['https://host/a\u007fb', 'The URL contains white space, a backslash or a control character.'],
    ['https://host/a\\b', 'The URL contains white space, a backslash or a control character.'],
    ['https://', 'The URL is not valid.'],
    ['ftp://host/a', 'Only http and https URLs can be downloaded, not ftp:'],
  ])('says of %j: %s', (input, message) => {
    expect(failure(() => parseUrl(input)).message).toBe(message)
  })

  it('keeps tokens out of the error and of its cause', () => {
    const error = failure(() => parseUrl('https://host:99999/a?token=s3cret'))
    expect(JSON.stringify([error, error.message, error.stack])).not.toContain('s3cret')
    expect(JSON.stringify(error.cause ?? null)).not.toContain('s3cret')
  })

  it('is stable: what it gives, it gives back', () => {
    fc.assert(
      fc.property(fc.webUrl({ withFragments: true, withQueryParameters: true }), (input) => {
        const once = parseUrl(input).href
        expect(parseUrl(once).href).toBe(once)
        expect(once).not.toContain('#')
      }),
    )
  })
})
