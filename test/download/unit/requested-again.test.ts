/** How requests become records, and how they are compared with the recorded ones. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Download, type DownloadOwner } from '../../../src/download/download.js'
import {
  downloadOptionsSchema,
  parseOptions,
  type ResolvedDownloadOptions,
} from '../../../src/download/options.js'
import { downloadRecordSchema, type DownloadRecord } from '../../../src/download/record.js'
import {
  expectations,
  isStricter,
  mirrorTrust,
  newRecord,
  outranks,
  renewal,
  replacement,
  requireSame,
  sameList,
} from '../../../src/download/request.js'
import { publicOnly } from '../../../src/net/address-policy.js'
import { fullRecord } from '../../../src/store/sample-record.js'
import { recordOf } from '../../store/conformance.js'
import fc from '../../support/properties.js'
import { failure } from '../../support/failure.js'

const digest = 'a'.repeat(64)
const url = 'https://host/models/model.gguf'

const optionsOf = (given: Record<string, unknown>): ResolvedDownloadOptions =>
  parseOptions(downloadOptionsSchema, { url, ...given }, 'download options')

const never = () => Promise.reject(new Error('not here'))

const place = {
  directory: 'inner',
  layout: 'flat',
  mode: 'llm',
  filename: 'model.gguf',
  named: true,
  sequence: 7,
} as const

describe('newRecord', () => {
  it('of a bare URL expects nothing', () => {
    const { createdAt, ...record } = newRecord(optionsOf({}), place)
    expect(new Date(createdAt).toISOString()).toBe(createdAt)
    expect(record).toEqual({
      version: 1,
      id: createHash('sha256').update(url).digest('hex'),
      url,
      urls: [],
      spread: false,
      ...place,
      cache: null,
      adopt: false,
      state: 'queued',
      sha256: null,
      size: null,
      headers: {},
      priority: 0,
      connections: null,
      maxBytesPerSecond: null,
      remote: null,
      force: false,
      downloaded: 0,
      total: null,
      error: null,
      resultSha256: null,
      verified: false,
      stamp: null,
      include: [],
      exclude: [],
      group: null,
      startedAt: null,
      finishedAt: null,
    })
  })

  it('keeps every option', () => {
    const options = {
      urls: ['https://mirror/model.gguf'],
      spread: true,
      adopt: 'copy',
      sha256: digest,
      size: 5,
      headers: { authorization: 'Bearer x' },
      priority: 3,
      connections: 4,
      maxBytesPerSecond: 1000,
      force: true,
      include: ['*.gguf'],
      exclude: ['*.bin'],
    }
    const record = newRecord(optionsOf({ ...options, remote: true }), place)
    expect(record).toMatchObject({ ...options, remote: publicOnly, total: 5 })
    expect(downloadRecordSchema.parse(record)).toEqual(record)
  })
})

const nobody: DownloadOwner = {
  pathOf: () => '',
  pause: never,
  resume: never,
  cancel: never,
  retry: never,
  setLimit: () => undefined,
  setPriority: () => undefined,
}

describe('requireSame', () => {
  const known: Partial<DownloadRecord> = {
    url,
    directory: 'inner',
    mode: 'llm',
    filename: 'model.gguf',
    sha256: digest,
    size: 5,
    include: ['*.gguf', '*.json'],
    exclude: ['*.bin'],
  }
  const samePlace = { directory: 'inner', mode: 'llm', givenFilename: 'model.gguf' }
  const unsaid = { directory: undefined, mode: undefined, givenFilename: null }
  const check = (
    record: Partial<DownloadRecord>,
    given: Record<string, unknown>,
    at: Parameters<typeof requireSame>[2] = unsaid,
  ) => requireSame(new Download(recordOf(1, { ...known, ...record }), nobody), optionsOf(given), at)

  it('accepts a request that says the same, or nothing', () => {
    const { sha256, size, include, exclude } = known
    check({}, { layout: 'flat', sha256, size, include, exclude }, samePlace)
    check({}, {})
    check({ state: 'downloading' }, { sha256, size }, samePlace)
  })

  it.each([
    ['layout', { layout: 'hf-cache' }, {}],
    ['mode', {}, { mode: 'embed' }],
    ['mode', {}, { mode: null }],
    ['directory', {}, { directory: 'other' }],
    ['directory', {}, { directory: null }],
    ['file name', {}, { givenFilename: 'other.gguf' }],
    ['sha256', { sha256: 'b'.repeat(64) }, {}],
    ['size', { size: 6 }, {}],
    ['include', { include: ['*.gguf'] }, {}],
    ['exclude', { exclude: ['*.gguf'] }, {}],
  ])('rejects another %s', (name, given, at) => {
    const error = failure(() => check({}, given, { ...samePlace, ...at }))
    expect(error).toMatchObject({ code: 'CONFLICT', retryable: false })
    expect(error.message).toContain(`a different ${name};`)
  })

  it('does not compare modes in a cache, which has none', () => {
    check({ layout: 'hf-cache', mode: null }, {}, { ...unsaid, mode: 'llm' })
  })

  it.each([
    ['digest', { sha256: null }, { sha256: digest }],
    ['size', { size: null }, { size: 5 }],
  ])('accepts a %s where none was known, until the transfer runs', (_, record, given) => {
    check({ ...record, state: 'queued' }, given)
    check({ ...record, state: 'paused' }, given)
    const error = failure(() => check({ ...record, state: 'downloading' }, given))
    expect(error.code).toBe('CONFLICT')
    expect(error.message).toContain('already being downloaded without that sha256 or size')
  })
})

it.each([
  [[], [], true],
  [['a', 'b'], ['a', 'b'], true],
  [['a', 'b'], ['b', 'a'], false],
  [['a'], ['a', 'b'], false],
  [['a', 'b'], ['a'], false],
  [['a', 'b'], ['a', 'c'], false],
])('sameList of %j and %j: %s', (a, b, same) => {
  expect(sameList(a, b)).toBe(same)
})

it('expectations keeps those that a new request does not replace', () => {
  const record = recordOf(1, { sha256: digest, size: 5 })
  const other = 'b'.repeat(64)
  expect(expectations(record, optionsOf({}))).toEqual({ sha256: digest, size: 5 })
  expect(expectations(record, optionsOf({ sha256: other }))).toEqual({ sha256: other, size: 5 })
  expect(expectations(record, optionsOf({ size: 0 }))).toEqual({ sha256: digest, size: 0 })
})

describe('a remote caller who knows the digest or the size', () => {
  const message =
    'This URL is already being downloaded for the host application, without that sha256 or size.'
  const check = (record: Partial<DownloadRecord>, given: Record<string, unknown>) => {
    const unsaid = { directory: undefined, mode: undefined, givenFilename: null }
    requireSame(
      new Download(recordOf(1, { url, sha256: null, size: null, ...record }), nobody),
      optionsOf(given),
      unsaid,
    )
  }

  it.each(['queued', 'paused', 'downloading'] as const)(
    'does not change a %s download of the host',
    (state) => {
      expect(failure(() => check({ state, remote: null }, { remote: true, size: 5 }))).toMatchObject({
        code: 'CONFLICT',
        message,
      })
    },
  )

  it('may change one that has ended, that of another remote caller, or be trusted', () => {
    check({ state: 'failed', remote: null }, { remote: true, size: 5 })
    check({ state: 'queued', remote: publicOnly }, { remote: true, size: 5 })
    check({ state: 'queued', remote: null }, { size: 5 })
    check({ state: 'queued', remote: null }, { remote: true })
  })
})

describe('mirrorTrust', () => {
  it('marks the mirrors of remote callers, and nothing else', () => {
    const urls = ['https://mirror/model.gguf']
    expect(mirrorTrust({ remote: publicOnly, urls })).toEqual({ untrustedMirrors: true })
    expect(mirrorTrust({ remote: publicOnly, urls: [] })).toEqual({})
    expect(mirrorTrust({ remote: publicOnly, urls: undefined })).toEqual({})
    expect(mirrorTrust({ remote: null, urls })).toEqual({})
  })
})

describe('renewal', () => {
  const fresh = { error: null, finishedAt: null, startedAt: null, verified: false, downloaded: 0 }

  it('of a retry only forgets how the last run ended', () => {
    expect(renewal(fullRecord(), null)).toEqual(fresh)
  })

  it('keeps what a new request does not say, except trust, force and priority', () => {
    const record = fullRecord()
    const { adopt, urls, spread, connections, maxBytesPerSecond, headers, sha256, size } = record
    expect(renewal(record, optionsOf({}))).toEqual({
      ...fresh,
      ...{ adopt, urls, spread, connections, maxBytesPerSecond, headers, sha256, size },
      // The last caller decides.
      force: false,
      remote: null,
      priority: 0,
    })
  })

  it('replaces what a new request says', () => {
    const options = {
      urls: ['https://new/model.gguf'],
      spread: false,
      adopt: false,
      sha256: 'b'.repeat(64),
      size: 6,
      headers: { cookie: 'x' },
      priority: 9,
      connections: 2,
      maxBytesPerSecond: null,
      force: true,
    }
    const record = { ...fullRecord(), remote: null, force: false }
    expect(renewal(record, optionsOf({ ...options, remote: true }))).toEqual({
      ...fresh,
      ...options,
      remote: publicOnly,
    })
  })
})

describe('a request of more trust', () => {
  it('is that of a trusted caller for a remote one, and no other', () => {
    const trusted = optionsOf({})
    const remote = optionsOf({ remote: true })
    expect(outranks(trusted, { remote: publicOnly })).toBe(true)
    expect(outranks(trusted, { remote: null })).toBe(false)
    expect(outranks(remote, { remote: null })).toBe(false)
    expect(outranks(remote, { remote: publicOnly })).toBe(false)
  })

  const request = (given: Record<string, unknown>) => ({
    wanted: optionsOf(given),
    layout: 'flat' as const,
    directory: undefined,
    targetDirectory: null,
    mode: null,
    givenFilename: null,
    derivedFilename: 'model.gguf',
    provisionalFilename: 'model.gguf',
  })

  it('keeps nothing that the remote caller said', () => {
    const { createdAt, sequence, stamp, ...known } = fullRecord()
    const before = { ...known, createdAt, sequence, stamp, untrustedMirrors: true as const }
    const next = replacement(before, request({}))
    expect(next).toEqual({
      ...newRecord(optionsOf({}), { directory: null, layout: 'flat', mode: null, filename: 'model.gguf', named: true, sequence }), // prettier-ignore
      createdAt,
      stamp,
      force: true,
    })
    expect(replacement(before, request({ sha256: digest })).force).toBe(false)
    expect(replacement({ ...before, untrustedMirrors: undefined }, request({})).force).toBe(false)
  })

  it('and one of less trust keeps neither mirrors nor headers', () => {
    const record = { ...fullRecord(), remote: null }
    expect(renewal(record, optionsOf({ remote: true }))).toMatchObject({ urls: [], headers: {} })
    const remote = { ...record, remote: publicOnly }
    expect(renewal(remote, optionsOf({ remote: true }))).toMatchObject({ urls: record.urls })
    const wider = { allowedHosts: ['10.0.0.1'] }
    expect(renewal(remote, optionsOf({ remote: wider }))).toMatchObject({ urls: [], headers: {} })
    const all = { allowPrivateNetwork: true }
    expect(renewal(remote, optionsOf({ remote: all }))).toMatchObject({ urls: [], headers: {} })
    const narrower = { ...record, remote: { allowPrivateNetwork: false, allowedHosts: ['b', 'a'] } }
    for (const allowedHosts of [
      ['a', 'b'],
      ['b', 'a'],
    ])
      // prettier-ignore
      expect(renewal(narrower, optionsOf({ remote: { allowedHosts } }))).toMatchObject({ urls: record.urls })
    const sorted = { ...record, remote: { allowPrivateNetwork: false, allowedHosts: ['a', 'b'] } }
    expect(renewal(sorted, optionsOf({ remote: { allowedHosts: ['b', 'a'] } }))).toMatchObject({
      urls: record.urls,
      headers: record.headers,
    })
    expect(renewal(sorted, optionsOf({ remote: true }))).toMatchObject({ urls: [] })
  })

  it('replaces the headers of the same caller, and keeps its clean names unless it says otherwise', () => {
    const record = { ...fullRecord(), remote: null, restrictNames: true }
    expect(renewal(record, optionsOf({ headers: { cookie: 'x' } })).headers).toEqual({ cookie: 'x' })
    expect(renewal(record, optionsOf({})).restrictNames).toBe(true)
    expect(renewal(record, optionsOf({ restrictNames: false })).restrictNames).toBe(false)
  })
})

describe('isStricter', () => {
  const open = { sha256: null, size: null }

  it.each([
    ['a digest', { sha256: digest }],
    ['a size', { size: 5 }],
    ['a size of nothing', { size: 0 }],
    ['both', { sha256: digest, size: 5 }],
    ['a digest, and no size', { sha256: digest, size: null }],
  ])('is so for %s where nothing was expected', (_, wanted) => {
    expect(isStricter(open, wanted)).toBe(true)
  })

  it.each([
    ['nothing said', {}],
    ['nothing said of either', { sha256: undefined, size: undefined }],
    ['nothing expected of either, as catalogs say it', { sha256: null, size: null }],
  ])('is not so with %s', (_, wanted) => {
    expect(isStricter(open, wanted)).toBe(false)
    expect(isStricter({ sha256: digest, size: 5 }, wanted)).toBe(false)
  })

  it('does not compare what was expected before: that is a conflict, or the same', () => {
    const known = { sha256: digest, size: 5 }
    expect(isStricter(known, known)).toBe(false)
    expect(isStricter(known, { sha256: 'b'.repeat(64), size: 6 })).toBe(false)
    expect(isStricter({ ...known, size: null }, { size: 6 })).toBe(true)
    expect(isStricter({ ...known, size: null }, { sha256: digest })).toBe(false)
    expect(isStricter({ ...known, sha256: null }, { sha256: digest })).toBe(true)
  })

  it('takes null for the same as nothing said', () => {
    const said = fc.record({ sha256: fc.option(fc.constant(digest)), size: fc.option(fc.nat({ max: 2 })) })
    fc.assert(
      fc.property(said, said, (record, wanted) => {
        const bare = { sha256: wanted.sha256 ?? undefined, size: wanted.size ?? undefined }
        expect(isStricter(record, wanted)).toBe(isStricter(record, bare))
      }),
    )
  })
})
