import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import type { WireDownload } from '../../../src/client/index.js'
import { runBulk } from '../../../src/elements/list/bulk.js'
import { haveSameKeys, linesOf, nextRow } from '../../../src/elements/list/lines.js'
import {
  actionsFor,
  bulkActions,
  bulkOf,
  filtered,
  modesOf,
  noFilter,
  sectionNames,
  sectionOf,
  sectionsOf,
  sortings,
  totalsOf,
} from '../../../src/elements/list/order.js'
import { canMove, downloadStates } from '../../../src/download/states.js'
import { downloadOf as download } from './wire.js'

const state = fc.constantFrom(...downloadStates)
const moment = fc.integer({ min: 0, max: 1000 }).map((n) => new Date(n * 1000).toISOString())

const list = fc
  .array(fc.record({ state, finished_at: fc.option(moment), bytes_per_second: fc.nat(1000) }), {
    maxLength: 30,
  })
  .map((all) => all.map((of, index) => download(String(index), of)))

const urlsOf = (downloads: readonly WireDownload[]) => downloads.map(({ url }) => url)

describe('the sections of the list', () => {
  it('hold every download once, and as many as the head counts', () => {
    fc.assert(
      fc.property(list, fc.constantFrom(...sortings), (downloads, sorting) => {
        const sections = sectionsOf(downloads, sorting)
        const { counts } = totalsOf(downloads)
        const all = sectionNames.flatMap((section) => sections[section])
        expect(urlsOf(all).sort()).toEqual(urlsOf(downloads).sort())
        for (const section of sectionNames) {
          expect(sections[section]).toHaveLength(counts[section])
          for (const each of sections[section]) expect(sectionOf(each)).toBe(section)
        }
      }),
    )
  })

  it('are in the order of arrival while they go on, and the latest end comes first', () => {
    fc.assert(
      fc.property(list, (downloads) => {
        const { running, paused, finished, attention } = sectionsOf(downloads)
        for (const section of [running, paused])
          expect(urlsOf(section)).toEqual(urlsOf(downloads.filter((each) => section.includes(each))))
        for (const section of [finished, attention]) {
          const ends = section.map(({ finished_at: end }) => Date.parse(end ?? '') || 0)
          expect(ends).toEqual([...ends].sort((a, b) => b - a))
        }
      }),
    )
  })

  it('show what waits in the order in which it will start', () => {
    const waiting = [
      download('a'),
      download('b', { priority: -1 }),
      download('c', { priority: 9 }),
      download('d'),
    ]
    expect(urlsOf(sectionsOf(waiting).waiting)).toEqual(['c', 'a', 'd', 'b'])
  })

  it.each([
    ['newest', ['c', 'b', 'a']],
    ['name', ['b', 'a', 'c']],
    ['largest', ['c', 'a', 'b']],
    ['progress', ['b', 'c', 'a']],
  ] as const)('are sorted when asked to: %s', (sorting, urls) => {
    const of = (day: string, filename: string, total: number, progress: number) => ({
      ...{ created_at: `2026-01-0${day}T00:00:00.000Z`, filename, total, progress, state: 'paused' as const },
    })
    const downloads = [
      download('a', of('1', 'model-10.gguf', 2, 0)),
      download('b', of('2', 'model-9.gguf', 1, 50)),
      download('c', of('3', 'other.gguf', 3, 10)),
    ]
    expect(urlsOf(sectionsOf(downloads, sorting).paused)).toEqual(urls)
  })

  it('move no row while they are held', () => {
    fc.assert(
      fc.property(list, fc.array(state), (downloads, states) => {
        const before = sectionsOf(downloads)
        const later = downloads.map((each, index) => ({ ...each, state: states[index] ?? each.state }))
        const held = sectionsOf([...later, download('new', { state: 'downloading' })], 'standard', before)
        for (const section of sectionNames)
          expect(urlsOf(held[section])).toEqual([
            ...urlsOf(before[section]),
            ...(section === 'running' ? ['new'] : []),
          ])
      }),
    )
  })
})

