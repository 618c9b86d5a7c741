import fc from '../../support/properties.js'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import {
  downloadOptionsSchema,
  parseOptions,
  sha256Schema,
  type DownloadOptions,
  type ResolvedDownloadOptions,
} from '../../../src/download/options.js'
import {
  managerOptionsSchema,
  type DownloadManagerOptions,
  type ResolvedManagerOptions,
} from '../../../src/manager/options.js'
import { defaultTuning, type TransferTuning } from '../../../src/net/tuning.js'
import { failure } from '../../support/failure.js'

const url = 'https://host/model.gguf'

const managerOptions = (input: unknown) => parseOptions(managerOptionsSchema, input, 'Manager options')
const downloadOptions = (input: unknown) => parseOptions(downloadOptionsSchema, input, 'Download options')

describe('manager options', () => {
  it('have a default each', () => {
    expect(managerOptions({})).toEqual({
      directory: './models',
      concurrency: 3,
      whenFull: 'fail',
      connections: 32,
      maxBytesPerSecond: null,
      modes: ['llm', 'embed', 'rerank'],
      defaultMode: 'llm',
      layout: 'flat',
      adopt: true,
      store: 'file',
      autoResume: true,
      worker: true,
      proxy: true,
      sources: [],
      tuning: {},
    } satisfies ResolvedManagerOptions)
  })

  it('cover the documented type, and no other', () => {
    expectTypeOf<keyof ResolvedManagerOptions>().toEqualTypeOf<keyof DownloadManagerOptions>()
    expectTypeOf<keyof ResolvedDownloadOptions>().toEqualTypeOf<keyof DownloadOptions>()
    expectTypeOf<keyof ResolvedManagerOptions['tuning']>().toEqualTypeOf<keyof TransferTuning>()
  })

  it('take every default of the tuning', () => {
    expect(managerOptions({ tuning: defaultTuning }).tuning).toEqual(defaultTuning)
  })

  it('treat undefined as not given', () => {
    const resolved = managerOptions({ concurrency: undefined, tuning: { maxAttempts: undefined } })
    expect(resolved.concurrency).toBe(3)
    expect({ ...defaultTuning, ...resolved.tuning }).toEqual(defaultTuning)
  })

  it('take a store of the caller', () => {
    const store = { load: () => null, save: () => null, remove: () => null }
    expect(managerOptions({ store }).store).toBe(store)
  })

  it.each([
    [{ concurrency: 0 }, 'concurrency'],
    [{ concurrency: 1.5 }, 'concurrency'],
    [{ concurrency: 1_001 }, 'concurrency'],
    [{ concurrency: '3' }, 'concurrency'],
    [{ connections: 65 }, 'connections'],
    [{ connections: 1e6 }, 'connections'],
    [{ maxBytesPerSecond: 0 }, 'maxBytesPerSecond'],
    [{ maxBytesPerSecond: Infinity }, 'maxBytesPerSecond'],
    [{ directory: '' }, 'directory'],
    [{ directory: 'a\0b' }, 'directory'],
    [{ modes: ['../x'] }, 'modes.0'],
    [{ modes: ['llm', 'a/b'] }, 'modes.1'],
    [{ modes: ['.model-downloader'] }, 'modes.0'],
    [{ modes: ['a.'] }, 'modes.0'],
    [{ defaultMode: '..' }, 'defaultMode'],
    [{ store: 'redis' }, 'store'],
    [{ store: {} }, 'store'],
    [{ tuning: { maxAttempts: 0 } }, 'tuning.maxAttempts'],
    [{ tuning: { bodyTimeoutMs: -1 } }, 'tuning.bodyTimeoutMs'],
    [{ tuning: { maxDelayMs: Number.NaN } }, 'tuning.maxDelayMs'],
    [{ tuning: { unknown: 1 } }, 'tuning'],
    [{ concurency: 3 }, ''],
    [null, ''],
    ['./models', ''],
  ])('refuse %j', (input, path) => {
    const error = failure(() => managerOptions(input))
    expect(error.code).toBe('INVALID_OPTIONS')
    expect([...new Set(error.issues.map((issue) => issue.path))]).toEqual([path])
    expect(error.message).toMatch(/^Manager options: ./)
  })

  it('say what would be right', () => {
    expect(failure(() => managerOptions({ store: 'redis' })).message).toContain("'file', 'memory'")
    expect(failure(() => managerOptions({ concurency: 3 })).message).toContain('concurency')
  })

  it('tell all problems at once', () => {
    const error = failure(() => managerOptions({ concurrency: 0, connections: 0, proxy: 'yes' }))
    expect(error.issues.map((issue) => issue.path).sort()).toEqual(['concurrency', 'connections', 'proxy'])
  })

  it.each(['host:3128', 'true', '', 'ftp://host', 'http://'])('do not take %j for a proxy', (proxy) => {
    expect(failure(() => managerOptions({ proxy })).issues).toEqual([
      { path: 'proxy', message: 'is not the address of a proxy, such as http://host:3128' },
    ])
  })

  it.each([true, false, 'http://me:100%@host:3128', 'socks5h://host'])('take %j for a proxy', (proxy) => {
    expect(managerOptions({ proxy })).toMatchObject({ proxy })
  })
})

