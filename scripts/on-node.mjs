/**
 * Runs the tests on another version of Node: `node scripts/on-node.mjs 26 --project unit`, or `newest`. What follows the
 * version goes to Vitest. The versions are those of `test/runtimes/package.json`, which are installed when they are missing.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { installIn } from './install.mjs'

const root = path.resolve(import.meta.dirname, '..')
const runtimes = path.join(root, 'test/runtimes')
installIn(runtimes)

/** Folders of the programs by version, the oldest first. */
const installed = readdirSync(path.join(runtimes, 'node_modules'))
  .flatMap((name) => {
    const version = /^node(\d+)-/.exec(name)?.[1]
    return version === undefined
      ? []
      : [{ version, folder: path.join(runtimes, 'node_modules', name, 'bin') }]
  })
  .sort((a, b) => Number(a.version) - Number(b.version))

const [wanted = 'newest', ...flags] = process.argv.slice(2)
const found = wanted === 'newest' ? installed.at(-1) : installed.find(({ version }) => version === wanted)
if (found === undefined) {
  const versions = installed.map(({ version }) => version).join(', ') || 'none'
  console.error(`There is no Node ${wanted} in test/runtimes for this machine (there is: ${versions}).`)
  process.exit(1)
}
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs')
const run = spawnSync(path.join(found.folder, 'node'), [vitest, 'run', ...flags], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PATH: `${found.folder}${path.delimiter}${process.env.PATH ?? ''}` },
})
process.exitCode = run.status ?? 1
