import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  type PageCursor,
  decodeCursor,
  encodeCursor,
  type ListPlace,
  pageOf,
} from '../../src/http/downloads/paging.js'
import { startHttp } from './bench.js'

/** Of a number below 1,000: its last digit is the id of an entry among those with the same number. */
const placeOf = (item: number): ListPlace => ({
  sequence: Math.floor(item / 10),
  id: String(item % 10)
    .padStart(16, '0')
    .padEnd(64, 'f'),
})

describe('cursors', () => {
  it('come back as what they were', () => {
    const cursor = fc.record<PageCursor>({
      sequence: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      id: fc.option(fc.stringMatching(/^[0-9a-f]{16}$/)),
    })
    fc.assert(
      fc.property(cursor, (place) => {
        const text = encodeCursor(place)
        expect(decodeCursor(text)).toEqual(place)
        expect(text.length).toBeLessThanOrEqual(64)
      }),
    )
  })

  it('of anybody else are refused', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 16 }), fc.base64String(), fc.integer().map(String)),
        (text) => {
          try {
            expect(encodeCursor(decodeCursor(text))).toBe(text)
          } catch (error) {
            expect(error).toMatchObject({ code: 'INVALID_OPTIONS', issues: [{ path: 'cursor' }] })
          }
        },
      ),
      {
        examples: [
          [''],
          ['s'],
          ['s1-'],
          ['s1-0'],
          [`s1-${'F'.repeat(16)}`],
          ['s00'],
          ['s-1'],
          ['szzzzzzzzzzz'],
          ['S1'],
          ['1'],
          ['s1.5'],
          ['s1 '],
        ],
      },
    )
    for (const wrong of ['', 's', 's1-', 's1-0', 's00', 's-1', 'szzzzzzzzzzz', 'S1', '1']) {
      expect(() => decodeCursor(wrong), wrong).toThrow('cursor')
    }
  })
})

describe('pages', () => {
  const ascending = fc
    .uniqueArray(fc.nat({ max: 1_000 }), { maxLength: 60 })
    .map((all) => all.sort((a, b) => a - b))

  it('hold all that was there from first to last, each once, though others come and go meanwhile', () => {
    fc.assert(
      fc.property(
        ascending,
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.nat({ max: 1_000 }), { minLength: 1 }),
        (start, limit, changes) => {
          let items = start
          const touched = new Set<number>()
          const seen: number[] = []
          let turn = 0
          let cursor: string | undefined
          do {
            const page = pageOf(items, { limit, cursor }, placeOf)
            expect(page.items.length).toBeLessThanOrEqual(limit)
            seen.push(...page.items)
            cursor = page.next ?? undefined
            const change = changes[turn++ % changes.length] ?? 0
            touched.add(change)
            items = items.includes(change)
              ? items.filter((item) => item !== change)
              : [...items, change].sort((a, b) => a - b)
          } while (cursor !== undefined)
          expect(new Set(seen).size).toBe(seen.length)
          expect(seen.filter((item) => !touched.has(item))).toEqual(
            start.filter((item) => !touched.has(item)),
          )
        },
      ),
    )
  })

  it('are one when it holds all', () => {
    const cursor = encodeCursor({ sequence: 1, id: null })
    expect(pageOf([10, 20, 30], {}, placeOf)).toEqual({ items: [10, 20, 30], next: null })
    expect(pageOf([10, 20, 30], { cursor }, placeOf)).toEqual({ items: [20, 30], next: null })
    expect(pageOf([10, 20, 30], { limit: 3 }, placeOf)).toEqual({ items: [10, 20, 30], next: null })
  })

  it('without a limit have 1,000 entries', () => {
    const all = Array.from({ length: 1_001 }, (_, index) => index)
    const byNumber = (sequence: number): ListPlace => ({ sequence, id: 'f'.repeat(64) })
    expect(pageOf(all.slice(0, 1_000), {}, byNumber)).toEqual({ items: all.slice(0, 1_000), next: null })
    const { items, next } = pageOf(all, {}, byNumber)
    expect(items).toEqual(all.slice(0, 1_000))
    expect(pageOf(all, { cursor: next ?? '' }, byNumber)).toEqual({ items: [1_000], next: null })
  })

  it('end where no more fits', () => {
    const page = pageOf([10, 20, 30], {}, placeOf, () => 2)
    expect(page.items).toEqual([10, 20])
    expect(pageOf([10, 20, 30], { cursor: page.next ?? '' }, placeOf)).toEqual({ items: [30], next: null })
  })
})

describe('GET /api/models/download/status', () => {
  it('goes page by page, with the filters', async () => {
    await using bench = await startHttp({ of: { concurrency: 1 } })
    const urls = Array.from({ length: 7 }, (_, index) => bench.origin.url(`/${index}.bin`))
    for (const url of urls) await bench.post({ url })
    await bench.manager.onIdle()
    const page = async (query: string) => {
      const { status, body } = await bench.ask('GET', `/api/models/download/status?${query}`)
      expect(status).toBe(200)
      const { downloads, next_cursor: next } = body
      return { urls: Object.keys(Object(downloads) as object), next }
    }
    const first = await page('limit=3&state=failed')
    expect(first).toEqual({ urls: urls.slice(0, 3), next: expect.any(String) })
    await bench.manager.remove(urls[2]!)
    await bench.manager.remove(urls[4]!)
    const second = await page(`limit=3&state=failed&cursor=${String(first.next)}`)
    expect(second).toEqual({ urls: [urls[3], urls[5], urls[6]], next: null })
    expect(await page('limit=9')).toEqual({ urls: [0, 1, 3, 5, 6].map((index) => urls[index]), next: null })
    expect((await bench.ask('GET', '/api/models/download/status')).body).not.toHaveProperty('next_cursor')
    for (const wrong of [
      'limit=0',
      'limit=-1',
      'limit=x',
      'limit=1.5',
      'limit=',
      'limit=100001',
      'limit=3&cursor=x',
    ]) {
      await bench.problem(400, 'INVALID_OPTIONS', 'GET', `/api/models/download/status?${wrong}`)
    }
  })
})
