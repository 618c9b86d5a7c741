/**
 * What follows when an address refuses a request and repeating it would not help: a fresh address, another form of
 * request, or the end of the address.
 */
import { asDownloadError } from '../../disk/errors.js'
import type { DownloadError } from '../../errors.js'
import type { ResponseHead } from '../../net/exchange.js'
import { StartOver } from '../part/start-over.js'
import type { FetchConnection } from './connection.js'
import type { FetcherInit } from './contract.js'
import type { MirrorSet } from './mirror-set.js'
import type { Mirror } from './mirror.js'

/** What the fetcher does for its {@link Refusals}. */
interface RefusalsHost {
  mirrors: MirrorSet
  /** Whether the caller gave the size of the file. */
  sized: boolean
  /** Whether bytes are on disk. */
  midWay: () => boolean
  /** Sends the next request, after a pause if the address has been replaced before. */
  askAgain: (pause: boolean) => void
  ruleOut: (mirror: Mirror, why: DownloadError | StartOver) => void
  log: (message: string) => void
}

/** Notes that a server asks to wait, and returns the error with the wait that it asks for. */
export function heed(
  { context: { clock, gate }, tuning }: Pick<FetcherInit, 'context' | 'tuning'>,
  { hop }: FetchConnection,
  head: ResponseHead,
  error: DownloadError,
): DownloadError {
  const times = { now: clock.now(), wallNow: clock.wallNow(), maxMs: tuning.maxRetryAfterMs }
  return gate.heed(hop.url.origin, head, error, times)
}

/** Handles refusals. */
export class Refusals {
  readonly #host: RefusalsHost

  constructor(host: RefusalsHost) {
    this.#host = host
  }

  /** An address that had worked refuses access: it may have expired. */
  onExpired(mirror: Mirror, error: DownloadError): void {
    const { log, askAgain, ruleOut } = this.#host
    const again = mirror.address.refreshes > 0
    mirror.address.refresh(error).then(
      (fresh) => {
        if (!fresh) return
        log(`${error.message} Requested a new address.`)
        // Refusals of further connections may have had the same cause.
        mirror.access = 'open'
        mirror.poolSize.reset()
        // A server that allows few connections may still count one that has just been closed.
        askAgain(again)
      },
      (failure: unknown) => {
        if (failure === error) this.onRefused(mirror, error)
        else ruleOut(mirror, asDownloadError(failure))
      },
    )
  }

  /** The same request will be refused again: tries a fresh address or another form, or excludes the address. */
  onRefused(mirror: Mirror, error: DownloadError): void {
    const { log, askAgain, ruleOut } = this.#host
    if (!mirror.address.mayBeStale(error.status)) {
      this.#tryAnotherForm(mirror, error)
      return
    }
    mirror.address.renew(error.status ?? 0).then(
      (fresh) => {
        if (!fresh) {
          this.#tryAnotherForm(mirror, error)
          return
        }
        log(`${error.message} Trying a fresh address.`)
        askAgain(false)
      },
      (failure: unknown) => {
        ruleOut(mirror, asDownloadError(failure))
      },
    )
  }

  #tryAnotherForm(mirror: Mirror, error: DownloadError): void {
    const { mirrors, sized, midWay, log, askAgain, ruleOut } = this.#host
    const { forms } = mirror
    const situation = { midWay: midWay(), sized }
    const form = mirrors.several ? null : forms.afterRefusal(error.status ?? 0, situation)
    if (forms.servesPlainOnly) ruleOut(mirror, new StartOver(error, 'no-ranges'))
    else if (form === null) ruleOut(mirror, error)
    else {
      const what = form === 'plain' ? 'without a range' : 'with a shorter range'
      log(`${error.message} Trying a request ${what}.`)
      askAgain(false)
    }
  }
}
