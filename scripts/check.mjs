/**
 * Runs every gate except the tests, cheap ones first, and stops at the first one that fails.
 *
 * `node scripts/check.mjs lint docs` runs only those two.
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const bin = (name, file) => [process.execPath, path.join(root, 'node_modules', name, file)]
const script = (name) => [process.execPath, path.join(root, 'scripts', name)]

/** Name, description and command of each gate. */
const gates = [
  ['format', 'Prettier', [...bin('prettier', 'bin/prettier.cjs'), '--check', '--log-level', 'warn', '.']],
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
  ['unused', 'nothing unused, nothing unlisted (knip)', bin('knip', 'bin/knip.js')],
  ['names', 'no exported name means two things', script('names.mjs')],
  ['docs', 'every public member is documented', script('tsdoc.mjs')],
  ['build', 'dist is built from these sources', [...script('build.mjs')]],
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

const seconds = (since) => ((performance.now() - since) / 1000).toFixed(1)
const begin = performance.now()
const chosen = wanted.length === 0 ? gates : gates.filter(([name]) => wanted.includes(name))
for (const [index, [name, what, [command, ...flags]]] of chosen.entries()) {
  console.log(`\n── gate ${index + 1}/${chosen.length}: ${name} (${what})`)
  const since = performance.now()
  const run = spawnSync(command, flags, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (run.status !== 0) {
    console.error(`\n✗ gate failed: ${name} (${what}). To run it alone: node scripts/check.mjs ${name}`)
    process.exit(1)
  }
  console.log(`✓ ${name} (${seconds(since)} s)`)
}
console.log(`\n✓ ${chosen.length} gates passed (${seconds(begin)} s)`)
