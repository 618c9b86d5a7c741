import { FileStore } from '../../store/file.js'
import type { DownloadStore } from '../../store/store.js'
import type { Coordinator, CoordinatorHost } from './coordinator.js'

const notAlone =
  'Another manager uses this folder: its unfinished downloads are left to it, and taken over once it has ended.'

/**
 * The coordinator of a manager without a cluster. Others may still use the same folder of records; see
 * `store/folder-share.ts`.
 */
export class SoloCoordinator implements Coordinator {
  readonly store: DownloadStore
  readonly runs = null
  readonly documents = null
  readonly insight = null
  readonly catchUp = null
  #host: CoordinatorHost | null = null

  constructor(store: DownloadStore) {
    this.store = store
  }

  attach(host: CoordinatorHost): void {
    this.#host = host
    const share = this.store instanceof FileStore ? this.store.share : null
    if (share === null) return
    share.onOther = () => {
      host.emitter.emit('log', { level: 'warn', message: notAlone })
    }
    share.onTaken = () => this.#takeOver()
  }

  loaded(): void {
    // There is nothing to tell to anybody.
  }

  control(_download: unknown, _command: unknown, task: () => Promise<void>): Promise<void> {
    return task()
  }

  idle(): Promise<boolean> {
    return Promise.resolve(true)
  }

  /** Continues the downloads of managers that have died. */
  async #takeOver(): Promise<void> {
    const host = this.#host
    if (host === null) return
    for (const download of await host.registry.adoptNew()) host.scheduler.enqueue(download)
  }
}
