/** The speeds of downloads while somebody watches them, for the chart in their details. */
import type { Client, WireDownload } from '../../client/index.js'
import { everyMs, type Sample, type SpeedHistory, withSpeeds } from './history.js'

const histories = new WeakMap<Client, { history: SpeedHistory; at: number }>()

/** Remembers the current speeds of downloads, at most once a second. */
export function noteSpeeds(client: Client, downloads: readonly WireDownload[]): void {
  const now = Date.now()
  const before = histories.get(client)
  if (before !== undefined && now - before.at < everyMs) return
  histories.set(client, { history: withSpeeds(before?.history ?? new Map(), downloads, now), at: now })
}

/** The speeds of a download, oldest first. */
export function speedsOf(client: Client, url: string): readonly Sample[] {
  return histories.get(client)?.history.get(url) ?? []
}
