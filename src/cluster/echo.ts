/** Tells the events of other instances apart from those of this one: both are emitted by the same manager. */
export class Echo {
  #depth = 0

  /** Whether the event that is being emitted tells what another instance has done. */
  get isOn(): boolean {
    return this.#depth > 0
  }

  /** Runs a task that emits such events. */
  run(task: () => void): void {
    this.#depth += 1
    try {
      task()
    } finally {
      this.#depth -= 1
    }
  }
}
