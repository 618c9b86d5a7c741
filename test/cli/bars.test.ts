import { Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { BarReporter, type Terminal } from '../../src/cli/bars.js'
import { completedReport, failedReport, progressReport } from '../../src/cli/report.js'

const columns = 100

const escape = '\u001b'
/** A control sequence, a line feed, or text. */
const token = new RegExp(`${escape}\\[(\\?)?(\\d*)([A-Za-z])|\\n|[^${escape}\\n]+`, 'g')

/** A terminal as far as the reporter uses one: text, line feeds, cursor moves and clearing. */
class Screen extends Writable implements Terminal {
  readonly isTTY = true
  readonly columns = columns
  readonly lines: string[] = ['']
  /** Everything that was written. */
  written = ''
  #row = 0
  #column = 0

  constructor(readonly rows = 24) {
    super({ decodeStrings: false })
  }

  override _write(text: string, _encoding: BufferEncoding, done: () => void): void {
    this.written += text
    for (const [whole, mode, count, letter] of text.matchAll(token)) {
      if (letter !== undefined) this.#control(mode ?? '', letter, count ?? '')
      else if (whole !== '\n') this.#put(whole)
      else {
        this.#row += 1
        this.#column = 0
        this.lines[this.#row] ??= ''
      }
    }
    done()
  }

  #put(text: string): void {
    const line = (this.lines[this.#row] ?? '').padEnd(this.#column)
    this.lines[this.#row] = line.slice(0, this.#column) + text + line.slice(this.#column + text.length)
    this.#column += text.length
  }

  #control(mode: string, letter: string, count: string): void {
    const line = this.lines[this.#row] ?? ''
    if (letter === 'A') this.#row = Math.max(0, this.#row - Number(count || 1))
    else if (letter === 'G') this.#column = Number(count || 1) - 1
    else if (letter === 'K') this.lines[this.#row] = count === '2' ? '' : line.slice(0, this.#column)
    else if (letter === 'J') {
      this.lines.length = this.#row + 1
      this.lines[this.#row] = line.slice(0, this.#column)
    } else if (letter !== 'm' || mode !== '')
      throw new Error(`The screen does not know CSI ${mode}${count}${letter}.`)
  }

  /** What a person sees: trailing blanks aside. */
  get seen(): string {
    return this.lines
      .map((line) => line.trimEnd())
      .join('\n')
      .trimEnd()
  }
}

const urlOf = (name: string) => `http://host.example/${name}`

function progress(name: string, downloaded: number) {
  return progressReport(urlOf(name), name, {
    downloaded,
    total: 1000,
    percent: downloaded / 10,
    bytesPerSecond: 100,
    etaSeconds: 5,
    connections: 2,
    phase: 'downloading',
  })
}

function completed(name: string) {
  return completedReport(urlOf(name), {
    url: urlOf(name),
    path: `/models/${name}`,
    filename: name,
    size: 1000,
    sha256: null,
    verified: false,
    verification: null,
    existed: false,
    fetchedBytes: 1000,
    files: null,
    adoptedFrom: null,
  })
}

describe('BarReporter', () => {
  beforeEach(
    () => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] }),
  )
  afterEach(() => void vi.useRealTimers())

  it('draws a bar per active download, finished ones above, the sum below, and clears up', () => {
    const screen = new Screen()
    const paths: string[] = []
    const reporter = new BarReporter(3, screen, (text) => paths.push(text), false)
    for (const name of ['a.bin', 'b.bin', 'c.bin']) {
      reporter.report({ type: 'started', url: urlOf(name) })
      reporter.report(progress(name, 500))
    }
    vi.advanceTimersByTime(1_000)
    expect(screen.seen.split('\n')).toEqual([
      expect.stringMatching(/^a\.bin +█+░+ +50\.0% +500 B\/1\.0 kB +100 B\/s {2}ETA 5s +×2$/),
      expect.stringMatching(/^b\.bin /),
      expect.stringMatching(/^c\.bin /),
      '0/3 files  3 active  1.5 kB/3.0 kB  300 B/s  ETA 5s',
    ])

    reporter.report(completed('b.bin'))
    reporter.report(failedReport(urlOf('a.bin'), { code: 'NOT_FOUND', message: 'It is not there.' }))
    reporter.report(progress('c.bin', 700))
    vi.advanceTimersByTime(1_000)
    expect(screen.seen.split('\n')).toEqual([
      expect.stringMatching(/^✓ \/models\/b\.bin: 1\.0 kB in /),
      '✗ error: http://host.example/a.bin: It is not there. (NOT_FOUND)',
      expect.stringMatching(/^c\.bin .*70\.0%/),
      '1/3 files  1 failed  1 active  2.2 kB/2.5 kB  100 B/s  ETA 3s',
    ])

    reporter.report(completed('c.bin'))
    reporter.finish()
    expect(screen.seen.split('\n')).toEqual([
      expect.stringMatching(/^✓ \/models\/b\.bin/),
      expect.stringMatching(/^✗ /),
      expect.stringMatching(/^✓ \/models\/c\.bin/),
      expect.stringMatching(/^2 of 3 files, 1 failed, 2\.0 kB fetched in \d+s$/),
    ])
    expect(paths).toEqual(['/models/b.bin\n', '/models/c.bin\n'])

    const before = screen.written
    vi.advanceTimersByTime(5_000)
    expect(screen.written, 'nothing is drawn after the end').toBe(before)
  })

  it('shows something before the first download has started, and tells of the retries of a download once', () => {
    const screen = new Screen()
    const reporter = new BarReporter(1, screen, null, false)
    expect(screen.seen).toBe('preparing …')
    reporter.report({ type: 'started', url: urlOf('a.bin') })
    for (const attempt of [1, 2]) {
      const message = 'The host name host.example could not be resolved.'
      const retry = {
        url: urlOf('a.bin'),
        attempt,
        delayMs: 60_000,
        code: 'NAME_RESOLUTION',
        message,
      } as const
      reporter.report({ type: 'retrying', ...retry })
    }
    vi.advanceTimersByTime(300)
    expect(screen.seen.split('\n')).toEqual([
      'a.bin: The host name host.example could not be resolved. (NAME_RESOLUTION); retrying in 1m00s',
      expect.stringMatching(/^a\.bin .*retry 1m00s N.*SOLUTION \(2\)$/),
    ])
    reporter.close()
  })

  it('draws no more bars than the terminal has rows', () => {
    const screen = new Screen(8)
    const reporter = new BarReporter(50, screen, null, false)
    for (let index = 0; index < 50; index += 1) {
      reporter.report({ type: 'started', url: urlOf(`f${index}`) })
    }
    vi.advanceTimersByTime(1_000)
    expect(screen.seen.split('\n')).toHaveLength(6)
    expect(screen.seen).toContain('50 active')
    reporter.close()
    expect(screen.seen).toBe('')
  })

  it('leaves no state on the terminal that a kill could not undo, and colours only when told', () => {
    for (const color of [false, true]) {
      const screen = new Screen()
      const reporter = new BarReporter(1, screen, null, color)
      reporter.report({ type: 'started', url: urlOf('a.bin') })
      vi.advanceTimersByTime(300)
      // A cursor that is hidden or wrapping that is off would stay so.
      expect(screen.written).not.toContain('\u001b[?')
      reporter.report(completed('a.bin'))
      reporter.finish()
      expect(screen.written.includes('\u001b[32m')).toBe(color)
    }
  })

  it('still prints what comes after it was closed', () => {
    const screen = new Screen()
    const reporter = new BarReporter(1, screen, null, false)
    reporter.close()
    reporter.report(failedReport(urlOf('a.bin'), { code: 'STALLED', message: 'Silence.' }))
    expect(screen.seen).toBe('✗ error: http://host.example/a.bin: Silence. (STALLED)')
  })
})
