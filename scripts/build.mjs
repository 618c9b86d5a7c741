/**
 * Builds `dist` from the sources.
 *
 * The build is written to a new folder that replaces `dist` when it is complete, so a process that runs `dist` never
 * sees a partial build. A stamp in `.cache` records the inputs that `dist` was built from.
 *
 * Without flags it always builds; with `--if-stale` only when the inputs have changed. `--no-types` skips declarations.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { makeDashboard } from './dashboard.mjs'

const root = path.resolve(import.meta.dirname, '..')
const dist = path.join(root, 'dist')
const stampFile = path.join(root, '.cache', 'build.json')
const lockFile = path.join(root, '.cache', 'build.lock')

/** Maximum wait for another build, in milliseconds. */
const lockTimeoutMs = 120_000

/** A digest of everything that a build depends on. */
function inputs() {
  const hash = createHash('sha256')
  const files = ['adapters', 'src']
    .flatMap((folder) => readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .sort()
  for (const file of [
    ...files,
    'package-lock.json',
    'package.json',
    'tsconfig.json',
    'tsup.config.ts',
    'scripts/adapters.mjs',
    'scripts/dashboard.mjs',
    'scripts/no-dom.mjs',
    'scripts/templates.mjs',
    'scripts/undici-agents.cjs',
    'scripts/not-built-in.cjs',
  ]) {
    hash.update(`${file}\0`)
    hash.update(readFileSync(path.join(root, file)))
  }
  return hash.digest('hex')
}

function isFresh(types) {
  try {
    const stamp = JSON.parse(readFileSync(stampFile, 'utf8'))
    return existsSync(path.join(dist, 'index.js')) && stamp.inputs === inputs() && (stamp.types || !types)
  } catch {
    return false
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

async function withLock(work) {
  mkdirSync(path.dirname(lockFile), { recursive: true })
  const deadline = performance.now() + lockTimeoutMs
  for (;;) {
    try {
      writeFileSync(lockFile, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    let owner
    try {
      owner = Number(readFileSync(lockFile, 'utf8'))
    } catch {
      continue
    }
    // An empty file belongs to an owner that has yet to write its process id.
    if (owner > 0 && !isAlive(owner)) rmSync(lockFile, { force: true })
    else if (performance.now() > deadline) throw new Error(`Another build has held ${lockFile} for too long.`)
    else await delay(100)
  }
  try {
    return await work()
  } finally {
    rmSync(lockFile, { force: true })
  }
}

async function build(types) {
  const made = inputs()
  const fresh = path.join(root, `.dist-${process.pid}`)
  const old = `${fresh}-old`
  try {
    const tsup = path.join(root, 'node_modules', 'tsup', 'dist', 'cli-default.js')
    const flags = ['--silent', '--out-dir', path.basename(fresh), ...(types ? [] : ['--no-dts'])]
    const run = spawnSync(process.execPath, [tsup, ...flags], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    if (run.status !== 0) throw new Error(`The build failed (tsup ended with ${run.status ?? run.signal}).`)
    await makeDashboard(fresh)
    rmSync(stampFile, { force: true })
    if (existsSync(dist)) renameSync(dist, old)
    renameSync(fresh, dist)
    writeFileSync(stampFile, JSON.stringify({ inputs: made, types }))
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
}

/**
 * Builds when `dist` is missing or was built from other inputs.
 *
 * @param {{ types?: boolean }} [options] `types: false` skips the declarations, which are slow to build.
 */
export async function buildIfStale({ types = true } = {}) {
  if (isFresh(types)) return
  await withLock(async () => {
    if (!isFresh(types)) await build(types)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const types = !process.argv.includes('--no-types')
  try {
    if (process.argv.includes('--if-stale')) await buildIfStale({ types })
    else await withLock(() => build(types))
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
