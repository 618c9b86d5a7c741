import { resolve } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Destinations } from '../../../src/download/destination.js'
import {
  downloadOptionsSchema,
  parseOptions,
  type ResolvedDownloadOptions,
} from '../../../src/download/options.js'
import {
  destinationFor,
  type DownloadRequestContext,
  readRequest,
  requireNoGlobs,
} from '../../../src/download/request.js'
import { defaultTuning } from '../../../src/net/tuning.js'
import { Resolver } from '../../../src/sources/resolver.js'
import { type Source, SourceRegistry } from '../../../src/sources/source.js'
import { systemClock } from '../../../src/util/clock.js'
import { failure } from '../../support/failure.js'

const url = 'https://host/models/model.gguf'

const optionsOf = (given: Record<string, unknown>): ResolvedDownloadOptions =>
  parseOptions(downloadOptionsSchema, { url, ...given }, 'download options')

const never = () => Promise.reject(new Error('not here'))
/** `hub:` can be stored in a cache, `plain:` cannot. */
const hub: Source = {
  name: 'hub',
  layouts: ['hf-cache'],
  match: (ref) => ref.startsWith('hub:'),
  filenameOf: (ref) => (ref.includes('/') ? ref.slice(ref.lastIndexOf('/') + 1) : null),
  resolve: never,
}
const plain: Source = { name: 'plain', match: (ref) => ref.startsWith('plain:'), resolve: never }

const resolver = new Resolver({
  sources: new SourceRegistry([hub, plain], []),
  tuning: defaultTuning,
  proxy: false,
  clock: systemClock,
})

/** A manager in `/srv/models` with the modes `llm`, which is the default, and `embed`. */
const managerOf = (change: Partial<DownloadRequestContext> = {}): DownloadRequestContext => ({
  places: new Destinations('/srv/models', ['embed'], 'llm'),
  resolver,
  layout: 'flat',
  adopt: true,
  ownsCache: false,
  ...change,
})
const inCaches = (change: Partial<DownloadRequestContext> = {}) =>
  managerOf({ places: new Destinations('/srv/models', [], null), layout: 'hf-cache', ...change })

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('readRequest', () => {
  it('adds the settings of the manager to a bare URL', () => {
    const { wanted, ...rest } = readRequest({ url }, managerOf())
    expect(wanted).toMatchObject({ url, adopt: true, remote: null, priority: 0 })
    expect(rest).toEqual({
      layout: 'flat',
      directory: undefined,
      targetDirectory: null,
      mode: 'llm',
      givenFilename: null,
      derivedFilename: 'model.gguf',
      provisionalFilename: 'model.gguf',
    })
  })

  it('keeps what the caller gave', () => {
    const given = { url, filename: 'own.gguf', mode: 'embed', directory: 'inner', adopt: 'copy' }
    expect(readRequest(given, managerOf())).toMatchObject({
      wanted: { adopt: 'copy' },
      directory: 'inner',
      targetDirectory: 'inner',
      mode: 'embed',
      givenFilename: 'own.gguf',
      derivedFilename: 'model.gguf',
    })
    expect(readRequest({ url, mode: null }, managerOf()).mode).toBeNull()
  })

  it.each([
    ['hub:owner/model.gguf', 'model.gguf'],
    ['hub:owner', null],
    ['plain:anything', null],
    ['https://host/download', null],
  ])('derives from %s the name %s', (ref, derivedFilename) => {
    expect(readRequest({ url: ref }, managerOf())).toMatchObject({ givenFilename: null, derivedFilename })
  })

  it.each([
    ['an unknown option', { url, adpot: true }, 'INVALID_OPTIONS'],
    ['a name that cannot be used', { url, filename: '../x' }, 'UNSAFE_FILENAME'],
    ['a URL with such a name', { url: 'https://host/..%2fx' }, 'UNSAFE_FILENAME'],
    ['an address that is neither a URL nor a ref', { url: 'ftp://host/x' }, 'INVALID_URL'],
    ['a mirror that is not a URL', { url, urls: [url, 'nowhere'] }, 'INVALID_URL'],
    ['a mode that is not registered', { url, mode: 'rerank' }, 'INVALID_OPTIONS'],
    ['globs for a plain URL', { url, include: ['*.gguf'] }, 'INVALID_OPTIONS'],
  ])('rejects %s', (_, given, code) => {
    expect(failure(() => readRequest(given, managerOf())).code).toBe(code)
  })

  it('says which options are invalid', () => {
    expect(failure(() => readRequest({ url, connections: 0 }, managerOf())).message).toMatch(
      /^download options: connections: /,
    )
  })

  it('accepts globs for a ref', () => {
    const { wanted } = readRequest({ url: 'hub:owner', include: ['*.gguf'] }, managerOf())
    expect(wanted.include).toEqual(['*.gguf'])
  })

  it('holds the URL and the mirrors of a remote caller to its grant', () => {
    const secret = 'https://user:secret@host/model.gguf'
    expect(readRequest({ url: secret, urls: [secret] }, managerOf()).wanted.url).toBe(secret)
    for (const given of [{ url: secret }, { url, urls: [secret] }])
      expect(failure(() => readRequest({ ...given, remote: true }, managerOf())).code).toBe('INVALID_URL')
  })

  it.each([
    [undefined, false, true, true],
    [undefined, false, 'copy', 'copy'],
    [undefined, false, false, false],
    [false, false, true, false],
    [true, false, false, true],
    // A remote caller could find out which files exist.
    [undefined, true, true, false],
    [true, true, false, true],
  ] as const)(
    'with adopt %s, remote %s and the setting %s adopts: %s',
    (adopt, remote, setting, effective) => {
      const given = { url, remote, ...(adopt === undefined ? {} : { adopt }) }
      expect(readRequest(given, managerOf({ adopt: setting })).wanted.adopt).toBe(effective)
    },
  )
})

