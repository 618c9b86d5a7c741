import { describe, expect, it } from 'vitest'
import { logLineIn } from '../../../src/catalog/log-line.js'
import { type Messages, messagesOf } from '../../../src/catalog/messages.js'
import fc from '../../support/properties.js'

const at = '2026-02-15T02:00:01Z '
const [english, chinese] = [messagesOf('en-US'), messagesOf('zh-CN')]

/** Names as a catalog has them, and paths. */
const word = fc.stringMatching(/^[\w./-]{1,20}$/)
const count = fc.nat(1_000)
const line: fc.Arbitrary<(say: Messages) => string> = fc.oneof(
  fc.tuple(count, word).map((values) => (say: Messages) => say.logStarted(...values)),
  fc.tuple(count, count).map((values) => (say: Messages) => say.logResumedAfterRestart(...values)),
  fc.tuple(count, count).map((values) => (say: Messages) => say.logSucceeded(...values)),
  fc.array(word, { minLength: 1, maxLength: 4 }).map((keys) => (say: Messages) => say.logFailed(keys)),
  fc
    .tuple(fc.array(word, { minLength: 1, maxLength: 4 }), count)
    .map((values) => (say: Messages) => say.failed(...values)),
  word.map((url) => (say: Messages) => say.logDownloading(`https://host/${url}`)),
  fc.tuple(count, count).map(
    ([percent, size]) =>
      (say: Messages) =>
        say.logProgress(String(percent), `${size} MB`, '1.5 GB'),
  ),
  fc.tuple(count, word).map(
    ([attempt, reason]) =>
      (say: Messages) =>
        say.logRetrying('1.5', attempt, reason),
  ),
  fc.tuple(word, count).map(
    ([path, size]) =>
      (say: Messages) =>
        say.logCompleted(`/srv/${path}`, `${size} MB`),
  ),
  fc.constantFrom<(say: Messages) => string>(
    (say) => say.logInterrupted,
    (say) => say.logCanceling,
    (say) => say.logCanceled,
    (say) => say.logAlreadyThere,
    (say) => say.logVerifying,
    (say) => say.logPaused,
    (say) => say.logResumed,
    (say) => say.logModelCanceled,
    (say) => say.logWaitingForOther,
  ),
)

describe('a line of the log of a preload', () => {
  it('is said in either language, whichever it was written in', () => {
    fc.assert(
      fc.property(line, fc.constantFrom('', at, `${at}[llm] `), (say, head) => {
        for (const written of [english, chinese]) {
          expect(logLineIn(head + say(written), 'zh-CN')).toBe(head + say(chinese))
          expect(logLineIn(head + say(written), 'en-US')).toBe(head + say(english))
        }
      }),
    )
  })

  it('keeps what is not known as it is', () => {
    for (const text of ['', 'Something else.', '别的。', `${at}[a] failure`, 'x\ny'])
      for (const locale of ['en-US', 'zh-CN'] as const) expect(logLineIn(text, locale)).toBe(text)
  })

  it('says what a download has to say', () => {
    expect(logLineIn(`${at}[llm] Resuming with 1.5 GB from an earlier run.`, 'zh-CN')).toBe(
      `${at}[llm] 继续上次的下载，已有 1.5 GB。`,
    )
  })
})
