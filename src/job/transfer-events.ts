/** What a job tells of what one of its transfers has told. Pure. */
import type { TransferEvent, TransferResult } from '../engine/protocol.js'
import { deserializeError } from '../errors.js'
import type { JobEvent } from './job.js'

/**
 * What a transfer tells for others to hear. The rest is between it and its job: the name of the file, and what it asks
 * for.
 */
type PublicTransferEvent = Exclude<TransferEvent, { type: 'claim' | 'named' | 'refresh' }>

/**
 * Says what a transfer has told in the words of a job. Where a job has several transfers, their phases, progress and
 * outcomes are not its own; it tells those itself.
 *
 * @param filename - stands before each message, to tell the files of a group apart. Default: nothing does.
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

function patchOf({ filename, size, sha256, verified, stamp }: TransferResult) {
  return { filename, named: true, downloaded: size, total: size, resultSha256: sha256, verified, stamp }
}
