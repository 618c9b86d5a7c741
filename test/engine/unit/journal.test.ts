import fc, { anyText } from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { mirrorId } from '../../../src/engine/protocol.js'
import { encodeJournal, parseJournal, resumable, type Journal } from '../../../src/engine/part/journal.js'
import { add, covers, size, type IntervalSet } from '../../../src/engine/part/intervals.js'

const digest = 'a'.repeat(64)
const journal: Journal = {
  version: 1,
  url: 'https://host/model.gguf',
  sha256: null,
  identity: { total: 1000, etag: '"a"', lastModified: null, lastModifiedStrong: false },
  bootId: 'boot 1',
  writer: 'w',
  inode: '42',
  written: [
    [0, 300],
    [500, 600],
  ],
  synced: [[0, 200]],
  publishing: null,
}
const here = { urls: [journal.url], sha256: null, bootId: 'boot 1', partSize: 1000 }

const offset = fc.oneof(fc.nat(100), fc.nat(2 ** 40))
const sets: fc.Arbitrary<IntervalSet> = fc
  .array(fc.tuple(offset, offset), { maxLength: 6 })
  .map((pairs) => pairs.reduce<IntervalSet>((set, [a, b]) => add(set, Math.min(a, b), Math.max(a, b)), []))
/** What is synced was written first. */
const progress = fc
  .tuple(sets, sets)
  .map(([synced, more]) => ({ synced, written: more.reduce((set, [a, b]) => add(set, a, b), synced) }))

const journals: fc.Arbitrary<Journal> = fc
  .record({
    url: anyText(),
    sha256: fc.option(fc.constantFrom(digest, 'b'.repeat(64))),
    etag: fc.option(anyText()),
    lastModified: fc.option(fc.string()),
    lastModifiedStrong: fc.boolean(),
    mirror: fc.option(fc.string(), { nil: undefined }),
    remote: fc.option(
      fc.record(
        { allowPrivateNetwork: fc.boolean(), allowedHosts: fc.array(fc.string(), { maxLength: 2 }) },
        { noNullPrototype: true },
      ),
    ),
    untrusted: fc.constantFrom(true as const, undefined),
    bootId: fc.constantFrom('boot 1', 'boot 2', ''),
    host: fc.option(fc.string(), { nil: undefined }),
    writer: fc.string(),
    inode: fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String),
    progress,
    rest: fc.option(fc.nat(100)),
    publishing: fc.option(
      fc.record({ size: offset, sha256: fc.constant(digest) }, { noNullPrototype: true }),
    ),
  })
  .map(({ etag, lastModified, lastModifiedStrong, progress: { written, synced }, rest, ...plain }) => {
    const total = rest === null ? null : (written.at(-1)?.[1] ?? 0) + rest
    const identity = { total, etag, lastModified, lastModifiedStrong }
    return { version: 1, ...plain, identity, written, synced }
  })

const nows = fc.record({
  url: anyText(),
  sha256: fc.option(fc.constantFrom(digest, 'b'.repeat(64))),
  bootId: fc.constantFrom('boot 1', 'boot 2', ''),
  partSize: fc.oneof(fc.nat(200), fc.nat(2 ** 40)),
})

describe('a journal', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(journals, (any) => {
        expect(parseJournal(encodeJournal(any))).toEqual(any)
      }),
    )
  })

  it('may have no bytes yet', () => {
    const empty: Journal = { ...journal, written: [], synced: [] }
    expect(parseJournal(encodeJournal(empty))).toEqual(empty)
  })

  it('is read from nothing but a journal, without throwing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string(), anyText()), (text) => {
        expect(parseJournal(text)).toBeNull()
      }),
    )
  })

  it('is none any more when it is cut', () => {
    fc.assert(
      fc.property(journals, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (any, part) => {
        const text = encodeJournal(any)
        expect(parseJournal(text.slice(0, Math.floor(text.length * part)))).toBeNull()
      }),
    )
  })

  it('is none any more, or still a sound one, with any value of another kind in it', () => {
    const keys = fc.constantFrom(...(Object.keys(journal) as (keyof Journal)[]))
    fc.assert(
      fc.property(keys, fc.jsonValue(), (key, value) => {
        const read = parseJournal(JSON.stringify({ ...journal, [key]: value }))
        if (read === null) return
        const end = read.written.at(-1)?.[1] ?? 0
        expect(end).toBeLessThanOrEqual(read.identity.total ?? Infinity)
        for (const [from, to] of read.synced) expect(covers(read.written, from, to)).toBe(true)
      }),
    )
  })

  it.each([
    ['another version', { version: 2 }],
    ['no version', { version: undefined }],
    ['bytes behind the end', { written: [[0, 1001]] }],
    ['synced bytes that were never written', { synced: [[0, 301]] }],
    ['intervals out of order', { written: [[500, 600], [0, 300]] }], // prettier-ignore
    ['overlapping intervals', { written: [[0, 300], [200, 400]] }], // prettier-ignore
    ['an interval the wrong way round', { written: [[300, 0]] }],
    ['a negative offset', { written: [[-1, 300]] }],
    ['half a byte', { written: [[0, 300.5]] }],
    ['no identity', { identity: null }],
    ['addresses of another kind', { remote: { allowPrivateNetwork: 'no', allowedHosts: [] } }],
    ['a mark of another kind', { untrusted: false }],
    ['a negative total', { identity: { ...journal.identity, total: -1 } }],
  ])('with %s is none', (_, change) => {
    expect(parseJournal(JSON.stringify(journal))).toEqual(journal)
    expect(parseJournal(JSON.stringify({ ...journal, ...change }))).toBeNull()
  })
})

