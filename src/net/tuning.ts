/** Timeouts, retries and intervals. */

/** Settings of the engine that apply to every transfer. All times are in milliseconds. */
export interface TransferTuning {
  /** Timeout for opening a connection, including TLS. Default 10,000. */
  connectTimeoutMs: number
  /**
   * Timeout from sending the request to receiving the response headers. It doubles after each request that got none
   * in time, up to four times this. Default 30,000 (transfer rule 6).
   */
  headersTimeoutMs: number
  /** Time without data in a body after which the request is made again. Default 15,000. */
  bodyTimeoutMs: number
  /**
   * Minimum speed in bytes per second. The request of a connection that stays below it for {@link
   * lowSpeedTimeMs} is made again. Default 1,024.
   */
  lowSpeedBytesPerSecond: number
  /** How long a connection may be slower than {@link lowSpeedBytesPerSecond}. Default 20,000. */
  lowSpeedTimeMs: number
  /** Failed attempts in a row, without progress, after which a transfer fails. Default 8. */
  maxAttempts: number
  /** Base of the full-jitter backoff. Default 500. */
  minDelayMs: number
  /** Cap of the full-jitter backoff. Default 30,000. */
  maxDelayMs: number
  /**
   * How long a transfer that has already received data survives a network outage, regardless of the number of
   * attempts. Default 120,000.
   */
  outageMs: number
  /** Longest wait that a server may ask for, by `Retry-After` or `RateLimit`; a longer one fails. Default 600,000. */
  maxRetryAfterMs: number
  /** Maximum number of redirects per request. Default 10. */
  maxRedirects: number
  /** Minimum size of a segment that gets its own connection, in bytes. Default 1 MiB. */
  minSegmentBytes: number
  /**
   * Connections that a file begins with, unless something is known of its server. More are added, up to the
   * `connections` of the download, as long as they make it at least a tenth faster. Default 4.
   */
  initialConnections: number
  /**
   * Who reads the bodies of responses. `fast`: the engine itself, from the socket, if the response is a plain one
   * (HTTP/1.1 with a `Content-Length`, without a proxy); `standard`: undici. Default `fast`.
   */
  bodyReader: 'fast' | 'standard'
  /** Interval of progress events. Default 250. */
  progressIntervalMs: number
  /** Interval at which the journal records the written ranges. Default 250 (transfer rule 9). */
  journalIntervalMs: number
  /**
   * Longest interval at which data is flushed to the disk. It is flushed more often where that takes at most a twentieth of the
   * time, up to each time that the journal is written. Default 5,000.
   */
  syncIntervalMs: number
}

/** The default {@link TransferTuning}. */
export const defaultTuning: TransferTuning = {
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 30_000,
  bodyTimeoutMs: 15_000,
  lowSpeedBytesPerSecond: 1024,
  lowSpeedTimeMs: 20_000,
  maxAttempts: 8,
  minDelayMs: 500,
  maxDelayMs: 30_000,
  outageMs: 120_000,
  maxRetryAfterMs: 600_000,
  maxRedirects: 10,
  minSegmentBytes: 1024 * 1024,
  initialConnections: 4,
  bodyReader: 'fast',
  progressIntervalMs: 250,
  journalIntervalMs: 250,
  syncIntervalMs: 5_000,
}
