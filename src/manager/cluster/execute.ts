import type { Download, DownloadOwner } from '../../download/download.js'
import type { DownloadOptions } from '../../download/options.js'
import { adjusted } from '../adjust.js'
import type { ClusterCommand } from './coordinator.js'

/** The calls of a manager. */
interface Calls extends Pick<DownloadOwner, 'pause' | 'resume' | 'cancel' | 'retry'> {
  get(url: string): Download | undefined
  download(options: DownloadOptions): Promise<Download>
  remove(url: string, options: { deleteFile: boolean }): Promise<void>
  pin(url: string, pinned: boolean): Promise<Download>
}

/**
 * Does what a caller of another manager asks of a download.
 *
 * @throws DownloadError the error that the caller gets.
 */
export async function execute(manager: Calls, url: string, command: ClusterCommand): Promise<void> {
  switch (command.type) {
    case 'pause':
      await manager.pause(url)
      return
    case 'resume':
      await manager.resume(url)
      return
    case 'cancel':
      await manager.cancel(url)
      return
    case 'retry':
      await manager.retry(url)
      return
    case 'remove':
      await manager.remove(url, { deleteFile: command.deleteFile })
      return
    case 'pin':
      await manager.pin(url, command.pinned)
      return
    case 'adjust': {
      const download = manager.get(url)
      if (download === undefined) return
      if (command.maxBytesPerSecond !== undefined) download.maxBytesPerSecond = command.maxBytesPerSecond
      if (command.priority !== undefined) download.priority = command.priority
      await adjusted(download)
      return
    }
    case 'download':
      await manager.download(command.options)
  }
}
