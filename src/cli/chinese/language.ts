import { addChinese } from '../../download/chinese.js'
import { chineseTexts } from '../chinese.js'
import { commandHelp } from '../chinese-help.js'
import type { CommandLanguage } from '../language.js'
import { isTranslated, translate } from './translate.js'

addChinese()

/** Chinese, with all that an English run does not load. */
export const chineseCommand: CommandLanguage = {
  locale: 'zh-CN',
  texts: chineseTexts,
  helpBelow: (command) => (isTranslated(command) ? commandHelp[command].after : null),
  translate,
}
