import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import { isActive } from '../download/states.js'
import type { CoordinatorHost } from '../manager/cluster/coordinator.js'
import type { Leases } from './leases.js'
import type { Replica } from './replica.js'

/** Returns a function that waits until a download has ended, here or elsewhere. */
export function endsOf(emitter: SafeEmitter): () => Promise<void> {
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const done of [...waiting]) done()
    waiting.clear()
  }
  for (const event of ['completed', 'failed', 'canceled', 'paused', 'removed'] as const)
    emitter.on(event, wake)
  return () => new Promise<void>((resolve) => waiting.add(resolve))
}

/** Stores what a run does as soon as it begins something else, so that others can tell. */
export function followHost(
  host: CoordinatorHost,
  leases: Pick<Leases, 'has'>,
  replica: Pick<Replica, 'get'>,
): void {
  const save = ({ download }: { download: Download }) => {
    if (leases.has(download.record.id)) void host.registry.save(download)
  }
  host.emitter.on('started', save)
  host.emitter.on('verifying', save)
  host.emitter.on('progress', ({ download }) => {
    const { id, state } = download.record
    if (isActive(state) && replica.get(id)?.record.state !== state) save({ download })
  })
}
