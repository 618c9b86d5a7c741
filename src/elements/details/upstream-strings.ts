/** Texts of the section that compares a download with its source, which is loaded on demand. Pure. */
import type { ElementLocale } from '../strings.js'
import { type TextEntry, textsIn } from '../text-table.js'

const table = {
  title: ['Newer version', '新版本'],
  ask: ['Check for a newer version', '检查新版本'],
  asking: ['Asking the source …', '正在查询来源…'],
  current: ['This is the newest version.', '已是最新版本。'],
  outdated: ['The source has a newer version.', '来源有新版本。'],
  gone: ['The source no longer has it.', '来源已不再提供。'],
  unknown: ['Whether there is a newer version is not known.', '无法得知是否有新版本。'],
  fileOne: ['1 file is different', '1 个文件不同'],
  filesMany: ['{n} files are different', '{n} 个文件不同'],
  update: ['Update', '更新'],
} satisfies Record<string, TextEntry>

/** The texts in a language. */
export type UpstreamStrings = Readonly<Record<keyof typeof table, string>>

/** The texts in a language. */
export function upstreamStrings(locale: ElementLocale): UpstreamStrings {
  return textsIn(table, locale)
}
