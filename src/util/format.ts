/**
 * Sizes and times as people read them, in English: for the command, logs and messages. Pure.
 *
 * Sizes are in powers of 1000 with the units of the SI, as Hugging Face, disks and network speeds count. The dashboard
 * shows the same numbers and units in the reader's language; `elements/format.ts` has to stay in step with this file.
 */

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/**
 * A size: `0 B`, `1.5 GB`, `640 MB`, in the largest unit in which it is 1 or more after rounding. It has one decimal
 * below 100, and none from there on.
 *
 * @param bytes - what is negative or not a number counts as 0; a fraction of a byte is rounded.
 */
export function formatBytes(bytes: number): string {
  const size = bytes > 0 ? bytes : 0
  let index = 0
  // What rounding would make 1000 of one unit is 1 of the next.
  while (index < units.length - 1 && Math.round(size / 1000 ** index) >= 1000) index++
  const scale = 1000 ** index
  // It is rounded before it is formatted: 1450 / 1000 is a little less than 1.45, so `toFixed` alone would say 1.4.
  const tenths = Math.round(size / (scale / 10))
  const isWhole = index === 0 || tenths >= 1000
  return `${isWhole ? Math.round(size / scale) : (tenths / 10).toFixed(1)} ${units[index] ?? ''}`
}

/**
 * A span of time in its two largest units: `8s`, `1m05s`, `2h03m`, `4d07h`.
 *
 * @param seconds - what is negative or not a number counts as 0.
 */
export function formatDuration(seconds: number): string {
  const whole = seconds > 0 ? Math.round(seconds) : 0
  const pad = (value: number) => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${pad(whole % 60)}s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${pad(Math.floor((whole % 3600) / 60))}m`
  return `${Math.floor(whole / 86_400)}d${pad(Math.floor((whole % 86_400) / 3600))}h`
}
