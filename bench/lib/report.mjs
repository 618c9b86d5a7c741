/** Tables for the terminal and for the README. */
import { readFileSync, writeFileSync } from 'node:fs'

const MB = 1e6
const START = '<!-- results:start -->'
const END = '<!-- results:end -->'

/**
 * @param {import('./results.mjs').ScenarioResults} results
 * @returns {string[][]} head and rows
 */
function cells(results, numbers) {
  const head = ['tool', 'wall s', 'min–max', 'CPU s', 'peak MB', '× curl']
  const rows = results.ids().map((id) => {
    const label = results.label(id)
    const fault = results.fault(id)
    if (fault !== null) return [label, fault, '', '', '', '']
    const wall = results.spread(id, 'wall')
    const cpu = results.spread(id, 'cpu')
    const peak = results.spread(id, 'peak')
    const ratio = results.ratio(id, 'curl')
    return [
      label,
      wall.median.toFixed(2),
      `${wall.min.toFixed(2)}–${wall.max.toFixed(2)}`,
      cpu.median.toFixed(2),
      (peak.median / MB).toFixed(0),
      ratio === null ? numbers.none : ratio.toFixed(2),
    ]
  })
  return [head, ...rows]
}

export function terminalTable(results) {
  const table = cells(results, { none: '-' })
  const widths = columnWidths(table.filter((row) => row[2] !== ''))
  widths[0] = Math.max(...table.map((row) => row[0].length))
  const lines = table.map((row) =>
    row
      .map((cell, i) => pad(cell, widths[i], i))
      .join('  ')
      .trimEnd(),
  )
  return [`\n${results.scenario.title}`, '', ...lines].join('\n')
}

function markdownTable(results) {
  const table = cells(results, { none: '' })
  const widths = columnWidths(table)
  const rows = table.map((row) => `| ${row.map((cell, i) => pad(cell, widths[i], i)).join(' | ')} |`)
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  rows.splice(1, 0, `| ${rule.join(' | ')} |`)
  return [`### ${results.scenario.title}`, '', ...rows].join('\n')
}

/** The first column is text, the others are numbers. */
function pad(cell, width, column) {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}

function columnWidths(table) {
  return table[0].map((_, i) => Math.max(3, ...table.map((row) => row[i].length)))
}

export function targetText({ verdict, text }) {
  return `${verdict}  ${text}`
}

/**
 * Puts the result between the markers of the README.
 * @param {{ readme: string, machine: string, runs: number, quick: boolean,
 *   all: import('./results.mjs').ScenarioResults[], targets: import('./targets.mjs').Line[] }} report
 */
export function writeMarkdown({ readme, machine, runs, quick, all, targets, host }) {
  const old = readFileSync(readme, 'utf8')
  const from = old.indexOf(START)
  const to = old.indexOf(END)
  if (from === -1 || to < from) throw new Error(`${readme} lacks ${START} or ${END}`)
  const date = new Date().toISOString().slice(0, 10)
  const rounds = runs === 1 ? '1 run each' : `median of ${String(runs)} interleaved runs`
  const lead = `${date}: ${machine}; ${rounds}${quick ? '; short form (`--quick`)' : ''}.`
  const aims = targets.map(
    ({ verdict, text }) => `- ${verdict === '----' ? 'not measured' : verdict}: ${text}`,
  )
  const parts = [lead, ...all.map(markdownTable)]
  if (host !== null) parts.push(host)
  if (aims.length > 0) parts.push('### Aims', aims.join('\n'))
  writeFileSync(readme, `${old.slice(0, from)}${START}\n\n${parts.join('\n\n')}\n\n${old.slice(to)}`)
}
