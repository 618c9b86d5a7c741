import { asDownloadError } from '../disk/errors.js'
import type { Destinations } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import type { GroupFiles } from '../download/group.js'
import { DownloadError } from '../errors.js'
import { cancelGroup, removeGroup } from '../job/group-disk.js'
import type { RunCoordinator } from './cluster/coordinator.js'
import type { DiskBudget } from './space/budget.js'

/** What {@link Deletions} need. */
export interface DeletionsInit {
  places: Destinations
  emitter: SafeEmitter
  space: DiskBudget
  runs?: RunCoordinator | null
}

/**
 * Deletes what downloads have written. Others that share the files are asked once more before that: a manager that was
 * stopped for a while may have lost the right to a download, and its file may have been fetched anew since.
 */
export class Deletions {
  readonly #init: DeletionsInit

  constructor(init: DeletionsInit) {
    this.#init = init
  }

  /**
   * Deletes what a canceled download has written: its partial bytes and, for a group, also the files that it
   * has already fetched. The download is canceled even if they can't be deleted, since its run has ended.
   *
   * @throws DownloadError `TAKEN_OVER` if another manager has it.
   */
  async discard(download: Download): Promise<void> {
    await this.#requireRight(download)
    await this.#discard(download)
  }

  async #discard(download: Download): Promise<void> {
    const { groupFiles, record } = download
    const { places, emitter, space } = this.#init
    try {
      if (groupFiles === null) await places.discardBytes(record)
      // Nothing is ever written behind a link, so what is there is not ours.
      else if (!(await places.isBehindLink(record, groupFiles.path))) await cancelGroup(groupFiles)
    } catch (error) {
      const message = `Partial files of the download could not be deleted: ${asDownloadError(error).message}`
      emitter.emit('log', { download, level: 'warn', message })
    }
    space.noteChange()
  }

  /**
   * Deletes what a settled download has left that is about to be forgotten.
   *
   * @param deleteFile - whether its finished files are deleted as well.
   * @throws DownloadError `TAKEN_OVER` if another manager has it; why its files can't be deleted.
   */
  async clear(download: Download, deleteFile: boolean): Promise<void> {
    await this.#requireRight(download)
    const { places, space } = this.#init
    const { groupFiles, record, state } = download
    if (groupFiles !== null) await this.#removeGroup(record, groupFiles, deleteFile)
    else if (state === 'failed') await places.discardBytes(record)
    else if (deleteFile && state === 'completed') await places.deleteFile(record)
    space.noteChange()
  }

  /** Deletes the partial bytes of a download that waits for disk space, which nobody else runs. Never rejects. */
  async discardParts(download: Download): Promise<void> {
    const { groupFiles, record } = download
    const message = 'Its partial files are deleted, since nothing else makes room for those that come first.'
    this.#init.emitter.emit('log', { download, level: 'warn', message })
    if (groupFiles === null) await this.#discard(download)
    else {
      await this.#removeGroup(record, groupFiles, false).catch(() => undefined)
      for (const entry of groupFiles.pending) groupFiles.lose(entry, 'queued')
    }
  }

  async #requireRight(download: Download): Promise<void> {
    if ((await this.#init.runs?.confirm(download)) !== false) return
    throw new DownloadError('TAKEN_OVER', 'Another instance has taken over the download.', {
      retryable: true,
    })
  }

  async #removeGroup(record: Download['record'], group: GroupFiles, deleteFiles: boolean): Promise<void> {
    if (!(await this.#init.places.isBehindLink(record, group.path))) await removeGroup(group, deleteFiles)
    else if (deleteFiles)
      throw new DownloadError(
        'TARGET_NOT_REGULAR',
        'The files are behind a symbolic link; delete them by hand.',
      )
  }
}
