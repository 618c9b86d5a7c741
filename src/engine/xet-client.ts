/** The HTTP client of a transfer, which also reads from the Xet store of the file's hub. */
import type { HttpClient } from '../net/http.js'
import { type TransferResult, type TransferSpec, xetUrl } from './protocol.js'
import type { ManagerRequests } from './requests-to-manager.js'
import { withXet } from './xet/origin.js'
import { XetStore } from './xet/store.js'

/** A client that also reads from the Xet store. */
export interface XetClient {
  http: Pick<HttpClient, 'exchange' | 'beGentle' | 'secrets'>
  /** Bytes that were not fetched, but copied from an older version. */
  readonly copiedBytes: number
  /** Closes the older version. Never rejects. */
  close(): Promise<void>
}

/** Returns the given client, with the address of the Xet store if the transfer uses it. */
export function xetClient(
  http: HttpClient,
  spec: TransferSpec,
  requests: Pick<ManagerRequests, 'refresh'>,
  log: (message: string) => void,
): XetClient {
  const url = xetUrl(spec)
  if (url === null) return { http, copiedBytes: 0, close: () => Promise.resolve() }
  const store = new XetStore({
    http,
    proxy: spec.proxy,
    hash: spec.xet?.hash ?? '',
    size: spec.size ?? 0,
    ask: (status) => requests.refresh(status, true),
    older: spec.xet?.older ?? null,
    log,
  })
  return {
    http: withXet(http, store, url),
    get copiedBytes() {
      return store.copiedBytes
    },
    close: () => store.close(),
  }
}

/** The result of a transfer, whose stamp says by which hash the Xet store knows the file. */
export function withXetHash(spec: TransferSpec, result: TransferResult): TransferResult {
  const { stamp } = result
  if (stamp === null || (spec.xet ?? null) === null || stamp.sha256 !== spec.sha256) return result
  return { ...result, stamp: { ...stamp, xet: spec.xet?.hash } }
}
