/** The language of the command. */
import type { Command } from 'commander'
import type { Voice } from '../download/error-text.js'
import { type Locale, localeOfEnvironment, localeOfTag } from '../util/locale.js'
import { type CommandTexts, englishTexts } from './texts.js'

/** What the command needs to speak a language besides English. */
export interface CommandLanguage {
  readonly locale: Locale
  readonly texts: CommandTexts
  /** The text below the help of a command; null for one that has none. */
  readonly helpBelow: (command: string) => string | null
  /** Translates the help of a command, and the messages of its parser. */
  readonly translate: (command: Command) => void
}

/** A process speaks one language, which is known before its arguments are parsed; null is English. */
let current: CommandLanguage | null = null

/** Sets the language of this process; null for English. */
export function speak(chosen: CommandLanguage | null): void {
  current = chosen
}

/** The language of this process; null for English. */
export function language(): CommandLanguage | null {
  return current
}

/** The texts in the language of this process. */
export function texts(): CommandTexts {
  return current?.texts ?? englishTexts
}

/** How errors are said in this process. */
export function voice(): Voice {
  return { locale: current?.locale ?? 'en-US', command: true }
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
