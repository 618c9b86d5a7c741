/** The HTTP client of a transfer, which also reads from the Xet store of the file's hub. */
import type { HttpClient } from '../net/http.js'
import { type TransferSpec, xetUrl } from './protocol.js'
import type { ManagerRequests } from './requests-to-manager.js'
import { withXet } from './xet/origin.js'
import { XetStore } from './xet/store.js'

/** Returns the given client, with the address of the Xet store if the transfer uses it. */
export function xetClient(
  http: HttpClient,
  spec: TransferSpec,
  requests: Pick<ManagerRequests, 'refresh'>,
  log: (message: string) => void,
): Pick<HttpClient, 'exchange' | 'beGentle' | 'secrets'> {
  const url = xetUrl(spec)
  if (url === null) return http
  const store = new XetStore({
    http,
    proxy: spec.proxy,
    hash: spec.xet?.hash ?? '',
    size: spec.size ?? 0,
    ask: (status) => requests.refresh(status, true),
    log,
  })
  return withXet(http, store, url)
}
