/**
 * Messages of the log in the language of whoever reads them. They are created in English, some of them in the
 * engine's thread, so they are translated by their form. Pure.
 */
import type { Locale } from '../util/locale.js'
import type { Voice } from './error-text.js'

/** The messages of the log in one language. */
export interface LogForms {
  readonly locale: Locale
  /** A message about a file of a group. */
  readonly named: (name: string, text: string) => string
  /** The English form of each message, and how to say it; the names are the variable parts of the form. */
  readonly forms: readonly (readonly [RegExp, (...names: string[]) => string])[]
}

const languages = new Map<Locale, LogForms>()

/** Adds a language. Whoever asks for one that has not been added gets English. */
export function addLogForms(forms: LogForms): void {
  languages.set(forms.locale, forms)
}

/** A message of the log in the language of a reader. One whose form is unknown stays as it is. */
export function logText(message: string, { locale }: Pick<Voice, 'locale'>): string {
  const language = languages.get(locale)
  if (language === undefined) return message
  for (const [form, say] of language.forms) {
    const match = form.exec(message)
    if (match !== null) return say(...match.slice(1))
  }
  // In a group, the name of the file comes first.
  const [, name, rest] = /^(\S+): (.+)$/s.exec(message) ?? []
  if (name === undefined || rest === undefined) return message
  const said = logText(rest, { locale })
  return said === rest ? message : language.named(name, said)
}
