/** What is measured: which server, how much, which tools. */

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

/**
 * @typedef {{
 *   id: string, group: string, title: string, server: 'tls' | 'plain' | 'throttled',
 *   size: number, count: number, connections: number, onlyOurs?: boolean,
 * }} Scenario `size` in bytes per file, `count` files in one call
 */

export const GROUPS = ['tls', 'plain', 'throttled', 'small', 'memory', 'host']

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
  ]
}

export function sizeText(bytes) {
  if (bytes >= GiB) return `${String(bytes / GiB)} GiB`
  if (bytes >= MiB) return `${String(bytes / MiB)} MiB`
  return `${String(bytes / KiB)} KiB`
}
