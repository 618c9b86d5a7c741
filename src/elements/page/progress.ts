/** What the tab's title and a notification say. Pure. */
import type { WireDownload } from '../../client/index.js'
import { sectionOf, totalsOf } from '../list/order.js'

/** The progress of everything that runs, from 0 to 100; null when nothing runs or no size is known. */
export function overallProgress(downloads: readonly WireDownload[]): number | null {
  let done = 0
  let all = 0
  for (const download of downloads) {
    if (sectionOf(download) !== 'running' || download.total === 0) continue
    done += download.downloaded
    all += download.total
  }
  // It is truncated, so that 100 appears only at the end.
  return all === 0 ? null : Math.floor((done / all) * 100)
}

/** How everything ended that was under way. */
export interface BatchOutcome {
  readonly finished: number
  readonly failed: number
}

/** Counts what ends while something is under way. */
export class Batch {
  /** The states of the downloads that were seen under way. */
  readonly #seen = new Map<string, WireDownload['state']>()

  /** Takes the current downloads. Returns the outcome when the last of them has ended; otherwise null. */
  next(downloads: readonly WireDownload[]): BatchOutcome | null {
    for (const { url, state } of downloads)
      if (isUnderWay(state) || this.#seen.has(url)) this.#seen.set(url, state)
    const { counts } = totalsOf(downloads)
    if (this.#seen.size === 0 || counts.running + counts.waiting > 0) return null
    const states = [...this.#seen.values()]
    this.#seen.clear()
    const count = (state: WireDownload['state']) => states.filter((each) => each === state).length
    const outcome = { finished: count('completed'), failed: count('failed') }
    // What was paused, canceled or removed by hand is no news.
    return outcome.finished + outcome.failed === 0 ? null : outcome
  }
}

function isUnderWay(state: WireDownload['state']): boolean {
  const section = sectionOf({ state })
  return section === 'running' || section === 'waiting'
}
