/** Changes the settings of a download that the manager knows already. */
import type { Download, DownloadOwner } from '../download/download.js'
import { parseOptions, prioritySchema } from '../download/options.js'
import type { ClusterCommand, Coordinator } from './cluster/coordinator.js'
import { managerOptionsSchema } from './options.js'
import type { Registry } from './registry.js'
import type { Scheduler } from './scheduler.js'

/** What was set of a download and has not been done yet. */
const changing = new WeakMap<Download, Promise<unknown>>()

/**
 * Resolves once what was set of a download is done, wherever it runs. Must be called as soon as it is set.
 *
 * @throws DownloadError what kept it from being done; `STORE_ERROR` (retryable) while others can't be reached.
 */
export async function adjusted(download: Download): Promise<void> {
  await changing.get(download)
}

/** The functions that change the speed limit and the priority of a download, at once and for later runs. */
export function adjusters(
  scheduler: Pick<Scheduler, 'limit' | 'reorder'>,
  registry: Pick<Registry, 'save'>,
  coordinator: Pick<Coordinator, 'control'>,
): Pick<DownloadOwner, 'setLimit' | 'setPriority'> {
  const { maxBytesPerSecond } = managerOptionsSchema.shape
  const change = (download: Download, command: ClusterCommand, apply: () => void) => {
    const task = () => {
      apply()
      return registry.save(download)
    }
    const done = Promise.all([changing.get(download), coordinator.control(download, command, task)])
    changing.set(download, done)
    const forget = () => {
      if (changing.get(download) === done) changing.delete(download)
    }
    // The setters can't wait. What others can't be told of now is not changed.
    done.then(forget, forget)
  }
  return {
    setLimit: (download: Download, wanted: number | null) => {
      const limit = parseOptions(maxBytesPerSecond, wanted, 'maxBytesPerSecond')
      change(download, { type: 'adjust', maxBytesPerSecond: limit }, () => {
        download.update({ maxBytesPerSecond: limit })
        scheduler.limit(download, limit)
      })
    },
    setPriority: (download: Download, wanted: number) => {
      const next = parseOptions(prioritySchema, wanted, 'priority')
      change(download, { type: 'adjust', priority: next }, () => {
        scheduler.reorder(download, next)
      })
    },
  }
}
