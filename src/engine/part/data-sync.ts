/** Forces the data of a part file to the disk. */
import { asDownloadError, fsError, isRefusal } from '../../disk/errors.js'
import { fdatasync } from '../../disk/fs.js'
import { DownloadError } from '../../errors.js'

/** The syncs of one file. The first one that fails is the last one. */
export class DataSync {
  readonly #fd: number
  #error: DownloadError | null = null

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Whether a sync has failed, so that nobody knows what of the data is on the disk. */
  get hasFailed(): boolean {
    return this.#error !== null
  }

  /**
   * Syncs the data.
   *
   * @returns false if the file system refuses to sync.
   * @throws DownloadError the failure, and then the same one each time: the kernel reports a failed sync only once.
   * Everything that was not on the disk before may be lost, even without a reboot, and a later sync that succeeds proves
   * nothing.
   */
  async run(): Promise<boolean> {
    if (this.#error !== null) throw this.#error
    try {
      return await datasync(this.#fd)
    } catch (error) {
      this.#error = asDownloadError(error)
      throw error
    }
  }
}

/** Forces the data of a file to the disk. Returns false where the file system refuses that. */
function datasync(fd: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null) resolve(true)
      else if (isRefusal(error)) resolve(false)
      else reject(fsError(error, 'syncing the part file'))
    })
  })
}

/** What to report of a file system that refuses to sync a part file. */
export function notSynced(): DownloadError {
  return new DownloadError('DISK_IO', 'The file system refuses to sync files.')
}
