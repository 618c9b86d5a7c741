/** Runs the command in the process of the test, which takes a tenth of what a process of its own does. */
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable, Writable } from 'node:stream'
import { runCommand } from '../../src/cli/process/main.js'
import type { CommandOutput } from '../../src/cli/process/surroundings.js'

/** Keeps what the command remembers out of the home of whoever runs the tests. */
const cache = mkdtempSync(path.join(tmpdir(), 'cli-cache-'))
process.on('exit', () => {
  rmSync(cache, { recursive: true, force: true })
})

/** Where a command remembers; a test with a home of its own has its caches there. */
export function remembering(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  return env['HOME'] === undefined ? { XDG_CACHE_HOME: cache } : {}
}

/** What a run has around it, besides what a process in which nothing is set would have. */
export interface Around {
  /** Working folder. It and the variables are those of the whole process until the run has ended. Default: unchanged. */
  cwd?: string | undefined
  env?: Readonly<Record<string, string>> | undefined
  /** What it reads from standard input. Default: nothing. */
  input?: Buffer | undefined
}

/** How a run in this process ended. */
export interface EndedHere {
  code: number
  stdout: string
  stderr: string
}

/** What stops a run that shares its process. */
export type HereSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** A run in this process. */
export interface RunHere {
  /** What has been printed so far. */
  readonly stdout: string
  readonly stderr: string
  readonly ended: Promise<EndedHere>
  /** Tells the command about a signal. A second one, which ends a process at once, must have one of its own. */
  signal: (name: HereSignal) => void
}

/** Not set for a run: what the tests themselves, or whoever starts them, have set. */
const notInherited =
  /^(?:(?:https?|all|no)_proxy|no_color|force_color|model_downloader_.*|hf_.*|huggingface_.*|netrc)$/i

/** Starts the command; whatever is wrong with its arguments is printed, as in a process. */
export function startHere(args: readonly string[], around: Around = {}): RunHere {
  const inherited = Object.entries(process.env).filter(([name]) => !notInherited.test(name))
  const env = { ...Object.fromEntries(inherited), LC_ALL: 'C', ...remembering(around.env), ...around.env }
  const signals = new EventEmitter()
  const output = { stdout: '', stderr: '' }
  const restore = settle(around.cwd, env)
  const exit = (code: number) => {
    throw new Error(`It wants to end the process, with ${code}.`)
  }
  const ended = runCommand(args, {
    stdin: Readable.from(around.input === undefined ? [] : [around.input]),
    stdout: collector((text) => (output.stdout += text)),
    stderr: collector((text) => (output.stderr += text)),
    env,
    signals,
    exit,
    ownsProcess: false,
  })
    .then((code) => ({ code, ...output }))
    .finally(restore)
  // A test that fails before it looks must fail with its own error.
  ended.catch(() => undefined)
  return {
    ended,
    signal: (name) => {
      if (!signals.emit(name, name)) throw new Error(`Nobody listens for ${name}.`)
    },
    get stdout() {
      return output.stdout
    },
    get stderr() {
      return output.stderr
    },
  }
}

function collector(add: (text: string) => void): CommandOutput {
  return new Writable({
    decodeStrings: false,
    write: (text: string, _encoding, done) => {
      add(text)
      done()
    },
  })
}

/** How many runs use the variables of the process at this moment, and what they have replaced. */
let users = 0
let settled = ''
let replaced: { env: Record<string, string | undefined>; cwd: string } | null = null

/** Sets the working folder and the variables of this process until the returned function is called. */
function settle(cwd: string | undefined, env: Readonly<Record<string, string>>): () => void {
  const wanted = JSON.stringify([cwd, Object.entries(env).sort()])
  if (users > 0 && wanted !== settled)
    throw new Error('A run in this process has other variables: start one of them with a process of its own.')
  if (users++ === 0) {
    settled = wanted
    replaced = { env: { ...process.env }, cwd: process.cwd() }
    become(env)
    if (cwd !== undefined) process.chdir(cwd)
  }
  return () => {
    if (--users > 0 || replaced === null) return
    become(replaced.env)
    process.chdir(replaced.cwd)
    replaced = null
  }
}

function become(env: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(process.env)) if (!(name in env)) Reflect.deleteProperty(process.env, name)
  for (const [name, value] of Object.entries(env)) if (value !== undefined) process.env[name] = value
}
