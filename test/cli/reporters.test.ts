import { describe, expect, it } from 'vitest'
import { completedReport, failedReport, progressReport, type Report } from '../../src/cli/report.js'
import { JsonReporter, LineReporter, QuietReporter } from '../../src/cli/reporters.js'
import { logText } from '../../src/download/log-text.js'
import { checkingText, isCheckingText } from '../../src/util/checking.js'
import { ManualClock } from '../support/clock.js'

const url = 'https://me:pw@host.example/dir/a.gguf?sig=secret'
const progress = progressReport(url, 'a.gguf', {
  downloaded: 1024,
  total: 4096,
  percent: 25,
  bytesPerSecond: 512,
  etaSeconds: 6,
  connections: 2,
  phase: 'downloading',
})
const completed = completedReport(url, {
  url,
  path: '/models/a.gguf',
  filename: 'a.gguf',
  size: 4096,
  sha256: 'ab'.repeat(32),
  verified: true,
  verification: { algorithm: 'sha256', value: '9f86', from: 'caller' },
  existed: false,
  fetchedBytes: 4096,
  files: null,
  adoptedFrom: null,
})
const failed = failedReport(url, {
  code: 'NOT_FOUND',
  message: 'https://host.example/a?sig=secret is not there',
})
const closed = failedReport(url, { code: 'CLOSED', message: 'stopped' })
const started: Report = { type: 'started', url }

function sinks() {
  const out: string[] = []
  const err: string[] = []
  return {
    out,
    err,
    printOut: (text: string) => out.push(text),
    printError: (text: string) => err.push(text),
  }
}

describe('JsonReporter', () => {
  it('prints one object per line, with the fields in their order', () => {
    const { out, err, printOut, printError } = sinks()
    const reporter = new JsonReporter(printOut, printError, false)
    for (const report of [started, progress, completed]) reporter.report(report)
    reporter.finish()
    expect(out.join('')).toBe(
      [
        JSON.stringify({ type: 'started', url }),
        JSON.stringify({
          type: 'progress',
          url,
          filename: 'a.gguf',
          downloaded: 1024,
          total: 4096,
          percent: 25,
          bytesPerSecond: 512,
          etaSeconds: 6,
          connections: 2,
          phase: 'downloading',
        }),
        JSON.stringify({
          type: 'completed',
          url,
          path: '/models/a.gguf',
          size: 4096,
          sha256: 'ab'.repeat(32),
          verified: true,
          verification: { algorithm: 'sha256', value: '9f86', from: 'caller' },
          existed: false,
          fetchedBytes: 4096,
          adoptedFrom: null,
        }),
        '',
      ].join('\n'),
    )
    expect(err).toEqual([])
  })

  it('prints failures on both streams, the address redacted for people', () => {
    const { out, err, printOut, printError } = sinks()
    new JsonReporter(printOut, printError, false).report(failed)
    expect(out).toEqual([
      `${JSON.stringify({ type: 'failed', url, code: 'NOT_FOUND', message: 'https://host.example/a?… is not there' })}\n`,
    ])
    expect(err).toEqual([
      'error: https://host.example/dir/a.gguf?…: https://host.example/a?… is not there (NOT_FOUND)\n',
    ])
  })

  it('keeps to the ends when quiet, and leaves debug lines out', () => {
    const loud = sinks()
    const quiet = sinks()
    const reports: Report[] = [
      started,
      progress,
      { type: 'log', level: 'debug', message: 'x' },
      { type: 'log', level: 'warn', message: 'y' },
      completed,
    ]
    const loudReporter = new JsonReporter(loud.printOut, loud.printError, false)
    const quietReporter = new JsonReporter(quiet.printOut, quiet.printError, true)
    for (const report of reports) {
      loudReporter.report(report)
      quietReporter.report(report)
    }
    expect(loud.out).toHaveLength(4)
    expect(quiet.out).toEqual([`${JSON.stringify(completed)}\n`])
  })
})

describe('QuietReporter', () => {
  it('prints errors only, and not our own stopping', () => {
    const { err, printError } = sinks()
    const reporter = new QuietReporter(printError)
    for (const report of [started, progress, completed, closed, failed]) reporter.report(report)
    reporter.finish()
    expect(err).toHaveLength(1)
    expect(err[0]).toMatch(/\(NOT_FOUND\)\n$/)
  })
})

