/** Lays the sections of a list out in lines, as the virtual list counts them. Pure. */
import type { WireDownload } from '../../client/index.js'
import { type SectionName, sectionNames, type Sections } from './order.js'

/** A line of the list: the heading of a section, or one of its rows. */
export interface Line {
  /** What identifies the line while others come and go: the URL, or the name of the section. */
  readonly key: string
  readonly section: SectionName
  /** Null for a heading. */
  readonly download: WireDownload | null
  /** Position in the section, from 1; 0 for a heading. */
  readonly position: number
}

/** All lines, from top to bottom. Empty sections have none. */
export function linesOf(sections: Sections): readonly Line[] {
  const lines: Line[] = []
  for (const section of sectionNames) {
    const downloads = sections[section]
    if (downloads.length === 0) continue
    lines.push({ key: section, section, download: null, position: 0 })
    for (const [index, download] of downloads.entries())
      lines.push({ key: download.url, section, download, position: index + 1 })
  }
  return lines
}

/** Whether two lists have the same lines in the same order, whatever these show. */
export function haveSameKeys(a: readonly Line[], b: readonly Line[]): boolean {
  return a.length === b.length && a.every(({ key }, index) => key === b[index]?.key)
}

/** The line of the next row in a direction; null at the end. */
export function nextRow(lines: readonly Line[], from: number, step: 1 | -1): number | null {
  for (let index = from + step; index >= 0 && index < lines.length; index += step)
    if (lines[index]?.download !== null) return index
  return null
}