describe('download options', () => {
  it('have defaults', () => {
    expect(downloadOptions({ url })).toEqual({ url, headers: {}, priority: 0, remote: null, force: false })
  })

  it('take all that is documented', () => {
    const given = {
      url,
      filename: 'a.gguf',
      mode: null,
      sha256: 'a'.repeat(64),
      size: 0,
      headers: { Authorization: 'Bearer x', 'X-Tab': 'a\tb', 'X-Latin': 'caf\u00e9' },
      priority: -1_000_000,
      connections: 64,
      maxBytesPerSecond: null,
      remote: { allowPrivateNetwork: true, allowedHosts: ['host', 'host:8080', '[::1]', '[::1]:8080'] },
      force: true,
      signal: new AbortController().signal,
    } satisfies DownloadOptions
    expect(downloadOptions(given)).toEqual(given)
  })

  it.each([
    [{}, 'url'],
    [{ url: '' }, 'url'],
    [{ url: 5 }, 'url'],
    [{ url: `https://host/${'a'.repeat(16_384)}` }, 'url'],
    [{ url, size: -1 }, 'size'],
    [{ url, size: 1.5 }, 'size'],
    [{ url, size: 2 ** 53 }, 'size'],
    [{ url, sha256: 'abc' }, 'sha256'],
    [{ url, sha256: 'g'.repeat(64) }, 'sha256'],
    [{ url, priority: 1_000_001 }, 'priority'],
    [{ url, connections: 0 }, 'connections'],
    [{ url, connections: 1_000_000 }, 'connections'],
    [{ url, force: 'yes' }, 'force'],
    [{ url, signal: {} }, 'signal'],
    [{ url, headers: { 'a b': 'x' } }, 'headers.a b'],
    [{ url, headers: { '': 'x' } }, 'headers.'],
    [{ url, headers: { 'X-A': 'x\r\nHost: evil' } }, 'headers.X-A'],
    [{ url, headers: { 'X-A': 'x\n' } }, 'headers.X-A'],
    [{ url, headers: { 'X-A': 'x\0' } }, 'headers.X-A'],
    [{ url, headers: { 'X-A': '模' } }, 'headers.X-A'],
    [{ url, headers: { 'X-A': 5 } }, 'headers.X-A'],
    [{ url, headers: { rAnGe: 'bytes=0-1' } }, 'headers.rAnGe'],
    [{ url, headers: { Host: 'evil' } }, 'headers.Host'],
    [{ url, headers: { 'Accept-Encoding': 'gzip' } }, 'headers.Accept-Encoding'],
    [{ url, headers: { 'Proxy-Authorization': 'Basic x' } }, 'headers.Proxy-Authorization'],
    [{ url, remote: 'yes' }, 'remote'],
    [{ url, remote: null }, 'remote'],
    [{ url, remote: { allowPrivateNetworks: true } }, 'remote'],
    [{ url, outputDir: '/etc' }, ''],
  ])('refuse %j', (input, path) => {
    const error = failure(() => downloadOptions(input))
    expect(error.code).toBe('INVALID_OPTIONS')
    expect([...new Set(error.issues.map((issue) => issue.path))]).toEqual([path])
  })

  it('take the mark of a remote caller', () => {
    const nothing = { allowPrivateNetwork: false, allowedHosts: [] }
    const marks = [true, {}, { allowPrivateNetwork: false }, { allowedHosts: [] }]
    for (const remote of marks) expect(downloadOptions({ url, remote }).remote).toEqual(nothing)
    expect(downloadOptions({ url, remote: false }).remote).toBeNull()
  })

  it.each([
    ...['', ' ', 'a b', 'https://host', 'host/path', 'user@host', 'host:', 'host:x', 'host:123456'],
    ...['*', '*.example.com', '::1', '[::1', 'host?', 'host#', 'host\\', 'a\nb'],
  ])('refuse %j as an allowed host', (host) => {
    const error = failure(() => downloadOptions({ url, remote: { allowedHosts: ['fine', host] } }))
    expect(error.code).toBe('INVALID_OPTIONS')
    expect(error.message).toContain('remote')
  })

  it('never repeat a header value in what they say', () => {
    const error = failure(() => downloadOptions({ url, headers: { Authorization: 'Bearer s3cret\n' } }))
    expect(JSON.stringify([error.message, error.issues, error.stack])).not.toContain('s3cret')
  })

  it('throw nothing but INVALID_OPTIONS', () => {
    const keys = fc.constantFrom(
      'url',
      'filename',
      'mode',
      'sha256',
      'size',
      'headers',
      'signal',
      '__proto__',
    )
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.dictionary(keys, fc.anything())), (input) => {
        try {
          downloadOptions(input)
        } catch (error) {
          expect(isDownloadError(error, 'INVALID_OPTIONS')).toBe(true)
        }
      }),
    )
  })
})

describe('sha256Schema', () => {
  const hex = '0123456789abcdef'.repeat(4)

  it.each([hex, hex.toUpperCase(), `sha256:${hex}`, `SHA256-${hex}`, ` ${hex}\n`])('takes %j', (value) => {
    expect(sha256Schema.parse(value)).toBe(hex)
  })

  it.each(['', hex.slice(1), `${hex}0`, `sha512:${hex}`, `sha256:sha256:${hex}`, `${hex.slice(1)}g`])(
    'refuses %j',
    (value) => {
      expect(sha256Schema.safeParse(value).success).toBe(false)
    },
  )
})
