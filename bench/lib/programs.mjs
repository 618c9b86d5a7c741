/** The measurements that are no race between tools: programs of their own, which also run alone. */
import { fileURLToPath } from 'node:url'

const fileOf = (name) => fileURLToPath(new URL(`../${name}.mjs`, import.meta.url))

/** @type {{ group: string, file: string, args(options: { quick: boolean, runs: number }): string[] }[]} */
export const PROGRAMS = [
  {
    group: 'host',
    file: fileOf('host'),
    args: ({ quick, runs }) =>
      quick ? ['--size', '64', '--known', '10000', '--runs', '1'] : ['--runs', String(runs)],
  },
  { group: 'resume', file: fileOf('resume'), args: ({ quick }) => (quick ? ['--size', '10'] : []) },
  { group: 'cores', file: fileOf('cores'), args: ({ quick }) => (quick ? ['--size', '256'] : []) },
]
