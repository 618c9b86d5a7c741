/**
 * Texts of errors for people, in their language. The message of a {@link DownloadError} is its English text;
 * in other languages the text follows from the code, and from the sentence where one code has several causes
 * that a caller can do something about. Pure.
 */
import {
  DownloadError,
  type DownloadErrorCode,
  type DownloadErrorDetails,
  type OptionIssue,
} from '../errors.js'
import type { Locale } from '../util/locale.js'
import {
  englishHints,
  englishSentences,
  type ErrorFacts,
  type ErrorSentences,
  type ErrorTexts,
} from './error-sentences.js'

/** How to speak to whoever reads a text. */
export interface Voice {
  readonly locale: Locale
  /** Whether settings are named as options of the command (`--cors`) instead of properties in code (`cors`). */
  readonly command: boolean
}

/** The voice of the package as a library, in which all errors are created. */
export const englishVoice: Voice = { locale: 'en-US', command: false }

/** The languages besides English that somebody in this process speaks. */
const languages = new Map<Locale, ErrorTexts>()

/** Adds a language. Whoever asks for one that has not been added gets English. */
export function addErrorTexts(texts: ErrorTexts): void {
  languages.set(texts.locale, texts)
}

/** The part of an error that its text depends on. */
export interface DescribedError {
  readonly code: DownloadErrorCode
  readonly message: string
  readonly status?: number | undefined
  readonly issues?: readonly OptionIssue[]
}

/** How to say errors and issues in each language. Held weakly, since an error may be kept for long. */
const translations = new WeakMap<object, (locale: Locale) => string>()

/**
 * Creates an error whose text is one of the sentences.
 *
 * @param names - the names that the sentence mentions.
 * @param locale - language of the message. Default `en-US`.
 */
export function sentenceError<Key extends keyof ErrorSentences>(
  code: DownloadErrorCode,
  key: Key,
  names: Parameters<ErrorSentences[Key]>,
  details?: DownloadErrorDetails,
  locale: Locale = 'en-US',
): DownloadError {
  const error = new DownloadError(code, sentence(locale, key, names), details)
  translations.set(error, (wanted) => sentence(wanted, key, names))
  return error
}

/** Creates an issue whose text is one of the sentences; see {@link sentenceError}. */
export function sentenceIssue<Key extends keyof ErrorSentences>(
  path: string,
  key: Key,
  names: Parameters<ErrorSentences[Key]>,
  locale: Locale,
): OptionIssue {
  const issue = { path, message: sentence(locale, key, names) }
  translations.set(issue, (wanted) => sentence(wanted, key, names))
  return issue
}

/** A sentence in one language. */
export function sentence<Key extends keyof ErrorSentences>(
  locale: Locale,
  key: Key,
  names: Parameters<ErrorSentences[Key]>,
): string {
  const sentences: ErrorSentences = languages.get(locale)?.sentences ?? englishSentences
  const say: (...all: string[]) => string = sentences[key]
  return say(...names)
}

/** Remembers what kind of problem an issue is, so that it can be said in other languages. */
export function issueOfKind(issue: OptionIssue, kind: string): OptionIssue {
  const { message } = issue
  translations.set(issue, (locale) => languages.get(locale)?.issue(kind) ?? message)
  return issue
}

/** The text of an error for people. In English it is the message, except for what the command calls otherwise. */
export function errorText(error: DescribedError, { locale, command }: Voice): string {
  const text = translations.get(error)?.(locale) ?? textOfCode(error, locale)
  if (!command) return text
  const hints = languages.get(locale)?.hints ?? englishHints
  const hint = Object.values(hints).find(({ code }) => text.includes(code))
  return hint === undefined ? text : text.replace(hint.code, () => hint.command)
}

function textOfCode(error: DescribedError, locale: Locale): string {
  // A host application may have written the message in its own language.
  const language = languages.get(locale)
  if (language === undefined || isChinese(error.message)) return error.message
  return language.codes[error.code](factsOf(error, language))
}

/** Whether a text is a Chinese sentence, not an English one about something with a Chinese name. */
function isChinese(text: string): boolean {
  return /^\p{Script=Han}/u.test(text) && !/[a-z]+ [a-z]+/i.test(text)
}

function factsOf({ message, status, issues = [] }: DescribedError, texts: ErrorTexts): ErrorFacts {
  const stated = /\bHTTP (\d{3})\b/.exec(message)?.[1]
  return {
    // A stored or reported error has its status in the message only.
    status: status ?? (stated === undefined ? null : Number(stated)),
    paths: [...new Set(issues.map(({ path }) => path))].filter((path) => path !== ''),
    problems: issues.map((issue) => ({ path: issue.path, text: issueIn(issue, texts) })),
    sizes: message.match(/\b\d+(?:\.\d)? [kMGTP]?B\b/g) ?? [],
    limit: /\((maxDiskBytes|minFreeBytes)\)/.exec(message)?.[1] ?? null,
    host: /^The host name (\S+) could not be resolved/.exec(message)?.[1] ?? null,
    // A reported error has its sentence in the message only.
    file: /^Another download already writes to the file (.*); set a different /s.exec(message)?.[1] ?? null,
    meant: /\bDid you mean (\S+)\?/.exec(message)?.[1] ?? null,
    cause: /\(([A-Z][A-Z0-9_]{2,})\)\.?$/.exec(message)?.[1] ?? null,
  }
}

/** The text of one issue of an error for people. */
export function issueText(issue: OptionIssue, { locale }: Voice): string {
  const known = translations.get(issue)?.(locale)
  if (known !== undefined) return known
  const language = languages.get(locale)
  return language === undefined ? issue.message : issueIn(issue, language)
}

/** A problem without a known kind, unless a host application has described it in its own language. */
function issueIn(issue: OptionIssue, texts: ErrorTexts): string {
  return (
    translations.get(issue)?.(texts.locale) ?? (isChinese(issue.message) ? issue.message : texts.issue(''))
  )
}

/** The text of a failure that is followed by another attempt. */
export function retryText(reason: string, seconds: string, { locale }: Voice): string {
  return languages.get(locale)?.retrying(reason, seconds) ?? `${reason} Retrying in ${seconds} s.`
}
