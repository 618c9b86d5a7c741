import cliProgress from 'cli-progress'
import { formatBytes } from '../util/format.js'
import { barLine, fit } from './format.js'
import { HumanReporter, type LineKind, type Print } from './reporters.js'

/** What the bars are drawn on: standard error, when it is a terminal. */
export interface Terminal extends NodeJS.WritableStream {
  /** Size in cells; 0 where it can't be told. */
  readonly columns: number
  readonly rows: number
}

/** The payload of every bar: the line as it is to be drawn. */
interface Slot {
  line: string
}

const clearBelow = '\u001b[J'

const frameMs = 100

/**
 * For terminals: a bar per active download, finished ones above them, and below them the sum when there is more than
 * one file. Bars are slots that are filled anew for every frame, so that hundreds of small files cost no more than the
 * few that are seen.
 */
export class BarReporter extends HumanReporter {
  readonly #terminal: Terminal
  readonly #color: boolean
  readonly #bars: cliProgress.MultiBar
  readonly #slots: { bar: cliProgress.SingleBar; payload: Slot }[] = []
  readonly #timer: NodeJS.Timeout
  #closed = false

  /** @param color - whether marks may be coloured. */
  constructor(urls: number, terminal: Terminal, paths: Print | null, color: boolean) {
    super(urls, paths)
    this.#terminal = terminal
    this.#color = color
    this.#bars = new cliProgress.MultiBar({
      stream: terminal,
      format: (_options, _params, payload: Slot) => payload.line,
      // Wrapping stays on and the cursor stays seen: a process that is killed can't put them back. The lines are cut
      // to the width here.
      linewrap: true,
      hideCursor: false,
      clearOnComplete: true,
      // A slot's text may move to another row.
      forceRedraw: true,
      // The frames are ours; the package's own timer is put off by each of them.
      fps: 1,
    })
    this.#timer = setInterval(() => this.#draw(), frameMs)
    this.#timer.unref()
  }

  protected line(text: string, kind: LineKind): void {
    // The bar shows that it began, and that it waits.
    if (kind === 'start') return
    const mark = { done: this.#paint('✓ ', 32), error: this.#paint('✗ ', 31), more: '', note: '', sum: '' }[
      kind
    ]
    const line = `${mark}${text}\n`
    if (this.#closed) this.#terminal.write(line)
    // What stands below is drawn again after it.
    else this.#bars.log(clearBelow + line)
  }

  close(): void {
    if (this.#closed) return
    clearInterval(this.#timer)
    this.#fill([])
    this.#bars.update()
    this.#bars.stop()
    this.#closed = true
  }

  #paint(text: string, code: number): string {
    return this.#color ? `\u001b[${code}m${text}\u001b[0m` : text
  }

  #draw(): void {
    const columns = this.#terminal.columns || 80
    const rows = this.#terminal.rows || 24
    const active = this.activeLines()
    const shown = active.slice(0, Math.max(1, rows - 3))
    const lines = shown.map((state) => barLine(state, columns))
    if (this.totals.urls > 1) {
      const { urls, completed, failed } = this.totals
      const speed = active.reduce((sum, state) => sum + state.bytesPerSecond, 0)
      const bad = failed === 0 ? '' : `  ${failed} failed`
      const text = `${completed}/${urls} files${bad}  ${active.length} active  ${formatBytes(speed)}/s`
      lines.push(fit(text, columns - 1).trimEnd())
    }
    this.#fill(lines)
    this.#bars.update()
  }

  /** Puts the lines into the slots, in order; slots left over become empty lines. */
  #fill(lines: string[]): void {
    while (this.#slots.length < lines.length) {
      const payload: Slot = { line: '' }
      this.#slots.push({ bar: this.#bars.create(1, 0, payload), payload })
    }
    this.#slots.forEach((slot, index) => {
      slot.payload.line = lines[index] ?? ''
    })
  }
}
