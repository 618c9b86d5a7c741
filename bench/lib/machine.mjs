/** Where the figures come from. Names the hardware and the versions, never the host. */
import { execFileSync, spawnSync } from 'node:child_process'
import { availableParallelism, cpus, release, totalmem } from 'node:os'

const GB = 1024 ** 3

/** @param {import('./tools.mjs').Tool[]} tools */
export function describeMachine(tools) {
  // A kernel's suffix may tell the provider or the host; the number is what matters.
  const kernel = /^[\d.]+/.exec(release())?.[0] ?? 'unknown'
  const versions = tools
    .filter(
      ({ id, special, missing }) =>
        id !== 'ours' && id !== 'pipeline-checked' && special !== true && missing() === null,
    )
    .map(({ id, version }) => `${versionName(id)} ${version()}`)
  return [
    `${String(availableParallelism())} cores (${(cpus()[0]?.model ?? 'unknown CPU').trim()})`,
    `${String(Math.round(totalmem() / GB))} GB memory`,
    `Linux ${kernel}`,
    `Node ${process.versions.node}`,
    `nginx ${nginxVersion()}`,
    ...versions,
  ].join(', ')
}

function versionName(id) {
  if (id === 'pipeline') return 'undici'
  if (id.startsWith('curl+')) return id.slice('curl+'.length)
  return id === 'aria2' ? 'aria2c' : id
}

function nginxVersion() {
  // nginx prints its version on stderr.
  const { stderr } = spawnSync('nginx', ['-v'], { encoding: 'utf8', timeout: 5_000 })
  return /\d+(\.\d+)+/.exec(stderr ?? '')?.[0] ?? 'unknown'
}

/** @returns {string[]} programs the benchmark itself can't do without */
export function missingPrerequisites() {
  const needs = [
    ['nginx', ['-v']],
    ['openssl', ['version']],
    ['curl', ['--version']],
    ['/usr/bin/time', ['--version']],
  ]
  return needs
    .filter(([file, args]) => {
      try {
        execFileSync(file, args, { stdio: 'ignore', timeout: 5_000 })
        return false
      } catch {
        return true
      }
    })
    .map(([file]) => file)
}
