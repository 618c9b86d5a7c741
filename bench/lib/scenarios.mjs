/** What is measured: which server, how much, which tools. */

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

/**
 * @typedef {{
 *   id: string, group: string, title: string, server: 'tls' | 'plain' | 'throttled',
 *   size: number, count: number, connections: number, onlyOurs?: boolean,
 *   link?: import('./links.mjs').Link, tools?: string[],
 * }} Scenario `size` in bytes per file, `count` files in one call; `link`: the way to the server, by default none; `tools`:
 * those that take part, by default the ones that compare everything
 */

/** What can be asked for; the last three are no races between tools, and have programs of their own. */
export const GROUPS = [
  ...['tls', 'plain', 'throttled', 'small', 'memory', 'rtt', 'limited', 'start'],
  ...['host', 'resume', 'cores'],
]

/** What takes part where the way to the server decides, and not the speed of the program. */
const LINK_TOOLS = ['ours-default', 'ours-8', 'ours-16', 'ours-32', 'curl', 'aria2', 'raw']
const MANY_TOOLS = ['ours-default', 'curl-50', 'aria2']

/** @returns {Scenario[]} */
export function scenarios({ quick }) {
  const large = quick ? 256 * MiB : 2 * GiB
  const huge = quick ? GiB : 4 * GiB
  const one = { count: 1, connections: 8 }
  const memory = (id, size) => ({
    ...{ ...one, id, group: 'memory', server: 'plain', size, onlyOurs: true },
    title: `Memory, plain HTTP, ${sizeText(size)}`,
  })
  return [
    { ...one, id: 'tls', group: 'tls', server: 'tls', size: large, title: `TLS, ${sizeText(large)}` },
    {
      ...one,
      id: 'plain',
      group: 'plain',
      server: 'plain',
      size: large,
      title: `Plain HTTP, ${sizeText(large)}`,
    },
    {
      ...{ id: 'throttled', group: 'throttled', server: 'throttled', size: 256 * MiB, count: 1 },
      connections: 16,
      title: '256 MiB at 20 MB/s per connection, 16 connections',
    },
    {
      ...{ id: 'small', group: 'small', server: 'plain', size: 64 * KiB, count: 400 },
      connections: 8,
      title: '400 files of 64 KiB in one call, 16 at a time',
    },
    memory('memory-small', 256 * MiB),
    memory('memory-large', huge),
    ...far(quick ? 64 * MiB : 256 * MiB, quick ? 100 : 400),
    {
      ...{ id: 'start', group: 'start', server: 'plain', size: 64 * KiB, count: 1, connections: 1 },
      tools: ['node', 'import', 'ours-default', 'curl', 'aria2'],
      title: `The start: one file of ${sizeText(64 * KiB)}`,
    },
  ]
}

/** @returns {Scenario[]} what is fetched over long ways, and from servers that limit each connection */
function far(size, count) {
  const one = { server: 'plain', size, count: 1, connections: 16, tools: LINK_TOOLS }
  const many = { group: 'rtt', server: 'plain', size: 64 * KiB, count, connections: 8, tools: MANY_TOOLS }
  const limited = (rttMs) => ({
    ...{ ...one, id: `limited-${String(rttMs)}`, group: 'limited' },
    link: { rttMs, bytesPerSecond: 5 * MiB },
    title: `${sizeText(size)}, 5 MiB/s per connection, round trip ${String(rttMs)} ms`,
  })
  const small = (rttMs) => ({
    ...{ ...many, id: `rtt-small-${String(rttMs)}`, link: { rttMs } },
    title: `${String(count)} files of ${sizeText(64 * KiB)} in one call, round trip ${String(rttMs)} ms`,
  })
  return [
    {
      ...{ ...one, id: 'rtt-large', group: 'rtt', link: { rttMs: 30 } },
      title: `${sizeText(size)}, round trip 30 ms, no limit`,
    },
    small(30),
    small(200),
    limited(30),
    limited(100),
  ]
}

export function sizeText(bytes) {
  if (bytes >= GiB) return `${String(bytes / GiB)} GiB`
  if (bytes >= MiB) return `${String(bytes / MiB)} MiB`
  return `${String(bytes / KiB)} KiB`
}