describe('resumable', () => {
  it('takes what is written in the same boot, and what is synced in another', () => {
    const { identity, written, synced } = journal
    const mirror = mirrorId(journal.url)
    expect(resumable(journal, here)).toEqual({ identity, mirror, done: written, synced, beside: 'w' })
    expect(resumable(journal, { ...here, bootId: 'boot 2' })).toEqual({
      identity,
      mirror,
      done: synced,
      synced,
      beside: 'w',
    })
  })

  it('takes only what is synced from another host or container, although it shares the boot', () => {
    const { written, synced } = journal
    const theirs = { ...journal, host: 'pod-a pid:[1]' }
    expect(resumable(theirs, { ...here, host: 'pod-a pid:[1]' })?.done).toEqual(written)
    expect(resumable(theirs, { ...here, host: 'pod-a pid:[2]' })?.done).toEqual(synced)
    expect(resumable(theirs, { ...here, host: 'pod-b pid:[1]' })?.done).toEqual(synced)
    // The first versions did not say on which host they ran.
    expect(resumable(journal, { ...here, host: 'pod-a pid:[1]' })?.done).toEqual(written)
  })

  it.each([
    ['another URL', { urls: ['https://host/other.gguf'] }],
    ['a part that is too short', { partSize: 599 }],
    ['a part that is too short for what is synced', { bootId: 'boot 2', partSize: 199 }],
  ])('takes nothing of %s', (_, change) => {
    expect(resumable(journal, { ...here, ...change })).toBeNull()
  })

  it('takes a part that is just long enough', () => {
    expect(resumable(journal, { ...here, partSize: 600 })).not.toBeNull()
    expect(resumable(journal, { ...here, bootId: 'boot 2', partSize: 200 })).not.toBeNull()
  })

  it('takes nothing when another digest is expected now, and anything when none was or is', () => {
    const other = 'b'.repeat(64)
    expect(resumable({ ...journal, sha256: digest }, { ...here, sha256: other })).toBeNull()
    expect(resumable({ ...journal, sha256: digest }, { ...here, sha256: digest })).not.toBeNull()
    expect(resumable({ ...journal, sha256: digest }, here)).not.toBeNull()
    expect(resumable(journal, { ...here, sha256: digest })).not.toBeNull()
  })

  it("takes nothing of a remote caller's mirrors for a trusted one, unless a digest decides", () => {
    const foreign: Journal = { ...journal, untrusted: true }
    expect(parseJournal(encodeJournal(foreign))).toEqual(foreign)
    expect(resumable(foreign, here)).toBeNull()
    expect(resumable(foreign, { ...here, trusted: true })).toBeNull()
    expect(resumable(foreign, { ...here, trusted: false })).toMatchObject({ untrusted: true })
    expect(resumable(foreign, { ...here, sha256: digest })).toMatchObject({ untrusted: true })
    expect(resumable(journal, { ...here, trusted: true })).not.toBeNull()
  })

  it('takes what came from another URL when the digest that is expected is the same', () => {
    const moved = { ...here, urls: ['https://mirror/model.gguf'] }
    expect(resumable({ ...journal, sha256: digest }, { ...moved, sha256: digest })).not.toBeNull()
    expect(resumable({ ...journal, sha256: digest }, moved)).toBeNull()
    expect(resumable({ ...journal, sha256: null }, { ...moved, sha256: digest })).toBeNull()
  })

  it('takes what came from any of the addresses, and says whose version it is', () => {
    const [a, b] = [journal.url, 'https://mirror/model.gguf']
    const fromB = { ...journal, mirror: mirrorId(b) }
    expect(resumable(fromB, { ...here, urls: [b, a] })?.mirror).toBe(mirrorId(b))
    expect(resumable(fromB, { ...here, urls: [b] })?.mirror).toBe(mirrorId(b))
    expect(resumable(fromB, { ...here, urls: ['https://third/model.gguf', b] })?.mirror).toBe(mirrorId(b))
    expect(resumable(fromB, here)?.mirror).toBe(mirrorId(b))
    expect(resumable(journal, { ...here, urls: [b, a] })?.mirror).toBe(mirrorId(a))
    expect(resumable(journal, { ...here, urls: [b] })).toBeNull()
  })

  it('takes nothing of a journal without bytes', () => {
    expect(resumable({ ...journal, written: [], synced: [] }, here)).toBeNull()
    expect(resumable({ ...journal, synced: [] }, { ...here, bootId: 'boot 2' })).toBeNull()
  })

  it('never claims a byte behind the part’s end, or one that another boot may have lost', () => {
    fc.assert(
      fc.property(journals, nows, fc.boolean(), (any, now, sameUrl) => {
        const result = resumable(any, { ...now, urls: [sameUrl ? any.url : now.url] })
        if (result === null) return
        expect(size(result.done)).toBeGreaterThan(0)
        expect(result.done.at(-1)?.[1]).toBeLessThanOrEqual(now.partSize)
        const trusted = any.bootId === now.bootId ? any.written : any.synced
        for (const [from, to] of result.done) expect(covers(trusted, from, to)).toBe(true)
        for (const [from, to] of result.synced) {
          expect(covers(result.done, from, to)).toBe(true)
          expect(covers(any.synced, from, to)).toBe(true)
        }
      }),
      { numRuns: 500 },
    )
  })
})
