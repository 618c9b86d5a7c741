/**
 * Runs every gate except the tests, as many at a time as there are cores, and stops at the first one that fails.
 *
 * `node scripts/check.mjs lint docs` runs only those two.
 */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const bin = (name, file) => [process.execPath, path.join(root, 'node_modules', name, file)]
const script = (name) => [process.execPath, path.join(root, 'scripts', name)]

/** Name, description and command of each gate, in the order in which they begin. */
const gates = [
  ['format', 'Prettier', [...bin('prettier', 'bin/prettier.cjs'), '--check', '--log-level', 'warn', '.']],
  // The longest one, for which others wait.
  ['build', 'dist is built from these sources', [...script('build.mjs')]],
  ['types', 'TypeScript', [...bin('typescript', 'bin/tsc'), '-p', '.']],
  [
    'dom',
    'TypeScript, for the code that runs in browsers',
    [...bin('typescript', 'bin/tsc'), '-p', 'src/elements'],
  ],
  [
    'lint',
    'ESLint, with types and import boundaries',
    [...bin('eslint', 'bin/eslint.js'), '--max-warnings', '0', '.'],
  ],
  ['wasm', 'the decoder in WebAssembly is built from its source', [...script('wasm.mjs'), '--check']],
  ['unused', 'nothing unused, nothing unlisted (knip)', bin('knip', 'bin/knip.js')],
  ['names', 'no exported name means two things', script('names.mjs')],
  ['docs', 'every public member is documented', script('tsdoc.mjs')],
  ['exports', 'package.json and dist agree', script('exports.mjs')],
  ['snippets', 'the code blocks of the documents compile', script('snippets.mjs')],
  ['site', 'the documentation site builds, and no link in it is dead', [...script('docs.mjs'), 'build']],
  ['size', 'the client is small', bin('size-limit', 'bin.js')],
  ['publint', 'publint', [...bin('publint', 'src/cli.js'), '--strict', '--pack', 'npm']],
  [
    'attw',
    'are the types wrong?',
    [...bin('@arethetypeswrong/cli', 'dist/index.js'), '--pack', '.', '--profile', 'esm-only'],
  ],
  ['consumers', 'the packed package works where it is installed', script('consumers.mjs')],
  ['examples', 'every example runs', script('examples.mjs')],
]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !gates.some(([gate]) => gate === name))
if (unknown.length > 0) {
  console.error(`Unknown gate: ${unknown.join(', ')}. There are: ${gates.map(([gate]) => gate).join(', ')}.`)
  process.exit(2)
}

/** These look at `dist`. */
const needBuild = new Set(['exports', 'snippets', 'site', 'size', 'publint', 'attw', 'consumers', 'examples'])
/** They pack the package in its own folder, which would meet there. */
const pack = new Set(['publint', 'attw', 'consumers'])
/** The gates that have begun and not ended, with their processes. */
const running = new Map()
const waiting = wanted.length === 0 ? [...gates] : gates.filter(([name]) => wanted.includes(name))
const count = waiting.length

const seconds = (since) => ((performance.now() - since) / 1000).toFixed(1)
const begin = performance.now()

const isBuilding = () => running.has('build') || waiting.some(([name]) => name === 'build')
const mayBegin = ([name]) =>
  !(needBuild.has(name) && isBuilding()) &&
  !(pack.has(name) && [...running.keys()].some((one) => pack.has(one)))

function beginMore() {
  while (running.size < availableParallelism()) {
    const next = waiting.findIndex(mayBegin)
    if (next === -1) return
    for (const gate of waiting.splice(next, 1)) start(gate)
  }
}

/** Its output is shown when it has ended, so that that of several gates is not mixed. */
function start([name, what, [command, ...flags]]) {
  const since = performance.now()
  const child = spawn(command, flags, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  running.set(name, child)
  const output = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk))
  child.on('error', (error) => output.push(Buffer.from(`${error.message}\n`)))
  child.on('close', (code) => {
    running.delete(name)
    console.log(`\n── ${name} (${what})`)
    process.stdout.write(Buffer.concat(output))
    if (code !== 0) {
      console.error(`\n✗ gate failed: ${name} (${what}). To run it alone: node scripts/check.mjs ${name}`)
      for (const other of running.values()) other.kill()
      process.exit(1)
    }
    console.log(`✓ ${name} (${seconds(since)} s)`)
    if (running.size === 0 && waiting.length === 0)
      console.log(`\n✓ ${count} gates passed (${seconds(begin)} s)`)
    else beginMore()
  })
}

beginMore()
