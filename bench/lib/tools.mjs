/** The tools that are compared: how each is called, and whether it is here. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const BENCH = dirname(dirname(fileURLToPath(import.meta.url)))
const CLI = join(dirname(BENCH), 'dist', 'cli.js')
const MODULES = join(BENCH, 'node_modules')
const FILES_AT_ONCE = '16'

/**
 * @typedef {{
 *   urls: string[], names: string[], dir: string, connections: number,
 *   sha256?: string, ca?: string, scratch: string,
 * }} Job `sha256` for a single file only; `ca` when the server speaks TLS
 * @typedef {{
 *   id: string, label: string, node: boolean, several: boolean,
 *   missing(): string | null, version(): string, command(job: Job): import('./measure.mjs').Command,
 * }} Tool `several`: can be asked for many files in one call
 */

/** @type {Tool[]} */
export const TOOLS = [
  {
    id: 'ours',
    label: 'model-downloader',
    node: true,
    several: true,
    missing: () => (existsSync(CLI) ? null : 'not built: npm run build'),
    version: () => JSON.parse(readFileSync(join(dirname(BENCH), 'package.json'), 'utf8')).version,
    command: ({ urls, dir, connections, sha256, ca }) => ({
      file: process.execPath,
      args: [
        ...[CLI, 'get', '-d', dir, '--quiet', '--connections', String(connections)],
        ...(urls.length > 1 ? ['--concurrency', FILES_AT_ONCE] : []),
        ...(sha256 === undefined ? [] : ['--sha256', sha256]),
        ...urls,
      ],
      env: nodeTrust(ca),
    }),
  },
  {
    id: 'curl',
    label: 'curl',
    node: false,
    several: true,
    missing: () => missingProgram('curl'),
    version: () => programVersion('curl'),
    command: (job) => ({ file: 'curl', args: job.urls.length > 1 ? curlList(job) : curlOne(job) }),
  },
  {
    id: 'curl+sha256sum',
    label: 'curl + sha256sum',
    node: false,
    several: false,
    missing: () => missingProgram('curl') ?? missingProgram('sha256sum'),
    version: () => programVersion('sha256sum'),
    command: (job) => ({
      file: 'sh',
      args: ['-c', 'curl "$@" && sha256sum "$0"', join(job.dir, job.names[0]), ...curlOne(job)],
    }),
  },
  {
    id: 'aria2',
    label: 'aria2c',
    node: false,
    several: true,
    missing: () => missingProgram('aria2c'),
    version: () => programVersion('aria2c'),
    command: (job) => ({ file: 'aria2c', args: aria2(job) }),
  },
  nodeTool('pipeline', 'undici + stream.pipeline', 'undici'),
  nodeTool('pipeline-checked', 'the same, checked', 'undici'),
  nodeTool('ipull', 'ipull', 'ipull'),
  nodeTool('node-downloader-helper', 'node-downloader-helper', 'node-downloader-helper'),
]

/** Brings the bench-only packages when they are not there yet. */
export function installPackages(tools) {
  if (!tools.some(({ missing }) => missing() === 'not installed')) return
  console.error('Installing the tools to compare with (npm ci in bench/) …')
  try {
    execFileSync('npm', ['ci'], { cwd: BENCH, stdio: ['ignore', 'ignore', 'inherit'], timeout: 120_000 })
  } catch {
    console.error('npm ci failed; going on without them.')
  }
}

/** @returns {Tool} */
function nodeTool(id, label, packageName) {
  const manifest = join(MODULES, packageName, 'package.json')
  return {
    id,
    label,
    node: true,
    several: true,
    missing: () => (existsSync(manifest) ? null : 'not installed'),
    version: () => JSON.parse(readFileSync(manifest, 'utf8')).version,
    command: ({ urls, dir, connections, ca }) => ({
      file: process.execPath,
      args: [join(BENCH, 'tools', `${id}.mjs`), '--dir', dir, '--connections', String(connections), ...urls],
      env: nodeTrust(ca),
    }),
  }
}

function nodeTrust(ca) {
  return ca === undefined ? {} : { NODE_EXTRA_CA_CERTS: ca }
}

/** `-q` first: no settings from the user's own ~/.curlrc. */
function curlBase(ca) {
  return ['-q', '-f', '-sS', ...(ca === undefined ? [] : ['--cacert', ca])]
}

function curlOne({ urls, names, dir, ca }) {
  return [...curlBase(ca), '-o', join(dir, names[0]), urls[0]]
}

function curlList({ urls, names, dir, ca, scratch }) {
  const list = join(scratch, 'curl.txt')
  const entries = urls.map((url, i) => `url = "${url}"\noutput = "${join(dir, names[i])}"\n`)
  writeFileSync(list, entries.join(''))
  return [...curlBase(ca), '-Z', '--parallel-max', FILES_AT_ONCE, '-K', list]
}

function aria2({ urls, names, dir, connections, ca, scratch }) {
  const base = [
    // Without preallocation: by default it would first fill the file with zeros.
    ...['--no-conf=true', '--quiet=true', '--file-allocation=none', '-d', dir],
    ...(ca === undefined ? [] : [`--ca-certificate=${ca}`]),
  ]
  if (urls.length === 1) {
    const n = String(connections)
    return [...base, '-x', n, '-s', n, '-k', '1M', '-o', names[0], urls[0]]
  }
  const list = join(scratch, 'aria2.txt')
  writeFileSync(list, urls.map((url, i) => `${url}\n  out=${names[i]}\n`).join(''))
  return [...base, '-j', FILES_AT_ONCE, '-i', list]
}

function versionOutput(name) {
  const options = { encoding: 'utf8', timeout: 5_000, stdio: ['ignore', 'pipe', 'ignore'] }
  return execFileSync(name, ['--version'], options)
}

function missingProgram(name) {
  try {
    versionOutput(name)
    return null
  } catch {
    return `${name} not found`
  }
}

function programVersion(name) {
  return /\d+(\.\d+)+/.exec(versionOutput(name))?.[0] ?? 'unknown'
}
