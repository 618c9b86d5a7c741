import { findSharingFault } from '../disk/share-probe.js'
import type { Clock } from '../util/clock.js'
import { settledWithin } from './settled-within.js'

/** How long a folder may take to be tried, in milliseconds; it may be on a server that does not answer. */
const probeMs = 10_000

/** Tries the folder that all instances share, and says what does not work there. Never rejects. */
export async function checkSharedFolder(
  folder: string | undefined,
  clock: Clock,
  warn: (message: string) => void,
): Promise<void> {
  if (folder === undefined) return
  const silence = `it does not answer within ${probeMs / 1_000} s`
  const answer: { fault: string | null } = { fault: silence }
  await settledWithin(
    clock,
    probeMs,
    findSharingFault(folder).then((fault) => (answer.fault = fault)),
  )
  if (answer.fault !== null)
    warn(
      `The folder of the cluster is not fit to be shared: ${answer.fault}. Downloads may fail or start over.`,
    )
}
