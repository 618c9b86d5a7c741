/** Copies texts to the clipboard, and shows for a while that it has. */
import type { ReactiveController, ReactiveControllerHost } from 'lit'

/** How long it is shown, in milliseconds. */
const copiedMs = 2_000

/** Belongs to an element with a button that copies. */
export class Copying implements ReactiveController {
  /** Whether the button says that it has copied. */
  copied = false
  readonly #host: ReactiveControllerHost
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(host: ReactiveControllerHost) {
    this.#host = host
    host.addController(this)
  }

  hostDisconnected(): void {
    clearTimeout(this.#timer)
  }

  /** Returns false where the clipboard is not available, for example over plain http. */
  async copy(text: string): Promise<boolean> {
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      return false
    }
    this.#show(true)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#show(false)
    }, copiedMs)
    return true
  }

  #show(copied: boolean): void {
    this.copied = copied
    this.#host.requestUpdate()
  }
}
