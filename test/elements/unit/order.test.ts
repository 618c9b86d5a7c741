import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import type { WireDownload } from '../../../src/client/index.js'
import { actionsFor, sectionsOf, totalsOf } from '../../../src/elements/order.js'
import { canMove, downloadStates } from '../../../src/download/states.js'

const state = fc.constantFrom(...downloadStates)
const moment = fc.integer({ min: 0, max: 1000 }).map((n) => new Date(n * 1000).toISOString())

function download(url: string, of: Partial<WireDownload> = {}): WireDownload {
  return {
    ...{ url, filename: url, mode: 'llm', status: 'downloading', downloaded: 0, total: 0, progress: 0 },
    ...{ error: null, state: 'queued', code: null, bytes_per_second: 0, eta_seconds: null, connections: 0 },
    ...{ sha256: null, verified: false, created_at: '', started_at: null, finished_at: null },
    ...{ file_count: null, files_completed: null, files: null },
    ...of,
  }
}

const list = fc
  .array(fc.record({ state, finished_at: fc.option(moment), bytes_per_second: fc.nat(1000) }), {
    maxLength: 30,
  })
  .map((all) => all.map((of, index) => download(String(index), of)))

const urlsOf = (downloads: readonly WireDownload[]) => downloads.map(({ url }) => url)

describe('the sections of the list', () => {
  it('hold every download once, the active ones in order of arrival', () => {
    fc.assert(
      fc.property(list, (downloads) => {
        const { active, settled } = sectionsOf(downloads)
        expect(urlsOf([...active, ...settled]).sort()).toEqual(urlsOf(downloads).sort())
        expect(urlsOf(active)).toEqual(urlsOf(downloads.filter((each) => active.includes(each))))
        for (const { state: at } of settled) expect(['completed', 'canceled']).toContain(at)
        for (const { state: at } of active) expect(['completed', 'canceled']).not.toContain(at)
        const ends = settled.map(({ finished_at: end }) => Date.parse(end ?? '') || 0)
        expect(ends).toEqual([...ends].sort((a, b) => b - a))
      }),
    )
  })

  it('move no row while they are held', () => {
    fc.assert(
      fc.property(list, fc.array(state), (downloads, states) => {
        const before = sectionsOf(downloads)
        const later = downloads.map((each, index) => ({ ...each, state: states[index] ?? each.state }))
        const held = sectionsOf([...later, download('new')], before)
        expect(urlsOf(held.active)).toEqual([...urlsOf(before.active), 'new'])
        expect(urlsOf(held.settled)).toEqual(urlsOf(before.settled))
        // What is let go goes to where it belongs.
        expect(sectionsOf(later)).toEqual(sectionsOf(later, null))
      }),
    )
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
    ]
    expect(totalsOf(downloads)).toEqual({ running: 3, waiting: 1, bytesPerSecond: 10 })
  })
})

describe('what can be done', () => {
  it.each(downloadStates)('is what the server allows: %s', (at) => {
    const goals = { pause: 'paused', resume: 'queued', cancel: 'canceled', retry: 'queued' } as const
    for (const action of actionsFor(at))
      if (action !== 'remove') expect(canMove(at, goals[action])).toBe(true)
    expect(actionsFor(at).length).toBeGreaterThan(0)
  })
})
