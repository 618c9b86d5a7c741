import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import type { DownloadsChange, PreloadStatus, WireDownload } from '../../../src/client/index.js'
import { noDownloads, noPreload, reduceDownloads, reducePreload } from '../../../src/live/state.js'
import { wire } from '../../client/server.js'
import { idle } from '../../live/watching.js'

/** Few URLs and values, so that changes meet; always new objects, as they come off the wire. */
const download = fc
  .record({ url: fc.constantFrom('a', 'b', 'c', 'd'), progress: fc.nat(3) })
  .map((fields) => wire(fields))
const change: fc.Arbitrary<DownloadsChange> = fc.oneof(
  download.map((download) => ({ type: 'changed' as const, download })),
  download.map((download) => ({ type: 'removed' as const, download })),
  fc.uniqueArray(download, { selector: ({ url }) => url }).map((all) => ({
    type: 'snapshot' as const,
    downloads: Object.fromEntries(all.map((each) => [each.url, each])),
  })),
)
/** What comes in one frame, frame by frame. */
const frames = fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 8 })

/** The plain way: what a server that is asked for all of them would say. */
function plain(changes: readonly DownloadsChange[]): WireDownload[] {
  let known: WireDownload[] = []
  for (const each of changes) {
    if (each.type === 'snapshot') known = Object.values(each.downloads)
    else {
      const index = known.findIndex(({ url }) => url === each.download.url)
      if (each.type === 'removed') known = known.filter((_, at) => at !== index)
      else known = index < 0 ? [...known, each.download] : known.with(index, each.download)
    }
  }
  return known
}

describe('reduceDownloads', () => {
  it('says what the server says, in order of arrival, however the changes fall into frames', () => {
    fc.assert(
      fc.property(frames, (frames) => {
        const state = frames.reduce(reduceDownloads, noDownloads)
        expect(state.downloads).toEqual(plain(frames.flat()))
        expect([...state.byUrl]).toEqual(state.downloads.map((each) => [each.url, each]))
        expect(state.loaded).toBe(frames.flat().length > 0)
      }),
    )
  })

  it('keeps the object of whatever did not change, and the whole when nothing did', () => {
    fc.assert(
      fc.property(frames, (frames) => {
        let before = noDownloads
        for (const frame of frames) {
          const now = reduceDownloads(before, frame)
          const touched = new Set(
            frame.flatMap((each) => (each.type === 'snapshot' ? [] : [each.download.url])),
          )
          for (const each of now.downloads) {
            const same = before.byUrl.get(each.url)
            // One that was changed back and forth within a frame may be another object.
            if (same !== undefined && !touched.has(each.url) && frame.length === 1)
              expect(each === same).toBe(JSON.stringify(each) === JSON.stringify(same))
          }
          const isOther = JSON.stringify(now.downloads) !== JSON.stringify(before.downloads)
          if (isOther) expect(now.downloads).not.toBe(before.downloads)
          else if (frame.length <= 1 && before.loaded) expect(now).toBe(before)
          before = now
        }
      }),
    )
  })

  it('never touches what it was given', () => {
    fc.assert(
      fc.property(frames, (frames) => {
        const states = [noDownloads]
        for (const frame of frames) states.push(reduceDownloads(states.at(-1) ?? noDownloads, frame))
        const before = states.map((state) => JSON.stringify([...state.byUrl]))
        states.forEach((state) => reduceDownloads(state, frames.flat()))
        expect(states.map((state) => JSON.stringify([...state.byUrl]))).toEqual(before)
      }),
    )
  })

  it('leaves the connection to others', () => {
    const live = { ...noDownloads, connection: 'live' as const }
    expect(reduceDownloads(live, [{ type: 'changed', download: wire() }])).toMatchObject({
      connection: 'live',
      loaded: true,
    })
  })
})

const status = (more: Partial<PreloadStatus> = {}): PreloadStatus => ({ ...idle, running: true, ...more })

describe('reducePreload', () => {
  it('takes the last of each, and keeps the object of a download that did not change', () => {
    const before = reducePreload(noPreload, [
      { preload: status() },
      { preload: status({ downloads: { a: wire(), b: wire() } }) },
    ])
    const now = reducePreload(before, [
      { preload: status({ logs: ['x'], downloads: { a: wire(), b: wire({ progress: 1 }) } }) },
    ])
    expect(now.preload).toEqual(status({ logs: ['x'], downloads: { a: wire(), b: wire({ progress: 1 }) } }))
    expect(now.preload?.downloads?.['a']).toBe(before.preload?.downloads?.['a'])
    expect(now.preload?.downloads?.['b']).not.toBe(before.preload?.downloads?.['b'])
    expect(reducePreload(now, [])).toBe(now)
  })

  it('keeps one while the other is told', () => {
    const models = {
      ...{ success: true as const, models: {}, catalog: [], any_ready: false, any_missing: true },
      ...{ first_use_tip: '', timestamp: '' },
    }
    const state = reducePreload(reducePreload(noPreload, [{ models }]), [{ preload: status() }])
    expect(state).toMatchObject({ models, preload: status(), loaded: true })
  })
})
