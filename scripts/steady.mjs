/**
 * Runs all tests again and again: on a machine that is quiet, beside busy neighbours, and on one core. Tests that decide by
 * the clock on the wall, or by who comes first, fail here sooner than elsewhere.
 *
 *     npm run test:steady -- --quiet 10 --busy 3 --one-core 2 --loops 4 -- test/faults
 *
 * What comes after a further `--` goes to vitest: files, `-t`, and so on. Ends with a table; 0 when nothing ever failed.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const root = path.resolve(import.meta.dirname, '..')
const { values, positionals } = parseArgs({
  options: {
    quiet: { type: 'string', default: '10' },
    busy: { type: 'string', default: '3' },
    'one-core': { type: 'string', default: '2' },
    loops: { type: 'string', default: '4' },
  },
  allowPositionals: true,
})
const counts = Object.fromEntries(
  Object.entries(values).map(([name, text]) => {
    const count = Number(text)
    if (!Number.isInteger(count) || count < 0)
      throw new Error(`--${name} takes a whole number, not "${text}".`)
    return [name, count]
  }),
)

/** @typedef {{ where: string, code: number | null, seconds: number, passed: number, failed: string[], skipped: number }} Run */

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()
// Whoever stops this stops what it started, too.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => {
    for (const child of children) child.kill(signal)
    process.exit(1)
  })
}

/** Starts a program. */
function start(
  /** @type {string} */ command,
  /** @type {string[]} */ args,
  /** @type {import('node:child_process').StdioOptions} */ stdio,
) {
  const child = spawn(command, args, { cwd: root, stdio })
  children.add(child)
  child.once('close', () => children.delete(child))
  return child
}

/** Loops that each keep a core busy; call what it returns to end them. */
function busyLoops(/** @type {number} */ count) {
  const loops = Array.from({ length: count }, () => start(process.execPath, ['-e', 'for (;;);'], 'ignore'))
  return () => {
    for (const loop of loops) loop.kill('SIGKILL')
  }
}

/** Runs the tests once. */
async function runOnce(/** @type {string} */ where, /** @type {string[]} */ wrapper) {
  const folder = mkdtempSync(path.join(tmpdir(), 'model-downloader-steady-'))
  const report = path.join(folder, 'report.json')
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs')
  const [command, ...args] = [
    ...wrapper,
    process.execPath,
    vitest,
    'run',
    '--reporter=json',
    `--outputFile=${report}`,
    ...positionals,
  ]
  const began = performance.now()
  const child = spawn(command ?? process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  /** @type {number | null} */
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  /** @type {Run} */
  const run = {
    ...{ where, code, passed: 0, failed: [], skipped: 0 },
    seconds: Math.round((performance.now() - began) / 1000),
  }
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
    for (const { name, status, assertionResults } of testResults) {
      const file = path.relative(root, name)
      const failed = assertionResults.filter(
        (/** @type {{ status: string }} */ { status }) => status === 'failed',
      )
      run.passed += assertionResults.filter(
        (/** @type {{ status: string }} */ { status }) => status === 'passed',
      ).length
      run.failed.push(
        ...failed.map((/** @type {{ fullName: string }} */ { fullName }) => `${file}: ${fullName}`),
      )
      if (status === 'failed' && failed.length === 0) run.failed.push(`${file}: the file itself`)
      run.skipped += assertionResults.length
    }
    run.skipped -= run.passed + run.failed.length
  } catch (error) {
    run.failed.push(`no report: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  // What breaks beside every test, such as an error that nobody caught, ends a run with a code alone.
  if (code !== 0 && run.failed.length === 0) run.failed.push(`ended with ${code}`)
  console.log(`${where}: ${run.seconds} s, ${run.passed} passed, ${run.failed.length} failed`)
  return run
}

/** @type {Run[]} */
const runs = []
for (let n = 1; n <= counts['quiet']; n += 1) runs.push(await runOnce('quiet', []))
for (let n = 1; n <= counts['busy']; n += 1) {
  const stop = busyLoops(counts['loops'])
  try {
    runs.push(await runOnce(`beside ${counts['loops']} loops`, []))
  } finally {
    stop()
  }
}
for (let n = 1; n <= counts['one-core']; n += 1)
  runs.push(await runOnce('on one core', ['taskset', '-c', '0']))

console.log()
console.table(
  runs.map(({ where, seconds, passed, failed, skipped }) => ({
    where,
    seconds,
    passed,
    failed: failed.length,
    skipped,
  })),
)
/** @type {Map<string, string[]>} */
const failures = new Map()
for (const { where, failed } of runs)
  for (const test of failed) failures.set(test, [...(failures.get(test) ?? []), where])
for (const [test, places] of failures)
  console.log(`failed ${places.length} times (${places.join(', ')}): ${test}`)
console.log(`${runs.length} runs, ${failures.size} tests that failed at least once`)
process.exitCode = failures.size === 0 ? 0 : 1
