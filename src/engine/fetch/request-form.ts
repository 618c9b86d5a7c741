/**
 * Decides in which form a file is requested from a server that refuses another form. Pure, apart from what it
 * remembers.
 *
 * Ranges are the rule, because they let several connections share a file and let a download resume. Some servers
 * refuse every request with a `Range`, others only one without an end.
 */

/**
 * `range`: a range, without an end for the first request. `plain`: no `Range` at all. `bounded`: a range of limited
 * length, also for the first request.
 */
type RequestForm = 'range' | 'plain' | 'bounded'

/** The most that a bounded request asks for, in bytes. */
export const maxBoundedBytes = 64 * 1024 * 1024

/** Statuses that say something about the caller or the file, whatever the form of the request. */
const formless = new Set([401, 402, 407, 410, 451])

/** Statuses after which a bounded range is not tried either. */
const unbounded = new Set([206, 403, 404])

/** What is known about the file when a request fails. */
interface FormSituation {
  /** Bytes are on disk, which only a range can complete. */
  midWay: boolean
  /** Whether the caller gave the size of the file. */
  sized: boolean
}

/** The forms of request that one server accepts. */
export class RequestForms {
  readonly #refused = new Set<RequestForm>()
  #next: RequestForm
  #bounded = false
  #servesPlainOnly = false

  /** @param first - form of the first request. */
  constructor(first: 'range' | 'plain') {
    this.#next = first
  }

  /** Form of the next request. */
  get next(): RequestForm {
    return this.#next
  }

  /** Whether a request with a range was refused. */
  get refusesRanges(): boolean {
    return this.#refused.has('range')
  }

  /** Whether every range is of limited length, because the server refuses longer ones. */
  get bounded(): boolean {
    return this.#bounded
  }

  /** Whether ranges are refused, while the complete file is served. */
  get servesPlainOnly(): boolean {
    return this.#servesPlainOnly
  }

  /** Notes that the first response was accepted; all further requests are for ranges, if any works. */
  noteFirst(): void {
    this.#bounded = this.#next === 'bounded'
    this.#next = 'range'
  }

  /** Notes that the complete file was offered although bytes are on disk. The next range shows if that is necessary. */
  notePlain(): void {
    this.#servesPlainOnly = true
    this.#next = 'range'
  }

  /** Whether the same form will be refused again after this status, while another one may be accepted. */
  isRefusal(status: number | undefined): boolean {
    return status === 416 && this.#next !== 'plain' && !this.#refused.has('plain')
  }

  /**
   * Chooses the form to try after a status that repeating the same request will not change.
   *
   * @param status - 206 if the response was right but for the size of the file; 0 if it was not the status.
   * @returns the form, which is that of the next request; null if no other form is likely to help.
   */
  afterRefusal(status: number, { midWay, sized }: FormSituation): RequestForm | null {
    this.#refused.add(this.#next)
    if ((status < 400 && status !== 206) || formless.has(status)) return null
    const bounded = midWay || unbounded.has(status) ? [] : (['bounded'] as const)
    const forms: readonly RequestForm[] = sized ? [...bounded, 'plain'] : ['plain', ...bounded]
    const form = forms.find((each) => !this.#refused.has(each)) ?? null
    if (form !== null) this.#next = form
    return form
  }

  /**
   * Chooses the form of the next attempt after a response that may be better next time.
   *
   * At first every other attempt from the third on is made without a range, since ranges that fail cost little. When
   * bytes are on disk it is the last attempt.
   *
   * @param failures - failures in a row, of which `maxAttempts` are allowed.
   */
  afterFailure(failures: number, maxAttempts: number, midWay: boolean): void {
    const wasPlain = this.#next === 'plain'
    if (wasPlain) this.#next = 'range'
    const isTime = failures + 1 >= maxAttempts || (!midWay && failures >= 2)
    if (wasPlain || !isTime || this.#refused.has('plain')) return
    this.#refused.add(this.#next)
    this.#next = 'plain'
  }
}
