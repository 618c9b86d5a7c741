/**
 * Makes the first command in a fresh clone work: installs dependencies when they are missing or differ from the lock
 * file, and with `--build` brings `dist` up to date. Prints nothing when there is nothing to do.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages
  } catch {
    return null
  }
}

/** Whether the installed packages match the lock file. Optional ones may be missing, as on other platforms. */
function isInstalled() {
  const wanted = packagesOf('package-lock.json')
  const installed = packagesOf('node_modules/.package-lock.json')
  if (wanted === null) throw new Error('package-lock.json is missing or broken.')
  if (installed === null) return false
  return Object.entries(wanted).every(([where, entry]) => {
    if (where === '') return true
    const found = installed[where]
    if (found === undefined)
      return entry.optional === true || entry.devOptional === true || entry.peer === true
    return found.version === entry.version && found.integrity === entry.integrity
  })
}

if (!isInstalled()) {
  console.error('Installing dependencies (npm ci) …')
  const shell = process.platform === 'win32'
  const run = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell,
  })
  if (run.status !== 0) {
    console.error(`npm ci failed (${run.error?.message ?? run.status ?? run.signal}).`)
    process.exit(1)
  }
}

if (process.argv.includes('--build')) {
  const { buildIfStale } = await import('./build.mjs')
  await buildIfStale()
}
