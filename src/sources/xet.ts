/** The Xet store of the Hugging Face hub, as far as sources know it: where a file is, and tokens. Pure. */
import { DownloadError } from '../errors.js'
import { isRecord, xetHashOf } from './huggingface-ref.js'
import type { XetFile } from './source.js'
import { isToken, urlOf } from './support.js'

/** A token for the store. */
export interface XetToken {
  /** Address of the store. */
  url: string
  token: string
  /** When it expires, in milliseconds since the Unix epoch. */
  expiresAt: number
}

/**
 * Reads the answer to a request for a token.
 *
 * @param tokenUrl - the URL that was requested. If it is https, so must be the store.
 * @throws DownloadError `PROTOCOL_ERROR`.
 */
export function parseXetToken(json: unknown, tokenUrl: string): XetToken {
  const { accessToken, exp, casUrl } = isRecord(json) ? json : {}
  const url = typeof casUrl === 'string' ? urlOf(casUrl) : null
  const protocols = tokenUrl.startsWith('https:') ? ['https:'] : ['https:', 'http:']
  const isUsable = url !== null && protocols.includes(url.protocol) && url.username + url.password === ''
  if (!isUsable || typeof accessToken !== 'string' || !isToken(accessToken) || typeof exp !== 'number') {
    throw new DownloadError('PROTOCOL_ERROR', 'The hub did not send a usable token for its Xet store.')
  }
  return { url: url.origin + url.pathname.replace(/\/+$/, ''), token: accessToken, expiresAt: exp * 1_000 }
}

/** Whether what a source says about the store can be used: the token is requested with the headers of the first URL. */
export function isXetFile({ hash, tokenUrl }: XetFile, first: string): boolean {
  return xetHashOf(hash) !== null && urlOf(tokenUrl)?.origin === urlOf(first)?.origin
}

/** A token is replaced so long before it expires, in milliseconds. */
const marginMs = 30_000

/** Whether a token can still be used. */
export function isFresh({ expiresAt }: XetToken, wallNow: number): boolean {
  return wallNow < expiresAt - marginMs
}
