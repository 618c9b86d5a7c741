/** How many files are downloaded at a time, in imagined networks. */
import { describe, expect, it } from 'vitest'
import { FilesAtOnce, mostFiles } from '../../../src/manager/files-at-once.js'
import fc from '../../support/properties.js'

/** What a network does with files that are downloaded at the same time. */
interface Network {
  /** Least time that a file takes, in milliseconds. */
  rttMs: number
  /** Of all files together, in bytes per millisecond. */
  bandwidth: number
  fileBytes: number
  /** More files than this at a time are refused. */
  accepts?: number
}

/** Downloads files in a network; time is imagined, in steps of 5 ms. Returns what there was at the end. */
function download(count: number, { rttMs, bandwidth, fileBytes, accepts = Infinity }: Network) {
  const files = new FilesAtOnce<number>()
  const running = new Map<number, { bytes: number; until: number }>()
  const bytesOf = (file: number) => running.get(file)?.bytes ?? 0
  const sizes: number[] = []
  let next = 0
  let now = 0
  files.know(count)
  for (; next < count || running.size > 0; now += 5) {
    const share = (bandwidth * 5) / Math.max(1, running.size)
    for (const [file, state] of running) {
      state.bytes = Math.min(fileBytes, state.bytes + share)
      if (state.bytes < fileBytes || now < state.until) continue
      files.ended(file, fileBytes, now)
      running.delete(file)
    }
    if (running.size > accepts) files.refused(now)
    while (next < count && running.size < files.size) {
      running.set(next, { bytes: 0, until: now + rttMs })
      files.started(next, 0, now)
      files.take(bytesOf, now)
      next += 1
    }
    sizes.push(files.size)
    if (now > 10_000_000) throw new Error('It does not end.')
  }
  return { files, tookMs: now, sizes, most: Math.max(...sizes) }
}

describe('files at a time', () => {
  it('begin with as many as there are, within bounds', () => {
    for (const [count, size] of [
      [0, 3],
      [2, 3],
      [10, 10],
      [32, 32],
      [1_000, 32],
    ] as const) {
      const files = new FilesAtOnce()
      files.know(count)
      expect(files.size).toBe(size)
    }
  })

  it('become more where the way is long and the files are small', () => {
    const { tookMs, most } = download(1_000, { rttMs: 200, bandwidth: 1_000_000, fileBytes: 65_536 })
    expect(most).toBe(mostFiles)
    // 32 at a time would take 6,250 ms.
    expect(tookMs).toBeLessThan(4_500)
  })

  it('stay as they are where more would not be faster', () => {
    const { files } = download(1_000, { rttMs: 5, bandwidth: 1_000, fileBytes: 65_536 })
    expect(files.size).toBe(32)
  })

  it('become fewer where a server refuses them, and some more after a while', () => {
    const { sizes } = download(3_000, { rttMs: 100, bandwidth: 1_000_000, fileBytes: 65_536, accepts: 12 })
    expect(Math.min(...sizes)).toBeLessThanOrEqual(16)
    const few = sizes.indexOf(Math.min(...sizes))
    expect(Math.max(...sizes.slice(few))).toBeGreaterThan(Math.min(...sizes))
  })

  it('always are between 1 and 64, and everything ends, in any network', () => {
    const network = fc.record({
      rttMs: fc.integer({ min: 0, max: 500 }),
      bandwidth: fc.integer({ min: 5_000, max: 1_000_000 }),
      fileBytes: fc.integer({ min: 0, max: 200_000 }),
      accepts: fc.integer({ min: 1, max: 100 }),
    })
    fc.assert(
      fc.property(network, fc.nat({ max: 150 }), (net, count) => {
        const { sizes, tookMs } = download(count, net)
        expect(sizes.every((size) => size >= 1 && size <= mostFiles)).toBe(true)
        // Never much slower than the first number of files in a network that accepts them.
        if (net.accepts < 64) return
        const perFileMs = Math.max(net.rttMs, (net.fileBytes * Math.min(32, count)) / net.bandwidth) + 10
        expect(tookMs).toBeLessThanOrEqual(perFileMs * (Math.ceil(count / 32) + 3) + 100)
      }),
    )
  })
})
