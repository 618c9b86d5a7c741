import { addChinese } from '../../download/chinese.js'
import { chineseTexts } from '../chinese.js'
import { commandHelp } from '../chinese-help.js'
import type { Language } from '../language.js'
import { translate } from './translate.js'

addChinese()

/** Chinese, with all that an English run does not load. */
export const chinese: Language = {
  locale: 'zh-CN',
  texts: chineseTexts,
  helpBelow: (command) => commandHelp[command].after,
  translate,
}
