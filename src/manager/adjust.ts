/** Changes the settings of a download that the manager knows already. */
import type { Download, DownloadOwner } from '../download/download.js'
import { parseOptions, prioritySchema } from '../download/options.js'
import { managerOptionsSchema } from './options.js'
import type { Registry } from './registry.js'
import type { Scheduler } from './scheduler.js'

/** The functions that change the speed limit and the priority of a download, at once and for later runs. */
export function adjusters(
  scheduler: Pick<Scheduler, 'limit' | 'reorder'>,
  registry: Pick<Registry, 'save'>,
): Pick<DownloadOwner, 'setLimit' | 'setPriority'> {
  const { maxBytesPerSecond } = managerOptionsSchema.shape
  return {
    setLimit: (download: Download, wanted: number | null) => {
      const limit = parseOptions(maxBytesPerSecond, wanted, 'maxBytesPerSecond')
      download.update({ maxBytesPerSecond: limit })
      scheduler.limit(download, limit)
      void registry.save(download)
    },
    setPriority: (download: Download, wanted: number) => {
      const next = parseOptions(prioritySchema, wanted, 'priority')
      scheduler.reorder(download, next)
      void registry.save(download)
    },
  }
}
