/**
 * The short way for the one request that pages repeat ten times a second: the status of one download. Its answer is the
 * same as on the long way, which makes a `Request` and a `Response` of it; those cost more than all the rest. Whatever
 * is out of the ordinary takes the long way.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { DownloadManager } from '../manager/manager.js'
import { type RequestContext, requireLocal } from './access.js'
import { type DownloadStatus, statusQuery } from './schemas.js'
import { toFullWire } from './wire.js'

/** A request as Node's parser gives it. */
export interface RawRequest {
  method: string | undefined
  /** Path and query as written. */
  target: string | undefined
  headers: IncomingHttpHeaders
  context: RequestContext
}

/** The path, below the mount base. */
const path = '/api/models/download/status'

/** Answers the status of one download; null for everything else, and for every failure. */
export type StatusFastPath = (request: RawRequest) => DownloadStatus | null

/** The short way for a handler that serves this machine only and no foreign pages. */
export function statusFastPath(manager: DownloadManager, base: string): StatusFastPath {
  const start = `${base}${path}?url=`
  return ({ method, target, headers, context }) => {
    if (method !== 'GET' || target?.startsWith(start) !== true) return null
    // A body, or anything that content negotiation or CORS would look at.
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return null
    const query = [...new URLSearchParams(target.slice(target.indexOf('?')))]
    const [only] = query
    if (query.length !== 1 || only === undefined) return null
    try {
      const get = (name: string) => {
        const value = headers[name]
        return Array.isArray(value) ? value.join(', ') : (value ?? null)
      }
      requireLocal({ url: 'http://host.invalid/', headers: { get } }, context)
      const { url } = statusQuery.parse({ url: only[1] })
      const download = url === undefined ? undefined : manager.get(url)
      return download === undefined ? null : { success: true, download: toFullWire(download) }
    } catch {
      return null
    }
  }
}
