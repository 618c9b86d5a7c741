/**
 * Says a line of the log of a preload, or why a run failed, in another language. Lines are written once, in the language
 * of the host, and stored like that; a page shows them in its own. Pure.
 */
import type { Locale } from '../util/locale.js'
import { type Messages, messagesOf } from './messages.js'

/** Marks of the values in a message, which no message contains otherwise. */
const text = (index: number) => `\uE000${index}\uE001`
const number = (index: number) => 7_770_000_000 + index
const list = (index: number): readonly string[] => [`\uE002${index}\uE001`]
// A message uses nothing but these two members of the keys.
const counted = { length: number(2), join: () => list(0)[0] } as unknown as readonly string[]
const marks = /\uE000(\d)\uE001|777000000(\d)|\uE002(\d)\uE001/g

/** The messages that may be in a line. The first form that fits is used. */
const calls: readonly ((messages: Messages) => string)[] = [
  (say) => say.logStarted(1, text(0)),
  (say) => say.logStarted(number(0), text(1)),
  (say) => say.logResumedAfterRestart(number(0), number(1)),
  (say) => say.logInterrupted,
  (say) => say.logSucceeded(number(0), number(1)),
  (say) => say.logFailed(list(0)),
  (say) => say.logCanceling,
  (say) => say.logCanceled,
  (say) => say.logAlreadyThere,
  (say) => say.logDownloading(text(0)),
  (say) => say.logProgress(text(0), text(1), text(2)),
  (say) => say.logVerifying,
  (say) => say.logRetrying(text(0), number(1), text(2)),
  (say) => say.logPaused,
  (say) => say.logResumed,
  (say) => say.logCompleted(text(0), text(1)),
  (say) => say.logModelCanceled,
  (say) => say.logWaitingForOther,
  (say) => say.interrupted,
  (say) => say.failed(counted, number(1)),
]

interface Form {
  readonly pattern: RegExp
  /** Which value each group of the pattern holds. */
  readonly order: readonly number[]
  readonly target: string
}

const separators: Readonly<Record<Locale, string>> = { 'en-US': ', ', 'zh-CN': '、' }

function formsFrom(from: Locale, to: Locale): readonly Form[] {
  return calls.map((call) => {
    const source = call(messagesOf(from))
    const order: number[] = []
    const pattern = source
      .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
      .replace(marks, (_, word?: string, count?: string, words?: string) => {
        order.push(Number(word ?? count ?? words))
        return count === undefined ? '(.*?)' : '(\\d+)'
      })
    return { pattern: new RegExp(`^${pattern}$`, 's'), order, target: call(messagesOf(to)) }
  })
}

const forms: Readonly<Record<Locale, readonly Form[]>> = {
  'zh-CN': formsFrom('en-US', 'zh-CN'),
  'en-US': formsFrom('zh-CN', 'en-US'),
}

/** Lines that were said lately, by language: a status repeats all lines of its log. */
const said: Readonly<Record<Locale, Map<string, string>>> = { 'zh-CN': new Map(), 'en-US': new Map() }

const maxSaid = 2_000

/** A line in a language. One that is in this language already, or not known, stays as it is. */
export function logLineIn(line: string, locale: Locale): string {
  const known = said[locale].get(line)
  if (known !== undefined) return known
  const [, head = '', message = ''] = /^((?:\d{4}-\S+Z )?(?:\[[^\]]*\] )?)(.*)$/s.exec(line) ?? []
  const result = head + messageIn(message, locale)
  if (said[locale].size >= maxSaid) said[locale].clear()
  said[locale].set(line, result)
  return result
}

function messageIn(message: string, locale: Locale): string {
  for (const { pattern, order, target } of forms[locale]) {
    const found = pattern.exec(message)
    if (found === null) continue
    const values = new Map(order.map((index, group) => [String(index), found[group + 1] ?? '']))
    return target.replace(marks, (_, word?: string, count?: string, words?: string) => {
      const value = values.get(word ?? count ?? words ?? '') ?? ''
      return words === undefined ? value : value.split(/, |、/).join(separators[locale])
    })
  }
  // What a download has to say.
  return messagesOf(locale).log(message)
}