describe('the layout of a request', () => {
  const layoutOf = (given: Record<string, unknown>, context: DownloadRequestContext) =>
    readRequest({ url: 'hub:owner', ...given }, context).layout

  it('is that of the manager for a ref that fits it', () => {
    expect(layoutOf({}, inCaches())).toBe('hf-cache')
    expect(layoutOf({}, managerOf())).toBe('flat')
  })

  it.each([
    ['a URL', { url }],
    ['a ref of another source', { url: 'plain:x' }],
    ['a mode', { mode: 'embed' }],
    ['a file name', { filename: 'own.gguf' }],
  ])('falls back to flat for %s', (_, given) => {
    const places = new Destinations('/srv/models', ['embed'], null)
    expect(layoutOf(given, inCaches({ places }))).toBe('flat')
  })

  it('is the one that the caller gave', () => {
    expect(layoutOf({ layout: 'flat' }, inCaches())).toBe('flat')
    expect(layoutOf({ layout: 'flat', mode: 'embed', filename: 'own.gguf' }, managerOf())).toBe('flat')
    expect(layoutOf({ layout: 'hf-cache' }, managerOf())).toBe('hf-cache')
    expect(layoutOf({ layout: 'hf-cache', mode: null }, managerOf())).toBe('hf-cache')
  })

  it.each([
    ['a URL', 'layout', { url }, 'refs of the Hugging Face Hub'],
    ['a ref of another source', 'layout', { url: 'plain:x' }, 'refs of the Hugging Face Hub'],
    ['a mode', 'mode', { mode: 'embed' }, 'no modes'],
    ['a file name', 'filename', { filename: 'own.gguf' }, 'keeps the file names'],
  ])('cannot be a cache for %s', (_, path, given, reason) => {
    const error = failure(() => layoutOf({ layout: 'hf-cache', ...given }, managerOf()))
    expect(error.code).toBe('INVALID_OPTIONS')
    expect(error.issues).toEqual([{ path, message: expect.stringContaining(reason) }])
  })

  it('decides on the folder and on the mode', () => {
    vi.stubEnv('HF_HUB_CACHE', '/caches/hub')
    const ref = { url: 'hub:owner', layout: 'hf-cache' }
    expect(readRequest(ref, managerOf())).toMatchObject({
      mode: undefined,
      directory: undefined,
      targetDirectory: resolve('/caches/hub'),
    })
    // The folder of the manager is the cache.
    expect(readRequest(ref, managerOf({ ownsCache: true })).targetDirectory).toBeNull()
    expect(readRequest({ ...ref, directory: '/other' }, managerOf()).targetDirectory).toBe(resolve('/other'))
    expect(readRequest({ url: 'hub:owner' }, managerOf()).targetDirectory).toBeNull()
    // The caller asked for the manager's own folder.
    expect(readRequest({ ...ref, directory: '.' }, managerOf()).targetDirectory).toBeNull()
  })
})

describe('destinationFor', () => {
  const request = {
    wanted: optionsOf({}),
    layout: 'flat',
    directory: undefined,
    targetDirectory: 'inner',
    mode: 'llm',
    givenFilename: null,
    derivedFilename: null,
    provisionalFilename: 'model',
  } as const

  it.each([
    ['the name of the caller', { givenFilename: 'own.gguf' }, 'own.gguf', true],
    ['the name of the URL', { derivedFilename: 'url.gguf' }, 'url.gguf', true],
    ['the name of the caller first', { givenFilename: 'own', derivedFilename: 'url' }, 'own', true],
    ['a provisional name', {}, 'model', false],
  ])('uses %s', (_, names, filename, named) => {
    expect(destinationFor({ ...request, ...names })).toEqual({
      layout: 'flat',
      directory: 'inner',
      mode: 'llm',
      filename,
      named,
    })
  })

  it('knows no path in a cache yet, and no mode', () => {
    const inCache = { ...request, layout: 'hf-cache', mode: undefined, derivedFilename: 'a.gguf' } as const
    expect(destinationFor(inCache)).toEqual({
      layout: 'hf-cache',
      directory: 'inner',
      mode: null,
      filename: 'a.gguf',
      named: false,
    })
  })
})

describe('requireNoGlobs', () => {
  it('names the option that applies only to several files', () => {
    const include = ['*']
    expect(failure(() => requireNoGlobs(optionsOf({ include }))).issues).toMatchObject([{ path: 'include' }])
    expect(failure(() => requireNoGlobs(optionsOf({ exclude: include }))).issues).toEqual([
      { path: 'exclude', message: 'applies only to a ref that names several files' },
    ])
    const both = failure(() => requireNoGlobs(optionsOf({ include, exclude: include })))
    expect(both).toMatchObject({ code: 'INVALID_OPTIONS', issues: [{ path: 'include' }] })
    expect(() => requireNoGlobs(optionsOf({}))).not.toThrow()
  })
})
