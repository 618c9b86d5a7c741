/** Code that the examples share: the actions of a download, and its description for people. */

/** The actions that are possible in a state, with the labels of their buttons. */
export function actionsOf({ state }) {
  if (state === 'paused') return { resume: 'Resume', cancel: 'Cancel' }
  if (state === 'failed' || state === 'canceled') return { retry: 'Retry', remove: 'Remove' }
  return state === 'completed' ? { remove: 'Remove' } : { pause: 'Pause', cancel: 'Cancel' }
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

/** Describes a download, for example as `downloading, 12.0 of 48.1 MB, 8.5 MB/s, 4 s left`. */
export function describe({ state, downloaded, total, bytes_per_second: speed, eta_seconds: seconds, error }) {
  const size = total > 0 ? `${(downloaded / 1e6).toFixed(1)} of ${megabytes(total)}` : megabytes(downloaded)
  const parts = [state, size]
  if (state === 'downloading' && speed > 0) parts.push(`${megabytes(speed)}/s`)
  if (state === 'downloading' && seconds !== null) parts.push(`${seconds} s left`)
  return (error === null ? parts : [state, error]).join(', ')
}
