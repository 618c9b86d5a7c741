/** Texts of parts that are loaded on demand, as tables of both languages. Pure. */
import type { ElementLocale } from './strings.js'

/** A text in English and Chinese. */
export type TextEntry = readonly [english: string, chinese: string]

/** The texts of a table in a language. */
export function textsIn<K extends string>(
  table: Readonly<Record<K, TextEntry>>,
  locale: ElementLocale,
): Readonly<Record<K, string>> {
  const index = locale === 'zh-CN' ? 1 : 0
  const texts = (Object.keys(table) as K[]).map((key) => [key, table[key][index]] as const)
  // The entries have the keys of the table.
  return Object.fromEntries(texts) as Record<K, string>
}
