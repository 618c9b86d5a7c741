/** Starts a server of the benchmark in a process of its own. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { atExit } from './cleanup.mjs'

/**
 * Resolves to what the server prints first, a line of JSON.
 *
 * @param {string} file the program
 * @param {readonly string[]} args
 */
export async function startChild(file, args) {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  atExit(() => child.kill())
  const timer = setTimeout(() => child.kill(), 60_000)
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(timer)
    // It ends with the benchmark, which does not wait for it.
    child.unref()
    child.stdout.unref()
    return JSON.parse(line)
  }
  throw new Error(`${file} did not start.`)
}
