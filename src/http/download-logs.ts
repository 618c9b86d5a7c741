/** What has happened to each download lately, for people who start to watch one that has begun before. */
import { retryText, type Voice } from '../download/error-text.js'
import type { DownloadEvents } from '../download/events.js'
import { logText } from '../download/log-text.js'
import { publicMessage } from '../download/wire.js'
import type { DownloadManager } from '../manager/manager.js'
import type { Clock } from '../util/clock.js'
import { redactUrls } from '../util/redact.js'
import type { WireLog } from './schemas.js'

/** Number of messages that are kept of one download, and of all of them. */
export const logLimits = { ofOne: 100, ofAll: 20_000 } as const

/** A message, which is put into the language of whoever reads it. */
interface Entry {
  at: string
  level: WireLog['level']
  say: (voice: Voice) => string
}

/** Keeps the last messages about each download of a manager, as long as it is in the list. */
export class RecentLogs {
  readonly #manager: Pick<DownloadManager, 'on' | 'off'>
  readonly #clock: Pick<Clock, 'wallNow'>
  /** The download whose newest message is the oldest comes first. */
  readonly #byUrl = new Map<string, Entry[]>()
  readonly #listeners: Partial<DownloadEvents>
  #count = 0

  constructor(manager: Pick<DownloadManager, 'on' | 'off'>, clock: Pick<Clock, 'wallNow'>) {
    this.#manager = manager
    this.#clock = clock
    this.#listeners = this.#listenersFor()
    for (const name of this.#names) manager.on(name, this.#listeners[name] as () => void)
  }

  /** The last messages about a download, oldest first. */
  of(url: string, voice: Voice): WireLog[] {
    const entries = this.#byUrl.get(url) ?? []
    return entries.map(({ at, level, say }) => ({ url, at, level, message: redactUrls(say(voice)) }))
  }

  /** Stops listening, and forgets everything. */
  close(): void {
    for (const name of this.#names) this.#manager.off(name, this.#listeners[name] as () => void)
    this.#byUrl.clear()
    this.#count = 0
  }

  get #names(): (keyof DownloadEvents)[] {
    // Object.keys loses the type of the keys.
    return Object.keys(this.#listeners) as (keyof DownloadEvents)[]
  }

  #listenersFor(): Partial<DownloadEvents> {
    const note =
      (message: string) =>
      ({ download: { url } }: { download: { url: string } }) => {
        this.#add(url, 'info', (voice) => logText(message, voice))
      }
    return {
      queued: note('Waiting for its turn.'),
      started: note('Started.'),
      resumed: note('Resumed.'),
      paused: note('Paused.'),
      verifying: note('All bytes have arrived and are being verified.'),
      completed: note('Completed.'),
      canceled: note('Canceled.'),
      failed: ({ download: { url }, error }) => {
        this.#add(url, 'error', (voice) => publicMessage(error, voice))
      },
      retrying: ({ download: { url }, error, delayMs }) => {
        const seconds = (delayMs / 1000).toFixed(1)
        this.#add(url, 'warn', (voice) => retryText(publicMessage(error, voice), seconds, voice))
      },
      log: ({ download, level, message }) => {
        // Messages about the server itself are meant for the host application only.
        if (download !== undefined) this.#add(download.url, level, (voice) => logText(message, voice))
      },
      removed: ({ download: { url } }) => {
        this.#forget(url)
      },
    }
  }

  #add(url: string, level: WireLog['level'], say: Entry['say']): void {
    const entries = this.#byUrl.get(url) ?? []
    this.#byUrl.delete(url)
    this.#byUrl.set(url, entries)
    entries.push({ at: new Date(this.#clock.wallNow()).toISOString(), level, say })
    this.#count += 1
    if (entries.length > logLimits.ofOne) {
      entries.shift()
      this.#count -= 1
    }
    while (this.#count > logLimits.ofAll) {
      const [oldest = url] = this.#byUrl.keys()
      this.#forget(oldest)
    }
  }

  #forget(url: string): void {
    this.#count -= this.#byUrl.get(url)?.length ?? 0
    this.#byUrl.delete(url)
  }
}
