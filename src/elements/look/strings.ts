/** Texts of the view that looks at models before they are downloaded, which is loaded on demand. Pure. */
import type { ElementLocale } from '../strings.js'
import { type TextEntry, textsIn } from '../text-table.js'

const table = {
  results: ['Models found for {text}', '与“{text}”有关的模型'],
  nothing: ['No model was found for {text}.', '没有找到与“{text}”有关的模型。'],
  asking: ['Asking …', '正在查询…'],
  hub: ['Hub', '站点'],
  onlyGguf: ['GGUF only', '仅 GGUF'],
  counts: ['{downloads} downloads, {likes} likes', '下载 {downloads} 次，{likes} 人点赞'],
  back: ['Back to the results', '返回搜索结果'],
  filesMany: ['{n} files', '{n} 个文件'],
  fileOne: ['1 file', '1 个文件'],
  gated: ['Its terms must be accepted first', '须先接受其条款'],
  parameters: ['{n} parameters', '参数量 {n}'],
  context: ['context {n}', '上下文 {n}'],
  tensors: ['{n} tensors', '{n} 个张量'],
  template: ['chat template', '带对话模板'],
  noTemplate: ['no chat template', '无对话模板'],
  quantisations: ['Quantisations', '量化方式'],
  get: ['Download', '下载'],
  getOf: ['Download {name}', '下载 {name}'],
  getAll: ['Download everything', '全部下载'],
  close: ['Close', '关闭'],
} satisfies Record<string, TextEntry>

/** The texts in a language. */
export type LookStrings = Readonly<Record<keyof typeof table, string>>

/** The texts in a language. */
export function lookStrings(locale: ElementLocale): LookStrings {
  return textsIn(table, locale)
}
