/** The right of a run to write its files, where several instances share the work. */
import type { TransferCommand, TransferEvent, TransferSpec } from '../engine/protocol.js'

/** The lease of one run. Whoever holds it also calls `DownloadRun.renewLease` after each renewal. */
export interface RunLease {
  /** See `LeaseTerm.epoch`. */
  readonly epoch: number
  /** For how long it is certain to last from now on, in milliseconds, counted from before it was last asked for. */
  leftMs(): number
  /** Asks whoever gives leases whether it is still ours. A rejection counts as no. */
  confirm(): Promise<boolean>
}

/** What the transfers of a run are told of its lease; nothing without one. */
export function leaseSpec(lease: RunLease | null): Pick<TransferSpec, 'lease'> {
  return lease === null ? {} : { lease: { epoch: lease.epoch, validForMs: lease.leftMs() } }
}

/** Answers a transfer that asks whether it may still write. Never rejects. */
export async function answerConfirmLease(
  lease: RunLease | null,
  { requestId }: TransferEvent & { type: 'confirmLease' },
  send: (command: TransferCommand) => void,
): Promise<void> {
  const isHeld = lease !== null && (await lease.confirm().catch(() => false))
  send({ type: 'leaseConfirmed', requestId, isHeld })
}
