/** The language of the command. */
import type { Voice } from '../download/error-text.js'
import { type Locale, localeOfEnvironment, localeOfTag } from '../util/locale.js'
import { chineseTexts } from './chinese.js'
import { type CommandTexts, englishTexts } from './texts.js'

/** A process speaks one language, which is known before its arguments are parsed. */
let current: Locale = 'en-US'

/** Sets the language of this process. */
export function speak(locale: Locale): void {
  current = locale
}

/** The texts in the language of this process. */
export function texts(): CommandTexts {
  return current === 'en-US' ? englishTexts : chineseTexts
}

/** How errors are said in this process. */
export function voice(): Voice {
  return { locale: current, command: true }
}

/**
 * The language of a run: that of `--locale`, or else that of the environment.
 *
 * @param args - the arguments of the command, not parsed yet.
 * @param environment - the environment variables.
 * @param systemTag - returns the language tag of the system; called only if nothing else decides.
 */
export function localeOfRun(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  systemTag: () => string,
): Locale {
  const end = args.indexOf('--')
  const own = end === -1 ? args : args.slice(0, end)
  const given = own
    .map((argument, at) => (argument === '--locale' ? own[at + 1] : /^--locale=(.*)$/s.exec(argument)?.[1]))
    .findLast((tag) => tag !== undefined)
  return localeOfTag(given ?? '') ?? localeOfEnvironment(environment, systemTag)
}
