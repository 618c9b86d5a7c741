/**
 * Formats sizes and durations in English, for the command line, logs and messages. Pure.
 *
 * Sizes use powers of 1000 and SI units, as Hugging Face, disks and network speeds do. The dashboard shows
 * the same numbers and units in the user's language; `elements/format.ts` must be kept in step with this
 * file.
 */

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/**
 * Formats a size: `0 B`, `1.5 GB`, `640 MB`. It uses the largest unit in which the rounded value is at least
 * 1, with one decimal below 100 and none from there on.
 *
 * @param bytes - negative values and NaN count as 0; a fraction of a byte is rounded.
 */
export function formatBytes(bytes: number): string {
  const size = bytes > 0 ? bytes : 0
  let index = 0
  // A value that rounds to 1000 of one unit is shown as 1 of the next.
  while (index < units.length - 1 && Math.round(size / 1000 ** index) >= 1000) index++
  const scale = 1000 ** index
  // Rounded before it is formatted: 1450 / 1000 is slightly less than 1.45, so `toFixed` alone would give
  // 1.4.
  const tenths = Math.round(size / (scale / 10))
  const isWhole = index === 0 || tenths >= 1000
  return `${isWhole ? Math.round(size / scale) : (tenths / 10).toFixed(1)} ${units[index] ?? ''}`
}

/**
 * Formats a duration in its two largest units: `8s`, `1m05s`, `2h03m`, `4d07h`.
 *
 * @param seconds - negative values and NaN count as 0.
 */
export function formatDuration(seconds: number): string {
  const whole = seconds > 0 ? Math.round(seconds) : 0
  const pad = (value: number) => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${pad(whole % 60)}s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${pad(Math.floor((whole % 3600) / 60))}m`
  return `${Math.floor(whole / 86_400)}d${pad(Math.floor((whole % 86_400) / 3600))}h`
}
