/** Tables for a terminal. Pure. */
import { displayWidth, fit } from '../format.js'

/** A column of a table. */
export interface Column {
  title: string
  /** Numbers are aligned to the right. Default: left. */
  align?: 'left' | 'right'
  /** Whether the column gives way where the terminal is too narrow. Default false. */
  shrinks?: boolean
}

const gap = '  '

/** Cells that a column keeps in a narrow terminal. */
const minWidth = 12

/**
 * Formats rows below a line of titles, each column as wide as its longest cell.
 *
 * @param rows - one text per column.
 * @param width - cells per line; null for as many as needed, as in a pipe.
 * @returns lines, each ended by a line feed and without spaces at its end.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | null,
): string {
  const all = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, index) => widest(all, index))
  const widthOf = (index: number) => widths[index] ?? 0
  let excess =
    width === null ? 0 : widths.reduce((sum, each) => sum + each, (columns.length - 1) * gap.length) - width
  // The widest one gives way first, so that short ones stay readable.
  const flexible = columns
    .map(({ shrinks = false }, index) => ({ shrinks, index }))
    .filter(({ shrinks }) => shrinks)
    .sort((a, b) => widthOf(b.index) - widthOf(a.index))
  for (const { index } of flexible) {
    const least = Math.min(widthOf(index), minWidth)
    const taken = Math.max(0, Math.min(excess, widthOf(index) - least))
    widths[index] = widthOf(index) - taken
    excess -= taken
  }
  return all
    .map((row) => {
      const cells = columns.map(({ align = 'left' }, index) => cell(row[index] ?? '', widthOf(index), align))
      return `${cells.join(gap).trimEnd()}\n`
    })
    .join('')
}

function widest(rows: readonly (readonly string[])[], index: number): number {
  return rows.reduce((width, row) => Math.max(width, displayWidth(row[index] ?? '')), 0)
}

function cell(text: string, width: number, align: 'left' | 'right'): string {
  const missing = width - displayWidth(text)
  return align === 'right' && missing > 0 ? ' '.repeat(missing) + text : fit(text, width)
}

/** A date and time in the local time zone, to the minute: `2026-02-15 02:00`. */
export function formatTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** `12.3 %` of a whole; null if that is unknown or 0. */
export function percentText(part: number, whole: number | null): string | null {
  return whole === null || whole === 0 ? null : `${((part / whole) * 100).toFixed(1)} %`
}
