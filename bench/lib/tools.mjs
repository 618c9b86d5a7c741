/** The tools that are compared: how each is called, and whether it is here. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const BENCH = dirname(dirname(fileURLToPath(import.meta.url)))
const CLI = join(dirname(BENCH), 'dist', 'cli.js')
const LIBRARY = pathToFileURL(join(dirname(BENCH), 'dist', 'index.js'))
const MODULES = join(BENCH, 'node_modules')
const FILES_AT_ONCE = '16'
const notInstalled = 'not installed (npm ci in bench/)'
/** The package of Debian that has a program. */
const PACKAGES = { curl: 'curl', sha256sum: 'coreutils', openssl: 'openssl', aria2c: 'aria2' }

/**
 * @typedef {{
 *   urls: string[], names: string[], dir: string, connections: number,
 *   size: number, sha256?: string, ca?: string, scratch: string,
 * }} Job `sha256` for a single file only, `size` that of one file; `ca` when the server speaks TLS
 * @typedef {{
 *   id: string, label: string, node: boolean, several: boolean,
 *   missing(): string | null, version(): string, command(job: Job): import('./measure.mjs').Command,
 *   special?: boolean, fetches?: boolean,
 * }} Tool `several`: can be asked for many files in one call; `special`: takes part only where a scenario names it, and is no
 * rival; `fetches`: whether it leaves the files behind, default true
 */

/** @type {Tool[]} */
export const TOOLS = [
  {
    id: 'ours',
    label: 'model-downloader',
    node: true,
    several: true,
    missing: missingBuild,
    version: ourVersion,
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
    id: 'curl+openssl',
    label: 'curl | tee | openssl dgst',
    node: false,
    several: false,
    missing: () => missingProgram('curl') ?? missingProgram('openssl', 'version'),
    version: () => programVersion('openssl', 'version'),
    command: (job) => ({
      file: 'bash',
      args: [
        ...[
          '-c',
          'set -o pipefail; curl "$@" | tee "$0" | openssl dgst -sha256',
          join(job.dir, job.names[0]),
        ],
        ...[...curlBase(job.ca), job.urls[0]],
      ],
    }),
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
  {
    ...{ id: 'curl-50', label: 'curl -Z --parallel-max 50', node: false, several: true, special: true },
    missing: () => missingProgram('curl'),
    version: () => programVersion('curl'),
    command: (job) => ({ file: 'curl', args: curlList(job, '50') }),
  },
  {
    ...{ id: 'ours-default', label: 'model-downloader, default', node: true, several: true, special: true },
    missing: missingBuild,
    version: ourVersion,
    command: ({ urls, dir, sha256, ca }) => ({
      file: process.execPath,
      args: [
        CLI,
        'get',
        '-d',
        dir,
        '--quiet',
        ...(sha256 === undefined ? [] : ['--sha256', sha256]),
        ...urls,
      ],
      env: nodeTrust(ca),
    }),
  },
  ...[8, 16, 32].map((connections) => ({
    ...{
      id: `ours-${String(connections)}`,
      label: `model-downloader, ${String(connections)} from the start`,
    },
    ...{ node: true, several: false, special: true, missing: missingBuild, version: ourVersion },
    command: ({ urls, dir, sha256, ca }) => ({
      file: process.execPath,
      args: [
        ...[join(BENCH, 'tools', 'fixed.mjs'), '--dir', dir, '--connections', String(connections)],
        ...[...(sha256 === undefined ? [] : ['--sha256', sha256]), ...urls],
      ],
      env: nodeTrust(ca),
    }),
  })),
  {
    ...{ id: 'raw', label: 'sockets of Node, no checks', node: true, several: false, special: true },
    missing: () => null,
    version: () => process.versions.node,
    command: ({ urls, dir, connections, size, ca }) => ({
      file: process.execPath,
      args: [
        ...[join(BENCH, 'tools', 'raw.mjs'), '--dir', dir, '--connections', String(connections)],
        ...['--size', String(size), urls[0]],
      ],
      env: nodeTrust(ca),
    }),
  },
  bareNode('node', 'node -e 0', '0'),
  bareNode('import', "import('model-downloader')", `import(${JSON.stringify(String(LIBRARY))})`),
  nodeTool('pipeline', 'undici + stream.pipeline', 'undici'),
  nodeTool('pipeline-checked', 'the same, checked', 'undici'),
  nodeTool('ipull', 'ipull', 'ipull'),
  nodeTool('node-downloader-helper', 'node-downloader-helper', 'node-downloader-helper'),
]

function missingBuild() {
  return existsSync(CLI) ? null : 'not built: npm run build'
}

function ourVersion() {
  return JSON.parse(readFileSync(join(dirname(BENCH), 'package.json'), 'utf8')).version
}

/** @returns {Tool} what Node itself takes, for comparison */
function bareNode(id, label, script) {
  return {
    ...{ id, label, node: true, several: false, special: true, fetches: false },
    missing: () => null,
    version: () => process.versions.node,
    command: () => ({ file: process.execPath, args: ['-e', script] }),
  }
}

/** Brings the bench-only packages when they are not there yet. */
export function installPackages(tools) {
  if (!tools.some(({ missing }) => missing() === notInstalled)) return
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
    missing: () => (existsSync(manifest) ? null : notInstalled),
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

function curlList({ urls, names, dir, ca, scratch }, atOnce = FILES_AT_ONCE) {
  const list = join(scratch, 'curl.txt')
  const entries = urls.map((url, i) => `url = "${url}"\noutput = "${join(dir, names[i])}"\n`)
  writeFileSync(list, entries.join(''))
  return [...curlBase(ca), '-Z', '--parallel-max', atOnce, '-K', list]
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

function versionOutput(name, flag) {
  const options = { encoding: 'utf8', timeout: 5_000, stdio: ['ignore', 'pipe', 'ignore'] }
  return execFileSync(name, [flag], options)
}

function missingProgram(name, flag = '--version') {
  try {
    versionOutput(name, flag)
    return null
  } catch {
    return `${name} not found (apt-get install ${PACKAGES[name]})`
  }
}

function programVersion(name, flag = '--version') {
  return /\d+(\.\d+)+/.exec(versionOutput(name, flag))?.[0] ?? 'unknown'
}
