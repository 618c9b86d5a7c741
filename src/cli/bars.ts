import cliProgress from 'cli-progress'
import { systemClock, type Timer } from '../util/clock.js'
import { barLines } from './display/apart.js'
import { fit } from './format.js'
import { texts } from './language.js'
import { HumanReporter, type LineKind, type Print } from './reporters.js'

/** The terminal on which the bars are drawn: standard error. */
export interface Terminal extends NodeJS.WritableStream {
  /** Size in cells; 0 or absent if unknown. */
  readonly columns?: number
  readonly rows?: number
}

/** Payload of a bar: the rendered line. */
interface Slot {
  line: string
}

const clearBelow = '\u001b[J'

const frameMs = 100

/**
 * Reporter for terminals: shows a bar for each active download, finished downloads above the bars, and a
 * total below them if there is more than one file. Bars are slots that are refilled for every frame, so
 * hundreds of small files cost no more than the few that are visible.
 */
export class BarReporter extends HumanReporter {
  readonly #terminal: Terminal
  readonly #color: boolean
  readonly #bars: cliProgress.MultiBar
  readonly #slots: { bar: cliProgress.SingleBar; payload: Slot }[] = []
  readonly #timer: Timer
  #closed = false

  /**
   * @param color - whether to colour the marks.
   * @param verbose - see {@link HumanReporter}.
   */
  constructor(urls: number, terminal: Terminal, paths: Print | null, color: boolean, verbose = false) {
    super(urls, paths, systemClock, verbose)
    this.#terminal = terminal
    this.#color = color
    this.#bars = new cliProgress.MultiBar({
      stream: terminal,
      format: (_options, _params, payload: Slot) => payload.line,
      // Line wrapping stays on and the cursor stays visible, because a killed process could not restore them.
      // This class truncates the lines to the width itself.
      linewrap: true,
      hideCursor: false,
      clearOnComplete: true,
      // The text of a slot may move to another row.
      forceRedraw: true,
      // This class draws the frames; each of them postpones the timer of the package.
      fps: 1,
    })
    this.#timer = systemClock.interval(() => this.#draw(), frameMs).unref()
    // The first answer may take long, and people want to see at once that something happens.
    this.#draw()
  }

  protected line(text: string, kind: LineKind): void {
    // The bar itself shows that the download has started or is waiting.
    if (kind === 'start') return
    const mark = { done: this.#paint('✓ ', 32), error: this.#paint('✗ ', 31), more: '', note: '', sum: '' }[
      kind
    ]
    const line = `${mark}${text}\n`
    if (this.#closed) this.#terminal.write(line)
    // The bars below are redrawn afterwards.
    else this.#bars.log(clearBelow + line)
  }

  close(): void {
    if (this.#closed) return
    this.#timer.cancel()
    this.#fill([])
    this.#bars.update()
    this.#bars.stop()
    this.#closed = true
  }

  #paint(text: string, code: number): string {
    return this.#color ? `\u001b[${code}m${text}\u001b[0m` : text
  }

  #draw(): void {
    // A terminal that does not know its size has none.
    const columns = positive(this.#terminal.columns, 80)
    const rows = positive(this.#terminal.rows, 24)
    const active = this.activeLines()
    const shown = active.slice(0, Math.max(1, rows - 3))
    const lines = barLines(shown, columns)
    const sum = this.sumLine('  ')
    if (sum !== null) lines.push(fit(sum, columns - 1).trimEnd())
    else if (lines.length === 0 && !this.hasReported) lines.push(texts().preparing)
    this.#fill(lines)
    this.#bars.update()
  }

  /** Assigns the lines to the slots in order. Remaining slots become empty lines. */
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

/** A size, unless it is not known. */
function positive(cells: number | undefined, otherwise: number): number {
  return cells === undefined || cells === 0 ? otherwise : cells
}
