/** What the demos share: a folder and processes that end with them, and how they speak. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export const cli = path.resolve(import.meta.dirname, '../../dist/cli.js')

/** Whether somebody watches who can end the demo. */
export const stays = process.stdout.isTTY === true && process.stdin.isTTY === true

/** The processes that are killed when the demo ends, also after Ctrl-C. */
export const children = new Set()

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

/** Makes a folder that is deleted when the demo ends. */
export function temporaryFolder(prefix) {
  const folder = mkdtempSync(path.join(tmpdir(), prefix))
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

export function say(text = '') {
  console.log(text)
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

export function check(good, message) {
  if (good) return
  console.error(`The demo found a problem: ${message}`)
  process.exit(1)
}
