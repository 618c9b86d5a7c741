/** What the end of a run means for its download. Pure. */
import type { Download } from '../download/download.js'
import type { DownloadError } from '../errors.js'

/** Whether nothing else than this download has brought its files here, so that they may be evicted. */
export function isOwn({ groupFiles }: Download, existed: boolean): boolean {
  return groupFiles === null ? !existed : groupFiles.files.every(({ fetched }) => fetched)
}

/** Whether the download has failed because another process, or another instance of a cluster, is writing its files. */
export function isOfAnother({ state, error, groupFiles }: Download): boolean {
  const codes = [error?.code, ...(groupFiles?.missing ?? []).map(({ failure }) => failure?.code)]
  return state === 'failed' && (codes.includes('TARGET_LOCKED') || codes.includes('TAKEN_OVER'))
}

/**
 * The log message for a download that was answered from disk.
 *
 * @param reason - why the source could not be asked; null if the network must not be used.
 * @param pinned - whether the source can't have newer files.
 */
export function fromDiskMessage(reason: DownloadError | null, pinned: boolean): string {
  const why =
    reason === null
      ? 'The network must not be used (offline)'
      : `The source can't be reached: ${reason.message}`
  const end = /[.]$/.test(why) ? '' : '.'
  const age = pinned ? '' : ' The source may have newer ones.'
  return `${why}${end} The files on disk are complete and are used.${age}`
}
