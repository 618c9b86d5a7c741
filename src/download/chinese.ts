import { chineseErrors } from './error-chinese.js'
import { addErrorTexts } from './error-text.js'
import { chineseLog } from './log-chinese.js'
import { addLogForms } from './log-text.js'

/**
 * Makes this process say errors and messages of the log in Chinese to whoever asks for it. A command that speaks English
 * does not load these texts.
 */
export function addChinese(): void {
  addErrorTexts(chineseErrors)
  addLogForms(chineseLog)
}
