import { asDownloadError } from '../disk/errors.js'
import type { StopMode, TransferEvent, TransferHandle, TransferSpec } from '../engine/protocol.js'
import { type SerializedDownloadError } from '../errors.js'
import { type AddressRequest, answerRefresh, type Refresh } from './fresh-address.js'
import type { Job, JobHost } from './job.js'
import { answerReserve } from './space.js'
import { jobEventOf } from './transfer-events.js'

/** Runs the only transfer of a download of one file. */
export class FileJob implements Job {
  readonly #host: JobHost
  readonly #refresh: Refresh
  readonly #transfer: TransferHandle

  constructor(host: JobHost, spec: TransferSpec, refresh: Refresh) {
    this.#host = host
    this.#refresh = refresh
    this.#transfer = host.engine.start(spec, (event) => {
      this.#on(event)
    })
  }

  stop(mode: StopMode): void {
    this.#transfer.send({ type: 'stop', mode })
  }

  limit(maxBytesPerSecond: number | null): void {
    this.#transfer.send({ type: 'limit', maxBytesPerSecond })
  }

  #on(event: TransferEvent): void {
    const host = this.#host
    const { download, clock } = host
    switch (event.type) {
      case 'claim':
        this.#transfer.send({
          type: 'claimed',
          requestId: event.requestId,
          error: claimName(host, event.filename),
        })
        return
      case 'named':
        if (!download.named || download.filename !== event.filename) {
          download.update({ filename: event.filename, named: true })
          void host.save()
        }
        return
      case 'refresh':
        this.#onRefresh(event).catch((error: unknown) => {
          host.crash(error)
        })
        return
      case 'reserve':
        void answerReserve(host.space, event, (command) => {
          this.#transfer.send(command)
        })
        return
      // Answered by whoever has given the transfer its lease, before its events come here.
      case 'confirmLease':
        return
      case 'restarted':
        download.note(clock.now(), { downloaded: 0, total: download.record.total, connections: 0 })
        break
      default:
    }
    host.emit(jobEventOf(event))
  }

  async #onRefresh(event: AddressRequest): Promise<void> {
    this.#transfer.send(await answerRefresh(event, this.#refresh))
  }
}

/** Claims a file name for a download of one file. Returns the error if that fails, otherwise null. */
export function claimName(host: JobHost, filename: string): SerializedDownloadError | null {
  try {
    host.claim([filename])
    host.download.update({ filename, named: true })
    return null
  } catch (error) {
    return asDownloadError(error).toJSON()
  }
}
