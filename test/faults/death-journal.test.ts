import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from '../support/properties.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Journal } from '../../src/engine/part/journal.js'
import { within } from '../support/budget.js'
import { randomContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB } from './harness.js'
import { layOut, lengthOf, makeKept, type Kept } from './leftovers.js'

const content = randomContent(768 * KiB, 'journal')
const path = '/model.bin'
let origin: Origin
let kept: Kept

beforeAll(async () => {
  origin = await startOrigin()
  kept = await makeKept(origin, path, content)
})
afterAll(() => origin.close())

/** Downloads into a folder, and answers how many bytes had to be fetched. */
async function fetchInto(directory: string, options: { sha256?: string } = {}): Promise<number> {
  await using manager = makeManager(directory)
  const download = await manager.download({ url: origin.url(path), ...options })
  const file = await arrives(download)
  await expectInvariant(directory, kept.name, 'done', { content })
  return file.fetchedBytes
}

const whole = content.size

describe('row 32: what is left of an earlier run makes no sense', () => {
  it('is taken up when it is sound', async () => {
    const written = lengthOf(kept.journal.written)
    expect(written).toBeGreaterThan(whole / 4)
    expect(await fetchInto(await layOut(kept.name, kept))).toBe(whole - written)
  })

  const other: Record<string, (journal: Journal) => string | null> = {
    empty: () => '',
    garbage: () => '\u0000\u0001{]',
    'half of it': (journal) => JSON.stringify(journal).slice(0, 120),
    'another kind of JSON': () => '[1, 2, 3]',
    'of another URL': (journal) => JSON.stringify({ ...journal, url: `${journal.url}?v=2` }),
    'of an older version': (journal) => JSON.stringify({ ...journal, version: 0 }),
    'of a newer version': (journal) => JSON.stringify({ ...journal, version: 2 }),
    'of another digest': (journal) => JSON.stringify({ ...journal, sha256: 'a'.repeat(64) }),
    missing: () => null,
  }
  it.each(Object.entries(other))('a journal that is %s: starts over', async (_what, change) => {
    const directory = await layOut(kept.name, { part: kept.part, journal: change(kept.journal) })
    expect(await fetchInto(directory, { sha256: content.sha256() })).toBe(whole)
  })

  it('a journal without its part: starts over', async () => {
    expect(await fetchInto(await layOut(kept.name, { ...kept, part: null }))).toBe(whole)
  })

  it('a journal that claims more than a shortened part has: starts over', async () => {
    const end = kept.journal.written.at(-1)?.[1] ?? 0
    const part = kept.part.subarray(0, end - 1)
    expect(await fetchInto(await layOut(kept.name, { ...kept, part }))).toBe(whole)
  })

  it('an empty part: starts over', async () => {
    expect(await fetchInto(await layOut(kept.name, { ...kept, part: Buffer.alloc(0) }))).toBe(whole)
  })

  it('of another boot: only what was synced counts', async () => {
    const cut: [number, number][] = [[0, 100 * KiB]]
    const journal: Journal = { ...kept.journal, bootId: 'another', synced: cut }
    const part = Buffer.concat([kept.part.subarray(0, 100 * KiB), Buffer.alloc(whole - 100 * KiB)])
    expect(await fetchInto(await layOut(kept.name, { part, journal }))).toBe(whole - 100 * KiB)
  })

  it('of another boot, nothing synced: starts over', async () => {
    const journal: Journal = { ...kept.journal, bootId: 'another', synced: [] }
    expect(await fetchInto(await layOut(kept.name, { part: Buffer.alloc(whole), journal }))).toBe(whole)
  })

  it('a part that is a symbolic link: is not followed', async () => {
    const directory = await layOut(kept.name, { part: null, journal: kept.journal })
    const victim = join(tempDir('victim'), 'victim')
    await writeFile(victim, kept.part)
    await symlink(victim, join(directory, `${kept.name}.part`))
    expect(await fetchInto(directory)).toBe(whole)
    expect((await readFile(victim)).equals(kept.part)).toBe(true)
  })

  it('a journal that is a folder: fails, and nothing gets the final name', async () => {
    const directory = await layOut(kept.name, { part: kept.part, journal: null })
    await mkdir(join(directory, `${kept.name}.part.json`))
    await using manager = makeManager(directory)
    const error = await fails(await manager.download({ url: origin.url(path) }))
    expect(error.code).toMatch(/^(?:DISK_IO|PERMISSION|TARGET_NOT_REGULAR)$/)
    const left = await listTree(directory)
    expect(left.filter((name) => !name.startsWith(`${kept.name}.part`))).toEqual([])
    expect(left.filter((name) => name.includes('lock'))).toEqual([])
  })

  it('a huge journal: starts over', async () => {
    const journal = JSON.stringify({ ...kept.journal, more: 'x'.repeat(17 * MiB) })
    expect(await fetchInto(await layOut(kept.name, { part: kept.part, journal }))).toBeGreaterThan(0)
  })
})

