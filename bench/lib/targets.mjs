/** The aims the project has set itself, each told as one line. They are reported, never enforced. */
import { sizeText } from './scenarios.mjs'

const MB = 1e6
const PEAK_BYTES = 160 * MB
/**
 * How much more memory the large file may take than the small one to count as "the same", in bytes. The small one is there
 * before all code is compiled and the heap has its size; that takes some seconds, whatever the size of the file.
 */
const SAME_MEMORY_BYTES = 20 * MB

/** @typedef {{ verdict: 'PASS' | 'MISS' | '----', text: string }} Line `----`: not measured this time */

/** Ours against another tool, by wall time. */
const RACES = [
  { id: 'tls', name: (s) => `TLS ${sizeText(s.size)} with SHA-256`, against: 'curl+sha256sum', atMost: 1 },
  { id: 'plain', name: (s) => `Plain HTTP ${sizeText(s.size)} with SHA-256`, against: 'curl', atMost: 1.5 },
  { id: 'throttled', name: () => '20 MB/s per connection, 16 connections', against: 'aria2', atMost: 1.25 },
  { id: 'small', name: () => '400 files of 64 KiB', against: 'aria2', atMost: 5 },
]

/**
 * @param {Map<string, import('./results.mjs').ScenarioResults>} all
 * @param {Set<string>} otherNodeTools
 * @returns {Line[]}
 */
export function judge(all, otherNodeTools) {
  const lines = []
  for (const race of RACES) {
    const results = all.get(race.id)
    if (results === undefined || !results.has('ours')) continue
    lines.push(judgeRace(race, results))
    const others = results.ids().filter((id) => otherNodeTools.has(id))
    if (others.length > 0) lines.push(judgeNodeTools(race, results, others))
  }
  const ours = [...all.values()].filter((results) => results.has('ours'))
  if (ours.length > 0) lines.push(judgePeak(ours))
  const small = all.get('memory-small')
  const large = all.get('memory-large')
  if (small?.has('ours') && large?.has('ours')) lines.push(judgeFlat(small, large))
  return lines
}

function judgeRace({ name, against, atMost }, results) {
  const what = name(results.scenario)
  const ratio = results.ratio('ours', against)
  if (ratio === null) return unknown(what, results, ['ours', against])
  const text =
    `${what}: ours ${time(results, 'ours')}, ${results.label(against)} ${time(results, against)}` +
    ` = ${ratio.toFixed(2)} × (aim: at most ${String(atMost)} ×)`
  return line(ratio <= atMost, text)
}

function judgeNodeTools({ name }, results, others) {
  const what = `${name(results.scenario)}, faster than every other Node tool`
  if (results.spread('ours', 'wall') === null) return unknown(what, results, ['ours'])
  const raced = others.map((id) => ({ id, ratio: results.ratio('ours', id) }))
  const finished = raced.filter(({ ratio }) => ratio !== null)
  if (finished.length === 0) return unknown(what, results, others)
  const told = raced.map(({ id, ratio }) =>
    ratio === null ? `${results.label(id)} failed` : `${results.label(id)} ${time(results, id)}`,
  )
  const text = `${what}: ours ${time(results, 'ours')}, ${told.join(', ')}`
  return line(
    finished.every(({ ratio }) => ratio < 1),
    text,
  )
}

function judgePeak(scenarios) {
  const what = 'Peak memory'
  const peaks = scenarios
    .map((results) => ({ results, peak: results.spread('ours', 'peak')?.max ?? null }))
    .filter(({ peak }) => peak !== null)
    .sort((a, b) => b.peak - a.peak)
  if (peaks.length === 0) return unknown(what, scenarios[0], ['ours'])
  const [{ results, peak }] = peaks
  const text = `${what}: ours at most ${megabytes(peak)} MB, in "${results.scenario.title}" (aim: at most 160 MB)`
  return line(peak <= PEAK_BYTES, text)
}

function judgeFlat(small, large) {
  const what = 'Memory does not grow with the file'
  const a = small.spread('ours', 'peak')?.median
  const b = large.spread('ours', 'peak')?.median
  if (a === undefined || b === undefined) return unknown(what, a === undefined ? small : large, ['ours'])
  const text =
    `${what}: ${megabytes(a)} MB for ${sizeText(small.scenario.size)}, ` +
    `${megabytes(b)} MB for ${sizeText(large.scenario.size)} (aim: at most ${megabytes(SAME_MEMORY_BYTES)} MB more)`
  return line(b <= a + SAME_MEMORY_BYTES, text)
}

function line(met, text) {
  return { verdict: met ? 'PASS' : 'MISS', text }
}

/** When ours failed the aim is missed; when only the other is absent, nothing can be said. */
function unknown(what, results, ids) {
  const told = ids.map(
    (id) => `${results.label(id)} ${results.has(id) ? (results.fault(id) ?? 'ran') : 'not run'}`,
  )
  const failed = results.fault('ours') !== null && ids.includes('ours')
  return { verdict: failed ? 'MISS' : '----', text: `${what}: ${told.join(', ')}` }
}

function time(results, id) {
  return `${results.spread(id, 'wall').median.toFixed(2)} s`
}

function megabytes(bytes) {
  return (bytes / MB).toFixed(0)
}
