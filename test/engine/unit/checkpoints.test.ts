import { existsSync, readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { partPaths } from '../../../src/disk/part-paths.js'
import { Checkpoints } from '../../../src/engine/checkpoints.js'
import { Pace, slowWindowMs } from '../../../src/engine/fetch/remote-bounds.js'
import { parseJournal } from '../../../src/engine/part/journal.js'
import { Reservation } from '../../../src/engine/reservation.js'
import { PartFile } from '../../../src/engine/part/part-file.js'
import type { TransferEvent } from '../../../src/engine/protocol.js'
import { defaultTuning } from '../../../src/net/tuning.js'
import { ManualClock } from '../../support/clock.js'
import { tempDir } from '../../support/temp.js'
import { waitFor } from '../../support/wait.js'

const total = 10_000_000
const identity = { total, etag: '"1"', lastModified: null, lastModifiedStrong: false }

async function begin(minBytesPerSecond: number | null = null) {
  const fetched = { bytes: 0 }
  const paths = partPaths(tempDir('checkpoints'), 'a')
  const part = await PartFile.open({ paths, url: 'https://host/a', sha256: null, identity, resume: null })
  const clock = new ManualClock()
  const events: TransferEvent[] = []
  const ticks: number[] = []
  const stopped: unknown[] = []
  const checkpoints = new Checkpoints({
    tuning: { ...defaultTuning, progressIntervalMs: 500, journalIntervalMs: 1_000, syncIntervalMs: 5_000 },
    clock,
    fetcher: {
      tick: (now) => void ticks.push(now),
      stop: (error) => void stopped.push(error),
      total,
      connections: 1,
      get fetchedBytes() {
        return fetched.bytes
      },
      heldBack: false,
    },
    size: total,
    pace: minBytesPerSecond === null ? null : new Pace(minBytesPerSecond),
    space: new Reservation(null, clock),
    part: () => part,
    hash: () => null,
    emit: (event) => void events.push(event),
    head: () => null,
  })
  const journal = () => (existsSync(paths.journal) ? parseJournal(readFileSync(paths.journal, 'utf8')) : null)
  /** Moves the time tick by tick, so that the disk can keep up. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 25) {
      clock.advance(25)
      for (let turn = 0; turn < 5; turn += 1) await setImmediate()
    }
  }
  return { fetched, part, clock, checkpoints, events, ticks, stopped, journal, pass }
}

describe('checkpoints', () => {
  it('write the journal when its interval is over', async () => {
    const { part, checkpoints, journal, pass, clock } = await begin()
    part.writeNow(Buffer.alloc(1_000), 0)
    await pass(975)
    expect(journal()).toBeNull()
    clock.advance(25)
    await waitFor(() => journal()?.written[0]?.[1] === 1_000)
    await checkpoints.stop()
    expect(clock.pending).toEqual([])
    await part.close()
  })

  it('force the data to the disk each time that they write the journal, where that is quick', async () => {
    const { part, checkpoints, journal, pass } = await begin()
    for (const bytes of [1_000, 2_000, 3_000]) {
      part.writeNow(Buffer.alloc(1_000), bytes - 1_000)
      await pass(1_000)
      await waitFor(() => journal()?.synced[0]?.[1] === bytes)
    }
    await checkpoints.stop()
    await part.close()
  })

  it.each([
    [125, [1_000, 4_000, 7_000]],
    [500, [1_000, 6_000, 11_000]],
  ])('rest after a sync of %i ms, but no longer than its interval', async (tookMs, at) => {
    const { part, checkpoints, pass, clock } = await begin()
    const syncs: number[] = []
    vi.spyOn(part, 'isIntact').mockResolvedValue(true)
    vi.spyOn(part, 'saveJournal').mockResolvedValue()
    vi.spyOn(part, 'sync').mockImplementation(async () => {
      syncs.push(clock.now())
      await clock.sleep(tookMs)
    })
    await pass(12_000)
    expect(syncs.slice(0, 3).map((now) => now - 5_000)).toEqual(at)
    await checkpoints.stop()
    await part.close()
  })

  it('report the progress at its interval, and drive the fetcher all the time', async () => {
    const { part, checkpoints, events, ticks, pass, stopped } = await begin()
    await pass(1_200)
    // At the first tick, and 500 and 1,000 ms after it.
    expect(events.map(({ type }) => type)).toEqual(['progress', 'progress', 'progress'])
    expect(ticks).toEqual(Array.from({ length: 48 }, (_, index) => 5_000 + 25 * (index + 1)))
    await checkpoints.stop()
    expect(events).toHaveLength(4)
    expect(stopped).toEqual([])
    await part.close()
  })

  it('stop the fetcher of a download that is slower than it must be', async () => {
    const { part, fetched, checkpoints, clock, stopped } = await begin(1_000)
    for (let second = 0; second < slowWindowMs / 1_000; second += 1) {
      fetched.bytes += 1_000
      clock.advance(1_000)
    }
    expect(stopped).toEqual([])
    clock.advance(slowWindowMs + 25)
    expect(stopped[0]).toMatchObject({ code: 'STALLED' })
    await checkpoints.stop()
    await part.close()
  })
})
