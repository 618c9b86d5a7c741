/** Installs the packages of a folder when they are missing, or differ from its lock file. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return null
  }
}

/** Whether the installed packages match the lock file. Optional ones may be missing, as on other platforms. */
function isInstalled(folder) {
  const wanted = packagesOf(path.join(folder, 'package-lock.json'))
  const installed = packagesOf(path.join(folder, 'node_modules/.package-lock.json'))
  if (wanted === null) throw new Error(`${path.join(folder, 'package-lock.json')} is missing or broken.`)
  if (installed === null) return false
  return Object.entries(wanted).every(([where, entry]) => {
    if (where === '') return true
    const found = installed[where]
    if (found === undefined)
      return entry.optional === true || entry.devOptional === true || entry.peer === true
    return found.version === entry.version && found.integrity === entry.integrity
  })
}

/**
 * Installs; ends the process when that fails.
 *
 * @param {string} folder
 */
export function installIn(folder) {
  if (isInstalled(folder)) return
  console.error('Installing dependencies (npm ci) …')
  const run = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (run.status === 0) return
  console.error(`npm ci failed (${run.error?.message ?? run.status ?? run.signal}).`)
  process.exit(1)
}