const offset = fc.integer({ min: -1, max: whole + 1 })
const intervals = fc.array(fc.tuple(offset, offset), { maxLength: 4 })
const tidy = fc
  .uniqueArray(fc.integer({ min: 0, max: whole }), { minLength: 2, maxLength: 8 })
  .map((cuts) => cuts.sort((a, b) => a - b))
  .map((cuts) =>
    Array.from({ length: Math.floor(cuts.length / 2) }, (_, at): [number, number] => [
      cuts[2 * at] ?? 0,
      cuts[2 * at + 1] ?? 0,
    ]),
  )
const text = fc.oneof(fc.string(), fc.constantFrom(null, '"x"', 'W/"x"', '*', '\r\nX: y'))

/** Ways to spoil the fields of a journal. */
const fields = fc.record(
  {
    version: fc.constantFrom(0, 1, 2, '1', null),
    url: fc.string(),
    sha256: fc.constantFrom(null, content.sha256(), 'a'.repeat(64), ''),
    identity: fc.record({
      total: fc.oneof(fc.constantFrom(null, 0, whole, whole + 1, -1, 1e300), offset),
      etag: text,
      lastModified: text,
      lastModifiedStrong: fc.boolean(),
    }),
    bootId: fc.string(),
    writer: fc.string(),
    inode: fc.string(),
    written: fc.oneof(tidy, intervals, fc.constant('all')),
    synced: fc.oneof(tidy, intervals),
    publishing: fc.constantFrom(null, { size: whole, sha256: content.sha256() }, { size: 0, sha256: '' }),
  },
  { requiredKeys: [] },
)

const mutation = fc.oneof(
  fields.map((patch) => ({ what: JSON.stringify(patch), apply: (text: string) => patched(text, patch) })),
  fc
    .nat(2000)
    .map((length) => ({ what: `cut to ${length}`, apply: (text: string) => text.slice(0, length) })),
  fc.tuple(fc.nat(2000), fc.string({ minLength: 1, maxLength: 3 })).map(([at, put]) => ({
    what: `${JSON.stringify(put)} at ${at}`,
    apply: (text: string) => text.slice(0, at) + put + text.slice(at + put.length),
  })),
  fc.string().map((junk) => ({ what: junk, apply: () => junk })),
)

function patched(text: string, patch: object): string {
  return JSON.stringify({ ...(JSON.parse(text) as object), ...patch })
}

const partMutation = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ what: 'as it is', apply: (part: Buffer) => part }) },
  fc.nat(whole).map((size) => ({ what: `cut to ${size}`, apply: (part: Buffer) => part.subarray(0, size) })),
  fc.nat(whole).map((more) => ({
    what: `${more} more`,
    apply: (part: Buffer) => Buffer.concat([part, Buffer.alloc(more, 7)]),
  })),
  fc.nat(whole - 1).map((at) => ({
    what: `flipped at ${at}`,
    apply: (part: Buffer) => {
      const copy = Buffer.from(part)
      copy[at] = ~(copy[at] ?? 0)
      return copy
    },
  })),
)

it('row 32: whatever happened to journal and part, the file is right when its digest is known', async () => {
  await fc.assert(
    fc.asyncProperty(
      mutation,
      partMutation,
      within(15_000, async (journal, part) => {
        const directory = await layOut(kept.name, {
          part: part.apply(kept.part),
          journal: journal.apply(JSON.stringify(kept.journal)),
        })
        await fetchInto(directory, { sha256: content.sha256() })
        await rm(directory, { recursive: true })
      }),
    ),
    { numRuns: 80 },
  )
})

describe('row 47: a flipped byte in the kept part', () => {
  async function flipped(): Promise<string> {
    const part = Buffer.from(kept.part)
    part[1000] = ~(part[1000] ?? 0)
    return layOut(kept.name, { ...kept, part })
  }

  it('is found by the digest; one clean retry makes it right', async () => {
    const directory = await flipped()
    origin.clearRequests()
    const fetched = await fetchInto(directory, { sha256: content.sha256() })
    // First the rest, which fails, then the complete file.
    expect(fetched).toBe(whole - lengthOf(kept.journal.written) + whole)
  })

  it('is found by a digest that comes only with the second request', async () => {
    const directory = await flipped()
    await using manager = makeManager(directory)
    const download = await manager.download({ url: origin.url(path), sha256: content.sha256().toUpperCase() })
    const file = await arrives(download)
    expect(file).toMatchObject({ sha256: content.sha256(), verified: true })
    await expectInvariant(directory, kept.name, 'done', { content })
  })
})
