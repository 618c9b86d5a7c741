import { DownloadError } from '../../src/errors.js'

/** The error that a call throws. Fails when it throws nothing, or anything but a {@link DownloadError}. */
export function failure(run: () => unknown): DownloadError {
  try {
    run()
  } catch (error) {
    if (error instanceof DownloadError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
