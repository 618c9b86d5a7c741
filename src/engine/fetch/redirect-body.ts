import type { Exchange, ResponseHead } from '../../net/exchange.js'
import type { Clock } from '../../util/clock.js'

/** A longer body of a redirect is not read, in bytes. */
const maxRedirectBodyBytes = 16 * 1024

/** How long reading the body of a redirect may take, in milliseconds. */
const redirectBodyMs = 1_000

/** Aborts the response of a redirect, unless its body is short: once it is read, the connection can be reused. */
export function dropBody(exchange: Exchange, { headers }: ResponseHead, clock: Clock): void {
  const length = headers['content-length']
  if (typeof length !== 'string' || !/^\d{1,5}$/.test(length) || Number(length) > maxRedirectBodyBytes)
    exchange.abort()
  else if (length !== '0') clock.timer(() => exchange.abort(), redirectBodyMs).unref()
}
