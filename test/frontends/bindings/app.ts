/** What the app for React and the one for Vue have in common: they draw the same. */
import type { Client, DownloadError, WireDownload } from '../../../src/client/index.js'

/** What an app is given. */
export interface AppProps {
  client: Client
  /** What has a row of its own. */
  urls: readonly string[]
}

/** How often each part was drawn. */
export const drawn: Record<string, number> = {}

/** To be called by a part whenever it is drawn. */
export function draws(part: string): void {
  drawn[part] = (drawn[part] ?? 0) + 1
}

export const moves = ['start', 'pause', 'resume', 'cancel', 'retry', 'remove'] as const

export const textOf = (download: WireDownload | null) =>
  download === null ? 'unknown' : `${download.state} ${download.progress.toFixed(0)}`
export const codeOf = (error: DownloadError | null) => error?.code ?? ''

/** A file's name, as a class. */
export const nameOf = (url: string) => url.replace(/^.*\/|\.\w+$/g, '')
