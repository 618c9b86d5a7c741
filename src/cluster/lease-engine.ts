/** Runs the transfers of a download under its lease. */
import type { TransferEngine, TransferHandle } from '../engine/protocol.js'
import { withStart } from '../engine/with-start.js'
import { DownloadError } from '../errors.js'
import type { Clock } from '../util/clock.js'

/** The lease of a download, as its transfers see it. */
export interface TransferLease {
  readonly epoch: number
  /** Until when the lease is certain to last, by the clock. */
  validUntil: number
  /** The transfers that run. */
  readonly transfers: Set<TransferHandle>
}

/** For how long a lease is certain to last from now on, in milliseconds. */
export function validForMs({ validUntil }: Pick<TransferLease, 'validUntil'>, now: number): number {
  return Math.max(0, validUntil - now)
}

/** Tells the transfers that their lease was renewed, or that it is lost. */
export function renewTransfers(lease: TransferLease, now: number): void {
  for (const transfer of lease.transfers) transfer.send({ type: 'lease', validForMs: validForMs(lease, now) })
}

/**
 * An engine whose transfers have a lease: they stop writing once it has run out, and ask before they publish or delete.
 *
 * @param init.lease - null if the lease has been lost; then nothing can be started.
 * @param init.confirm - asks whether the lease still is the last one. Never rejects.
 * @param init.onLost - called when a transfer has ended because its lease is over.
 */
export function leaseEngine(
  engine: TransferEngine,
  init: { lease: TransferLease | null; clock: Clock; confirm: () => Promise<boolean>; onLost: () => void },
): TransferEngine {
  const { lease, clock } = init
  const start: TransferEngine['start'] = (spec, listener) => {
    if (lease === null)
      throw new DownloadError('TAKEN_OVER', 'Another instance has taken over the download.', {
        retryable: true,
      })
    const term = { epoch: lease.epoch, validForMs: validForMs(lease, clock.now()) }
    const handle = engine.start({ ...spec, lease: term }, (event) => {
      if (event.type === 'confirmLease') {
        void init.confirm().then((isHeld) => {
          handle.send({ type: 'leaseConfirmed', requestId: event.requestId, isHeld })
        })
        return
      }
      const isOver = event.type === 'failed' && event.error.code === 'TAKEN_OVER'
      if (isOver || event.type === 'completed' || event.type === 'failed' || event.type === 'stopped')
        lease.transfers.delete(handle)
      if (!isOver) {
        listener(event)
        return
      }
      init.onLost()
      // The bytes are kept, and whoever has the download now goes on from them.
      listener({ type: 'stopped', mode: 'close' })
    })
    lease.transfers.add(handle)
    return handle
  }
  return withStart(engine, start)
}