describe('LineReporter', () => {
  it('says that a large file on disk is read, first and then every few seconds', () => {
    const { err, printError } = sinks()
    const clock = new ManualClock()
    const reporter = new LineReporter(1, printError, null, 3_000, clock)
    const checking: Report = { type: 'log', level: 'info', message: checkingText(5e9), url }
    for (const report of [started, checking]) reporter.report(report)
    clock.advance(3_000)
    reporter.report(progress)
    clock.advance(3_000)
    reporter.close()
    expect(err.join('').split('\n').slice(1)).toEqual([
      'note: Checking a file of 5.0 GB that is on disk already.',
      'a.gguf: 0 B, verifying',
      'a.gguf: 1.0 kB/4.1 kB (25.0%), 512 B/s, ETA 6s, 2 connections',
      '',
    ])
    expect(isCheckingText(`model.gguf: ${checkingText(1)}`)).toBe(true)
    expect(isCheckingText('model.gguf: Starting over: x')).toBe(false)
    expect(logText(checkingText(5e9), { locale: 'zh-CN' })).toContain('5.0 GB')
  })

  it('prints start, a line per interval while running, and the end', () => {
    const { out, err, printOut, printError } = sinks()
    const clock = new ManualClock()
    const reporter = new LineReporter(1, printError, printOut, 3_000, clock)
    reporter.report(started)
    reporter.report(progress)
    clock.advance(6_500)
    reporter.report(completed)
    clock.advance(6_000)
    reporter.finish()
    expect(err).toEqual([
      'start: https://host.example/dir/a.gguf?…\n',
      'a.gguf: 1.0 kB/4.1 kB (25.0%), 512 B/s, ETA 6s, 2 connections\n',
      'a.gguf: 1.0 kB/4.1 kB (25.0%), 512 B/s, ETA 6s, 2 connections\n',
      'done: /models/a.gguf: 4.1 kB in 6.5s (630 B/s), sha256 verified\n',
    ])
    expect(out).toEqual(['/models/a.gguf\n'])
  })

  it('counts a retry down and forgets it when bytes arrive', () => {
    const { err, printError } = sinks()
    const clock = new ManualClock()
    const reporter = new LineReporter(1, printError, null, 3_000, clock)
    reporter.report(started)
    reporter.report({ ...progress, connections: 0 })
    reporter.report({
      type: 'retrying',
      url,
      attempt: 1,
      delayMs: 20_000,
      code: 'STALLED',
      message: 'silence',
    })
    clock.advance(3_000)
    reporter.report({ ...progress, downloaded: 2048 })
    clock.advance(3_000)
    reporter.close()
    expect(err.slice(1)).toEqual([
      'note: a.gguf: silence (STALLED); retrying in 20s\n',
      'a.gguf: 1.0 kB/4.1 kB (25.0%), retry 17s STALLED\n',
      'a.gguf: 2.0 kB/4.1 kB (25.0%), 512 B/s, ETA 6s, 2 connections\n',
    ])
  })

  it('tells of all retries of a download on one line, unless each is wanted', () => {
    for (const verbose of [false, true]) {
      const { err, printError } = sinks()
      const clock = new ManualClock()
      const reporter = new LineReporter(1, printError, null, 3_000, clock, verbose)
      reporter.report(started)
      for (const attempt of [1, 2, 3])
        reporter.report({
          ...{ type: 'retrying', url, attempt, delayMs: 9_000 },
          ...{ code: 'NAME_RESOLUTION', message: 'The host name host.example could not be resolved.' },
        })
      clock.advance(3_000)
      reporter.report({ ...progress, downloaded: 2048 })
      reporter.report({ type: 'log', level: 'debug', message: 'A detail.' })
      reporter.report(completed)
      reporter.close()
      expect(err.filter((line) => line.startsWith('note: '))).toHaveLength(verbose ? 4 : 1)
      expect(err[1]).toMatch(/host\.example could not be resolved.*NAME_RESOLUTION.*in 9s/)
      expect(err.at(-2 - (verbose ? 1 : 0))).toBe('a.gguf: 0 B, retry 6s NAME_RESOLUTION (3)\n')
      expect(err.at(-1)).toMatch(/^done: .*, 3 retries\n$/)
    }
  })

  it('ends each round of lines with the sum of several files', () => {
    const { err, printError } = sinks()
    const clock = new ManualClock()
    const reporter = new LineReporter(3, printError, null, 3_000, clock)
    reporter.report(started)
    reporter.report(progress)
    clock.advance(3_000)
    expect(err.at(-1)).toMatch(/connections\n0\/3 files, 1 active, 1\.0 kB\/4\.1 kB\+, 512 B\/s\n$/)
    reporter.close()
  })

  it('sums up several files, once', () => {
    const { err, printError } = sinks()
    const clock = new ManualClock()
    const reporter = new LineReporter(2, printError, null, 3_000, clock)
    reporter.report(started)
    reporter.report(completed)
    reporter.report({ ...failed, url: 'https://host.example/b' })
    clock.advance(2_000)
    reporter.finish()
    reporter.close()
    expect(err.at(-1)).toBe('1 of 2 files, 1 failed, 4.1 kB fetched in 2s\n')
    expect(err).toHaveLength(4)
  })

  it('says nothing of downloads that we stopped ourselves', () => {
    const { err, printError } = sinks()
    const reporter = new LineReporter(1, printError, null, 3_000, new ManualClock())
    reporter.report(closed)
    expect(err).toEqual([])
  })
})
