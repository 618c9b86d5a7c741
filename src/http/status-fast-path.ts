/**
 * Fast path for the request that pages send ten times a second: the status of one download. The response is
 * the same as on the regular path, but creating a `Request` and a `Response` for it would cost more than
 * everything else. Every unusual request takes the regular path.
 */
import { toFullWire } from '../download/wire.js'
import type { IncomingHttpHeaders } from 'node:http'
import type { Voice } from '../download/error-text.js'
import type { DownloadManager } from '../manager/manager.js'
import { chooseLocale } from '../util/locale.js'
import { type RequestContext, requireLocal } from './access.js'
import { type DownloadStatus, statusQuery } from './schemas.js'

/** A request as parsed by Node. */
export interface RawRequest {
  method: string | undefined
  /** Path and query as received. */
  target: string | undefined
  headers: IncomingHttpHeaders
  context: RequestContext
}

/** Path of the route, without the base path. */
const path = '/api/models/download/status'

/** Returns the status of one download; null for every other request and for every failure. */
export type StatusFastPath = (request: RawRequest) => DownloadStatus | null

/** Creates the fast path for a handler without `authorize` and CORS. */
export function statusFastPath(manager: DownloadManager, base: string, fallback: Voice): StatusFastPath {
  const start = `${base}${path}?url=`
  return ({ method, target, headers, context }) => {
    if (method !== 'GET' || target?.startsWith(start) !== true) return null
    // A page of another origin is refused or allowed there.
    if (headers.origin !== undefined) return null
    // Requests with a body take the regular path.
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return null
    const query = [...new URLSearchParams(target.slice(target.indexOf('?')))]
    const [only] = query
    if (query.length !== 1 || only === undefined) return null
    try {
      const get = (name: string) => {
        const value = headers[name]
        return Array.isArray(value) ? value.join(', ') : (value ?? null)
      }
      requireLocal(
        { url: 'http://host.invalid/', headers: { get, keys: () => Object.keys(headers) } },
        context,
      )
      const { url } = statusQuery.parse({ url: only[1] })
      const download = url === undefined ? undefined : manager.get(url)
      const voice = { ...fallback, locale: chooseLocale(get('accept-language'), fallback.locale) }
      return download === undefined ? null : { success: true, download: toFullWire(download, voice) }
    } catch {
      return null
    }
  }
}
