/**
 * Runs the unit tests, and a smoke test of what the package does with processes and busy files, on Windows: with Node for
 * Windows under Wine, in a chroot that is kept in `.cache/windows`. Needs root on Linux, and the network for what is not
 * there yet. The tests themselves have no network but loopback.
 *
 *     npm run test:windows                                   everything
 *     npm run test:windows -- unit test/disk/unit/lock.test.ts   unit tests, or some of them
 *     npm run test:windows -- smoke                          the smoke test
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { buildIfStale } from './build.mjs'
import { checkComputer, download, driveC, makeMachine, Missing, runOnWindows } from './windows/machine.mjs'

const project = path.resolve(import.meta.dirname, '..')
const work = path.join(driveC, 'work')
const packages = path.join(work, 'node_modules')
/** The lock file that the packages in the machine were installed from; written last, so it vouches for them. */
const installed = path.join(work, 'node_modules', '.installed.json')

const parts = { unit: ['--project', 'unit'], smoke: ['--mode', 'windows'] }

const started = performance.now()
const say = (text) => console.log(`── ${text} (${Math.round((performance.now() - started) / 1000)} s)`)

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

/** The files of the project as they are now, committed or not, without what Git ignores. */
function files() {
  const { stdout, status } = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: project,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0) throw new Missing('The files of the project are listed by git, which failed.')
  return stdout.split('\0').filter((file) => file !== '' && existsSync(path.join(project, file)))
}

/** Brings the project into the machine: its files, what `dist` is built from them, and the packages for Windows. */
async function bringProject() {
  await buildIfStale({ types: false })
  const kept = path.join(driveC, 'node_modules')
  rmSync(kept, { recursive: true, force: true })
  if (existsSync(packages)) renameSync(packages, kept)
  rmSync(work, { recursive: true, force: true })
  for (const file of files()) {
    mkdirSync(path.dirname(path.join(work, file)), { recursive: true })
    cpSync(path.join(project, file), path.join(work, file))
  }
  cpSync(path.join(project, 'dist'), path.join(work, 'dist'), { recursive: true })
  mkdirSync(path.join(work, '.cache'))
  cpSync(path.join(project, '.cache/build.json'), path.join(work, '.cache/build.json'))
  if (existsSync(kept)) renameSync(kept, packages)

  const lock = read(path.join(work, 'package-lock.json'))
  if (lock !== null && read(installed) === lock) return
  say('installing the packages for Windows')
  // Scripts of packages would run here, on Linux, where they look for programs of Linux.
  const flags = ['--os=win32', '--cpu=x64', '--ignore-scripts', '--no-audit', '--no-fund']
  download('npm ci', 'npm', ['ci', ...flags], { cwd: work })
  cpSync(path.join(work, 'package-lock.json'), installed)
}

/** Runs some of the tests; the counts that they end with. */
async function test(part, args) {
  say(`${part} tests on Windows`)
  const workers = `--maxWorkers=${part === 'smoke' ? 1 : Math.min(4, availableParallelism())}`
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', ...parts[part], workers, ...args]
  const summary = path.join(work, '.cache/test-summary.json')
  rmSync(summary, { force: true })
  const code = await runOnWindows('work', vitest, 40 * 60_000)
  const counted = read(summary)
  const counts = counted === null ? { passed: 0, failed: 0, skipped: 0 } : JSON.parse(counted)
  // A run that broke without naming a test has failed, too. With another reporter nobody has counted.
  if (counts.failed === 0 && (code !== 0 || (counted !== null && counts.passed === 0))) counts.failed = 1
  return counts
}

const [only, ...args] = process.argv.slice(2)
if (only !== undefined && !Object.hasOwn(parts, only)) {
  console.error(`Unknown: ${only}. Usage: npm run test:windows [-- unit|smoke [arguments of vitest …]]`)
  process.exit(2)
}
try {
  checkComputer()
  makeMachine(say)
  await bringProject()
  const ended = []
  for (const part of only === undefined ? Object.keys(parts) : [only]) ended.push(await test(part, args))
  const sum = (kind) => ended.reduce((total, counts) => total + counts[kind], 0)
  say('done')
  console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
  if (sum('failed') > 0) process.exitCode = 1
} catch (error) {
  if (!(error instanceof Missing)) throw error
  console.error(error.message)
  process.exitCode = 1
}
