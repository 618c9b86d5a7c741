/** Which language to answer in. Pure. */
import type { Locale } from '../catalog/types.js'

/** The languages that there are messages in, by primary subtag (RFC 5646 section 2.2.1). */
const locales: ReadonlyMap<string, Locale> = new Map([
  ['en', 'en-US'],
  ['zh', 'zh-CN'],
])

/**
 * The best of our languages for an `Accept-Language` field (RFC 9110 section 12.5.4). Any region will do.
 *
 * @param field - as it came, or null.
 * @param fallback - when it asks for none of ours, or for any.
 */
export function chooseLocale(field: string | null, fallback: Locale): Locale {
  let best = fallback
  let bestWeight = 0
  for (const range of (field ?? '').split(',')) {
    const [tag = '', ...parameters] = range.split(';')
    const name = tag.trim().toLowerCase()
    const locale = name === '*' ? fallback : locales.get(name.split('-')[0] ?? '')
    if (locale === undefined) continue
    const weight = weightOf(parameters)
    if (weight > bestWeight) {
      best = locale
      bestWeight = weight
    }
  }
  return best
}

function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const weight = /^\s*q=([01](?:\.\d{0,3})?)\s*$/i.exec(parameter)?.[1]
    if (weight !== undefined) return Math.min(1, Number(weight))
  }
  return 1
}
