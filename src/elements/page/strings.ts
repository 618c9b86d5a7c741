/** Texts of the dashboard page itself. Pure. */
import type { ElementLocale } from '../strings.js'
import { type TextEntry, textsIn } from '../text-table.js'

const table = {
  page: ['Model downloads', '模型下载'],
  language: ['Language', '语言'],
  theme: ['Appearance', '外观'],
  themeAuto: ['System', '跟随系统'],
  themeLight: ['Light', '浅色'],
  themeDark: ['Dark', '深色'],
  notify: ['Notify me', '完成时通知'],
  notifyHint: ['Show a notification when all downloads have ended', '全部下载结束时显示通知'],
  notifyFinished: ['Finished downloads: {n}.', '已完成 {n} 个下载任务。'],
  notifyFailed: ['Failed downloads: {n}.', '{n} 个下载任务失败。'],
  signIn: ['Sign in', '登录'],
  signOut: ['Sign out', '退出登录'],
  token: ['Access token', '访问令牌'],
  tokenText: ['This server requires an access token.', '访问此服务器需要令牌。'],
  tokenWrong: ['The server rejected this token.', '令牌无效。'],
} satisfies Record<string, TextEntry>

/** Name of a text of the dashboard page. */
type PageKey = keyof typeof table

/** The texts of the dashboard page in a language. */
export function pageStrings(locale: ElementLocale): Record<PageKey, string> {
  return textsIn(table, locale)
}
