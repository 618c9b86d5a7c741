/** Timeouts, retries and intervals. */

/** The knobs of the engine that hold for every transfer. All times in milliseconds. */
export interface TransferTuning {
  /** To open a connection, TLS included. Default 10,000. */
  connectTimeoutMs: number
  /** From the request to the last response header. Default 30,000 (transfer rule 6). */
  headersTimeoutMs: number
  /** Silence in the body after which a connection starts over. Default 15,000. */
  bodyTimeoutMs: number
  /** A connection slower than this, in bytes per second, over {@link lowSpeedTimeMs} starts over. Default 1,024. */
  lowSpeedBytesPerSecond: number
  /** Default 20,000. */
  lowSpeedTimeMs: number
  /** Attempts without any progress before a transfer fails. Default 8. */
  maxAttempts: number
  /** Base of the full-jitter backoff. Default 500. */
  minDelayMs: number
  /** Cap of the full-jitter backoff. Default 30,000. */
  maxDelayMs: number
  /** How long a transfer that had already got bytes outlasts a dead network, whatever the attempts. Default 120,000. */
  outageMs: number
  /** Longest `Retry-After` that is waited for; a longer one fails the transfer. Default 600,000. */
  maxRetryAfterMs: number
  /** Most redirects followed for one request. Default 10. */
  maxRedirects: number
  /** Smallest segment worth a connection of its own, in bytes. Default 1 MiB. */
  minSegmentBytes: number
  /** How often progress is told. Default 250. */
  progressIntervalMs: number
  /** How often the journal notes what is written. Default 250 (transfer rule 9). */
  journalIntervalMs: number
  /** How often data is forced to the disk. Default 5,000. */
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
  progressIntervalMs: 250,
  journalIntervalMs: 250,
  syncIntervalMs: 5_000,
}
