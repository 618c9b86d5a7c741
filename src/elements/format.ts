/** Formats sizes, speeds and times with `Intl`. Pure. */

const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte'] as const

/** Creating a formatter is about a thousand times as expensive as using one, so they are cached. */
const made = new Map<string, Intl.NumberFormat>()

function numberFormat(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = `${locale} ${JSON.stringify(options)}`
  let format = made.get(key)
  if (format === undefined) made.set(key, (format = new Intl.NumberFormat(locale, options)))
  return format
}

function scaled(bytes: number): { value: number; unit: (typeof units)[number]; digits: number } {
  const size = bytes > 0 ? bytes : 0
  let index = 0
  // What would be rounded up to 1000 is 1 of the next.
  while (index < units.length - 1 && Math.round(size / 1000 ** index) >= 1000) index++
  const scale = 1000 ** index
  const tenths = Math.round(size / (scale / 10))
  // The index stays below the length.
  const unit = units[index] ?? 'byte'
  return index === 0 || tenths >= 1000
    ? { value: Math.round(size / scale), unit, digits: 0 }
    : { value: tenths / 10, unit, digits: 1 }
}

/** Bytes: `640 kB`, `1.5 GB`; powers of 1000, as everywhere. */
export function formatLocaleBytes(bytes: number, locale: string): string {
  const { value, unit, digits } = scaled(bytes)
  return numberFormat(locale, {
    style: 'unit',
    unit,
    unitDisplay: unit === 'byte' ? 'long' : 'short',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value)
}

/** Formats bytes per second: `12.3 MB/s`. */
export function formatSpeed(bytesPerSecond: number, locale: string): string {
  const { value, unit, digits } = scaled(bytesPerSecond)
  return numberFormat(locale, {
    style: 'unit',
    unit: `${unit}-per-second`,
    unitDisplay: 'short',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value)
}

/**
 * Formats a percentage. It is truncated, not rounded, so that 100 appears only at the end.
 *
 * @param decimals - number of decimals below 100.
 */
export function formatPercent(percent: number, locale: string, decimals = 1): string {
  const scale = 10 ** decimals
  const cut = Math.floor(Math.min(100, Math.max(0, percent)) * scale + 1e-6) / scale / 100
  const digits = cut === 1 ? 0 : decimals
  return numberFormat(locale, {
    style: 'percent',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(cut)
}

/** Formats an integer. */
export function formatCount(count: number, locale: string): string {
  return numberFormat(locale, {}).format(count)
}

/** A span of time in its two largest units: `2 min 5 sec`, `1 hr 3 min`. */
export function formatLocaleDuration(seconds: number, locale: string): string {
  const whole = seconds > 0 ? Math.round(seconds) : 0
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'day'],
    [Math.floor(whole / 3600) % 24, 'hour'],
    [Math.floor(whole / 60) % 60, 'minute'],
    [whole % 60, 'second'],
  ]
  const first = parts.findIndex(([value]) => value > 0)
  const from = first === -1 ? parts.length - 1 : first
  return parts
    .slice(from, from + 2)
    .filter(([value], index) => value > 0 || index === 0)
    .map(([value, unit]) => numberFormat(locale, { style: 'unit', unit, unitDisplay: 'short' }).format(value))
    .join(' ')
}

/** Formats a point in time: the time alone for today, otherwise with the date. */
export function formatMoment(iso: string, now: Date, locale: string): string {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return ''
  const today = at.toDateString() === now.toDateString()
  const time = { hour: 'numeric', minute: '2-digit' } as const
  const day = { month: 'short', day: 'numeric' } as const
  return new Intl.DateTimeFormat(locale, today ? time : { ...day, ...time }).format(at)
}
