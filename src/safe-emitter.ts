import type { DownloadEvents } from './events.js'
import { GuardedEmitter } from './guarded-emitter.js'

/** The emitter of a manager; of a listener that fails its `log` event tells. */
export class SafeEmitter extends GuardedEmitter<DownloadEvents> {
  /** @internal */
  protected override listenerFailed(event: keyof DownloadEvents, reason: string): void {
    // A log listener that throws must not make another log entry, which would throw again.
    if (event === 'log') return
    this.emit('log', { level: 'error', message: `A listener of "${event}" failed: ${reason}` })
  }
}
