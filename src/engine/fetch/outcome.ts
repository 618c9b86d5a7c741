import { DownloadError } from '../../errors.js'

/** How a connection ended. */
export type Outcome =
  /** Every byte of its range is written. */
  | { kind: 'done' }
  /** Stopped by us; the bytes received until then are written. */
  | { kind: 'stopped' }
  /** `local` if the disk failed rather than the network. */
  | { kind: 'failed'; error: DownloadError; local: boolean }

/** The error for a body that ends before the file is complete. */
export function endedEarly(): DownloadError {
  return new DownloadError('TRUNCATED', 'The response ended before the file was complete.', {
    retryable: true,
  })
}
