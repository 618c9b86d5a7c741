/** Bounds what callers can make the host do with the files on disk: list them, and read them again. */
import { isAbsolute } from 'node:path'
import { sentenceError } from '../download/error-text.js'
import { DownloadError } from '../errors.js'
import type { StoredFile } from '../files/stored.js'
import type { VerifyProgress } from '../files/verify.js'
import type { ManagerFiles } from '../manager/stored-files.js'
import { unlessAborted } from '../util/abort.js'
import { Latest } from '../util/schedule.js'

/** Lists the files of a manager for any number of callers, one list at a time. */
export class StoredFileLists {
  #current: readonly StoredFile[] = []
  readonly #lists: Latest

  constructor(manager: Pick<ManagerFiles, 'files'>) {
    this.#lists = new Latest(async () => {
      const entries = await manager.files()
      // Callers know nothing of folders elsewhere, which the host application may have chosen for a download.
      this.#current = entries.filter(({ name }) => !isAbsolute(name))
    })
  }

  /**
   * Returns the entries below the folder of the manager, as they are at the time of this call or later.
   *
   * @throws DownloadError `STORE_ERROR`, `CLOSED`.
   */
  async list(): Promise<readonly StoredFile[]> {
    await this.#lists.ask()
    return this.#current
  }
}

/** How many checks may wait for the one that runs. */
const maxWaiting = 8

/**
 * Runs checks one after another, because each reads the disk as fast as it can. A caller has one at a time, and others are
 * refused when too many wait.
 */
export class VerifyQueue {
  readonly #callers = new Set<string>()
  #tail: Promise<unknown> = Promise.resolve()
  #count = 0
  #running: VerifyProgress | null = null

  /** How far the check is that runs; null if none does. */
  get running(): VerifyProgress | null {
    return this.#running
  }

  /** Number of checks that wait for the one that runs. */
  get waiting(): number {
    return Math.max(0, this.#count - (this.#running === null ? 0 : 1))
  }

  /**
   * Takes a place in the queue.
   *
   * @param caller - address of the caller; null if it is unknown, which several callers may share.
   * @returns a function that waits for its turn and runs the task, or gives the place up when the signal is aborted before.
   * It must be called once.
   * @throws DownloadError `QUEUE_FULL`.
   */
  enter(
    caller: string | null,
  ): <T>(
    signal: AbortSignal,
    task: (onProgress: (progress: VerifyProgress) => void) => Promise<T>,
  ) => Promise<T> {
    const isTaken = caller !== null && this.#callers.has(caller)
    if (isTaken || this.#count > maxWaiting) {
      throw sentenceError('QUEUE_FULL', isTaken ? 'checkRunning' : 'tooManyChecks', [], { retryable: true })
    }
    if (caller !== null) this.#callers.add(caller)
    this.#count += 1
    let isOut = false
    const leave = () => {
      if (isOut) return
      isOut = true
      this.#count -= 1
      if (caller !== null) this.#callers.delete(caller)
    }
    return async (signal, task) => {
      const turn = this.#tail.then(async () => {
        if (signal.aborted) throw stopped()
        this.#running = { checked: 0, files: 0, bytes: 0, totalBytes: 0 }
        try {
          return await task((progress) => (this.#running = progress))
        } finally {
          this.#running = null
        }
      })
      this.#tail = turn.catch(() => undefined)
      try {
        return await unlessAborted(turn, signal, stopped)
      } finally {
        leave()
      }
    }
  }
}

function stopped(): DownloadError {
  return new DownloadError('CANCELED', 'The check was stopped.')
}