describe('the lines of the list', () => {
  it('are the headings of the sections that are not empty, and their rows', () => {
    const downloads = [download('a'), download('b', { state: 'failed' }), download('c')]
    const lines = linesOf(sectionsOf(downloads))
    expect(lines.map(({ key, section, position }) => [key, section, position])).toEqual([
      ['attention', 'attention', 0],
      ['b', 'attention', 1],
      ['waiting', 'waiting', 0],
      ['a', 'waiting', 1],
      ['c', 'waiting', 2],
    ])
    expect(haveSameKeys(lines, linesOf(sectionsOf(downloads.map((each) => ({ ...each })))))).toBe(true)
    expect(haveSameKeys(lines, lines.slice(1))).toBe(false)
    expect(haveSameKeys(lines, lines.toReversed())).toBe(false)
    // From row to row, over headings.
    expect(nextRow(lines, 1, 1)).toBe(3)
    expect(nextRow(lines, 3, -1)).toBe(1)
    expect([nextRow(lines, 4, 1), nextRow(lines, 1, -1)]).toEqual([null, null])
  })
})

describe('what is looked for', () => {
  const downloads = [
    download('https://host/Qwen3-4B.gguf', { filename: 'Qwen3-4B.gguf' }),
    download('hf:BAAI/bge-m3', { filename: 'bge-m3', mode: 'embed', state: 'failed' }),
    download('https://host/x.gguf', { filename: 'x.gguf', mode: null, state: 'completed' }),
  ]
  it.each([
    [{}, [0, 1, 2]],
    [{ text: ' qwen ' }, [0]],
    [{ text: 'host GGUF' }, [0, 2]],
    [{ text: 'baai bge' }, [1]],
    [{ text: 'baai qwen' }, []],
    [{ mode: 'embed' }, [1]],
    [{ section: 'finished' }, [2]],
    [{ section: 'finished', text: 'bge' }, []],
  ] as const)('%j', (filter, found) => {
    expect(filtered(downloads, { ...noFilter, ...filter })).toEqual(found.map((index) => downloads[index]))
  })

  it('can be of the modes that occur', () => {
    expect(modesOf(downloads)).toEqual(['embed', 'llm'])
  })
})

describe('what is under way', () => {
  it('is added up', () => {
    const downloads = [
      download('a', { state: 'downloading', bytes_per_second: 10 }),
      download('b', { state: 'verifying', bytes_per_second: 0 }),
      download('c', { state: 'resolving' }),
      download('d', { state: 'queued' }),
      download('e', { state: 'paused', bytes_per_second: 99 }),
      download('f', { state: 'completed', bytes_per_second: 99 }),
      download('g', { state: 'failed' }),
    ]
    const counts = { attention: 1, running: 3, waiting: 1, paused: 1, finished: 1 }
    expect(totalsOf(downloads)).toEqual({ counts, bytesPerSecond: 10 })
  })
})

describe('what can be done', () => {
  const goals = { pause: 'paused', resume: 'queued', cancel: 'canceled', retry: 'queued' } as const

  it.each(downloadStates)('is what the server allows: %s', (at) => {
    for (const action of actionsFor(at))
      if (action !== 'remove') expect(canMove(at, goals[action])).toBe(true)
    expect(actionsFor(at).length).toBeGreaterThan(0)
  })

  it('with many applies to those that allow it, and what waits is paused before what would make room for it', () => {
    fc.assert(
      fc.property(list, fc.constantFrom(...bulkActions), (downloads, wanted) => {
        const { action, urls } = bulkOf(wanted, downloads)
        for (const url of urls) {
          const { state: at } = downloads.find((each) => each.url === url)!
          if (action !== 'remove') expect(canMove(at, goals[action])).toBe(true)
        }
        const waits = urls.map((url) => downloads.find((each) => each.url === url)?.state === 'queued')
        if (action === 'pause') expect(waits).toEqual([...waits].sort((a, b) => Number(b) - Number(a)))
      }),
    )
  })

  it('is done with all, a few at a time, though some fail', async () => {
    const urls = Array.from({ length: 23 }, (_, index) => String(index))
    const done: string[] = []
    let open = 0
    let most = 0
    const result = await runBulk(urls, async (url) => {
      most = Math.max(most, (open += 1))
      await Promise.resolve()
      open -= 1
      if (url === '3' || url === '4') throw new Error(url)
      done.push(url)
    })
    expect(result).toMatchObject({ failed: 2, error: { message: '3' } })
    expect(done).toEqual(urls.filter((url) => url !== '3' && url !== '4'))
    expect(most).toBe(5)
    expect(await runBulk([], () => Promise.reject(new Error()))).toEqual({ failed: 0, error: null })
  })
})
