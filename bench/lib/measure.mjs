/** Runs one command to its end and measures its whole process tree. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { atExit } from './cleanup.mjs'

const TIME = '/usr/bin/time'
const STDERR_KEPT = 2000

/**
 * @typedef {{ file: string, args: string[], env?: Record<string, string> }} Command
 * @typedef {{ ok: true, wall: number, cpu: number, peak: number }} Measured seconds, seconds, bytes
 * @typedef {{ ok: false, why: string, timedOut: boolean }} Failed
 */

/** Settings of the caller's shell that would change how a tool behaves. */
function cleanEnvironment() {
  const env = { ...process.env }
  for (const name of Object.keys(env)) {
    if (/^(https?|all|no|ftp)_proxy$/i.test(name) || /^(NODE_|npm_)/.test(name)) delete env[name]
  }
  return env
}

/**
 * GNU time waits for the command and reports what the kernel counted: CPU summed over the command and the
 * children it waited for, peak memory as the largest resident set among them. It is a small process of its
 * own, so the memory of this one does not leak into the figure, which it would after a direct vfork.
 *
 * @param {Command} command
 * @param {{ scratch: string, timeoutMs: number }} options
 * @returns {Promise<Measured | Failed>}
 */
export async function measure(command, { scratch, timeoutMs }) {
  const report = join(scratch, 'time.txt')
  rmSync(report, { force: true })
  const args = ['-q', '-o', report, '-f', '%U %S %M', command.file, ...command.args]
  const start = performance.now()
  const child = spawn(TIME, args, {
    // A process group of its own, so that a timeout ends the whole tree.
    detached: true,
    env: { ...cleanEnvironment(), ...command.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const kill = () => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // The group is gone already.
    }
  }
  const forget = atExit(kill)
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    kill()
  }, timeoutMs)

  let stderr = ''
  child.stderr.setEncoding('utf8')
  child.stderr.on('data', (text) => {
    stderr = (stderr + text).slice(-STDERR_KEPT)
  })
  let wall = 0
  child.once('exit', () => {
    wall = (performance.now() - start) / 1000
  })
  const end = await new Promise((resolve) => {
    child.once('error', (error) => resolve({ error }))
    // Not `exit`: the last words on stderr may still be on their way.
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  clearTimeout(timer)
  forget()

  if (timedOut) return { ok: false, why: `killed after ${String(timeoutMs / 1000)} s`, timedOut }
  if (end.error !== undefined) return { ok: false, why: end.error.message, timedOut }
  if (end.code !== 0) {
    const how = end.signal === null ? `exit ${String(end.code)}` : end.signal
    return { ok: false, why: `${how}: ${lastLine(stderr)}`, timedOut }
  }
  const [user, system, peakKiB] = readFileSync(report, 'utf8')
    .trim()
    .split('\n')
    .at(-1)
    .split(' ')
    .map(Number)
  return { ok: true, wall, cpu: user + system, peak: peakKiB * 1024 }
}

function lastLine(text) {
  return text.trim().split('\n').at(-1) || 'no message'
}
