/**
 * Loaded with `--import` before a program: makes its calls of `node:fs` fail as other systems and disks do. What fails is
 * said by the variable FAULTY_FS, the JSON of `FaultyFs` of `faulty-fs.ts`. Every thread counts by itself.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { constants } from 'node:os'

const require = createRequire(import.meta.url)
const fs = require('node:fs')
const timers = require('node:timers/promises')
const {
  faults = [],
  platform,
  otherDevice = false,
  keepsReadOnly = false,
  speed = 1,
} = JSON.parse(process.env.FAULTY_FS ?? '{}')

if (platform !== undefined) Object.defineProperty(process, 'platform', { value: platform })

const real = { ...fs, promises: { ...fs.promises } }
const left = faults.map(({ times }) => times ?? Infinity)

function pathOf(target) {
  if (typeof target !== 'number') return String(target)
  try {
    return real.readlinkSync(`/proc/self/fd/${target}`)
  } catch {
    return ''
  }
}

function failure(code, call, path) {
  const errno = -(constants.errno[code] ?? 1)
  return Object.assign(new Error(`${code}: made to fail, ${call} '${path}'`), {
    code,
    errno,
    syscall: call,
    path,
  })
}

/** The failure of a call, or null. A rename is of the file that it replaces. */
function failureOf(call, args) {
  const path = pathOf(
    call === 'rename' || call === 'link' || call === 'symlink' || call === 'copyFile' ? args[1] : args[0],
  )
  for (const [index, { calls, path: pattern, code }] of faults.entries()) {
    if (left[index] <= 0 || !calls.includes(call) || !new RegExp(pattern ?? '').test(path)) continue
    left[index] -= 1
    return failure(code, call, path)
  }
  if (!keepsReadOnly || call !== 'rename') return null
  const stats = real.lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && (stats.mode & 0o200) === 0 ? failure('EPERM', call, path) : null
}

const names = [
  ...['open', 'rename', 'unlink', 'link', 'symlink', 'copyFile', 'utimes', 'chmod'],
  ...['fchmod', 'fsync', 'fdatasync', 'ftruncate', 'lstat'],
]
for (const name of names) {
  fs[name] = (...args) => {
    const error = failureOf(name, args)
    if (error === null) return real[name](...args)
    process.nextTick(args.at(-1), error)
  }
  fs[`${name}Sync`] = (...args) => {
    const error = failureOf(name, args)
    if (error !== null) throw error
    return real[`${name}Sync`](...args)
  }
  if (real.promises[name] === undefined) continue
  fs.promises[name] = async (...args) => {
    const error = failureOf(name, args)
    if (error !== null) throw error
    return real.promises[name](...args)
  }
}

if (otherDevice) {
  const moved = (stats) =>
    Object.assign(stats, { dev: typeof stats.dev === 'bigint' ? stats.dev + 1n : stats.dev + 1 })
  fs.fstatSync = (...args) => moved(real.fstatSync(...args))
  fs.fstat = (...args) => {
    const done = args.pop()
    real.fstat(...args, (error, stats) => done(error, error === null ? moved(stats) : stats))
  }
}

if (speed !== 1) {
  const now = performance.now.bind(performance)
  performance.now = () => now() * speed
  const { setTimeout: sleep } = timers
  timers.setTimeout = (ms, ...rest) => sleep(ms / speed, ...rest)
}

syncBuiltinESMExports()
