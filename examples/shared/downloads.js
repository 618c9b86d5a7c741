/** What the examples have in common: what can be done with a download, and how it is put into words. */

/** Actions by state, with the words on their buttons. */
export function actionsOf({ state }) {
  if (state === 'paused') return { resume: 'Resume', cancel: 'Cancel' }
  if (state === 'failed' || state === 'canceled') return { retry: 'Retry', remove: 'Remove' }
  return state === 'completed' ? { remove: 'Remove' } : { pause: 'Pause', cancel: 'Cancel' }
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

/** Such as `downloading, 12.0 of 48.1 MB, 8.5 MB/s, 4 s left`. */
export function describe({ state, downloaded, total, bytes_per_second: speed, eta_seconds: seconds, error }) {
  const size = total > 0 ? `${(downloaded / 1e6).toFixed(1)} of ${megabytes(total)}` : megabytes(downloaded)
  const parts = [state, size]
  if (state === 'downloading' && speed > 0) parts.push(`${megabytes(speed)}/s`)
  if (state === 'downloading' && seconds !== null) parts.push(`${seconds} s left`)
  return (error === null ? parts : [state, error]).join(', ')
}
