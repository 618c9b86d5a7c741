/** Hosts that asked to be left alone for a while (`Retry-After`), for all transfers together. */
export class HostGate {
  readonly #until = new Map<string, number>()

  /**
   * Closes the gate of an origin.
   *
   * @param until - monotonic time in milliseconds; an earlier one than known is ignored.
   */
  close(origin: string, until: number): void {
    this.#until.set(origin, Math.max(until, this.#until.get(origin) ?? 0))
  }

  /** Milliseconds to wait before the next request to an origin. */
  wait(origin: string, now: number): number {
    const until = this.#until.get(origin)
    if (until === undefined) return 0
    if (until > now) return until - now
    this.#until.delete(origin)
    return 0
  }
}
