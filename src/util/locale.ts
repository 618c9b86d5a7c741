/** Languages of texts for people, and how a caller or the system asks for one. Pure. */

/** Supported languages; the first is the default. */
export const locales = ['en-US', 'zh-CN'] as const

/** A supported language of texts for people. */
export type Locale = (typeof locales)[number]

/** Supported languages by primary subtag (RFC 5646 section 2.2.1). */
const languages: ReadonlyMap<string, Locale> = new Map([
  ['en', 'en-US'],
  ['zh', 'zh-CN'],
])

/**
 * The supported language of a tag such as `zh-Hans-CN` or `en_GB`, or null if there is none. The region and
 * the script are ignored, as in the dashboard.
 */
export function localeOfTag(tag: string): Locale | null {
  return languages.get(tag.trim().toLowerCase().split(/[-_]/, 1)[0] ?? '') ?? null
}

/**
 * Chooses the best supported language for an `Accept-Language` header (RFC 9110 section 12.5.4).
 *
 * @param field - value of the header, or null.
 * @param fallback - used when the header requests no supported language, or any.
 */
export function chooseLocale(field: string | null, fallback: Locale): Locale {
  let best = fallback
  let bestWeight = 0
  for (const range of (field ?? '').split(',')) {
    const [tag = '', ...parameters] = range.split(';')
    const locale = tag.trim() === '*' ? fallback : localeOfTag(tag)
    if (locale === null) continue
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

/**
 * The language of a terminal (POSIX section 8.2): the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is not
 * empty decides. A locale such as `zh_CN.GBK` names an encoding other than UTF-8, in which Chinese output
 * would be unreadable, so it counts as English.
 *
 * @param environment - the environment variables.
 * @param systemTag - returns the language tag of the system; called when none of the variables is set, as on Windows.
 */
export function localeOfEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  systemTag: () => string,
): Locale {
  const names = ['LC_ALL', 'LC_MESSAGES', 'LANG']
  const value = names.map((name) => environment[name]).find((text) => text !== undefined && text !== '')
  if (value === undefined) return localeOfTag(systemTag()) ?? locales[0]
  const [tag = '', encoding = 'utf-8'] = value.replace(/@.*$/s, '').split('.')
  return /^utf-?8$/i.test(encoding) ? (localeOfTag(tag) ?? locales[0]) : locales[0]
}
