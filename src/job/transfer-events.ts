/** Translates the events of a transfer into those of its job. Pure. */
import type { TransferEvent, TransferResult } from '../engine/protocol.js'
import { deserializeError } from '../errors.js'
import type { JobEvent } from './job.js'

/**
 * Events of a transfer that are passed on. The others are handled by its job: the name of the file, and
 * requests to the job.
 */
type PublicTransferEvent = Exclude<
  TransferEvent,
  { type: 'claim' | 'named' | 'refresh' | 'reserve' | 'confirmLease' }
>

/**
 * Translates an event of a transfer into one of its job. If a job has several transfers, their phases,
 * progress and outcomes are not those of the job, which emits its own.
 *
 * @param filename - precedes each message, to tell the files of a group apart. Default: nothing does.
 */
export function jobEventOf(event: PublicTransferEvent, filename: string | null = null): JobEvent {
  const about = (message: string) => (filename === null ? message : `${filename}: ${message}`)
  switch (event.type) {
    case 'phase':
    case 'progress':
    case 'failed':
    case 'stopped':
      return event
    case 'retrying':
      return { ...event, error: deserializeError(event.error) }
    case 'restarted':
      return { type: 'log', level: 'warn', message: about(`Starting over: ${event.error.message}`) }
    case 'log':
      return { ...event, message: about(event.message) }
    case 'completed':
      return { type: 'completed', patch: patchOf(event.result), run: event.result }
  }
}

function patchOf({ filename, size, sha256, verification, stamp, validator }: TransferResult) {
  const result = {
    filename,
    named: true,
    downloaded: size,
    total: size,
    resultSha256: sha256,
    verified: verification !== null,
    stamp,
  }
  // Of a file that was there already, the server has said nothing now.
  return validator === undefined ? result : { ...result, validator }
}
