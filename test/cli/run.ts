import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { withTimeout } from '../support/wait.js'
import { type EndedHere, remembering, startHere } from './in-process.js'

const cli = path.resolve(import.meta.dirname, '../../dist/cli.js')
const deadlineMs = 15_000

const settled = { LC_ALL: 'C', NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' }

/** How a run of the command line ended. */
export interface Ended {
  /** Exit code, or the signal that ended it. */
  code: number | NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** A running command line. */
export interface Run {
  child: ChildProcess
  /** What has been printed so far. */
  readonly stdout: string
  readonly stderr: string
  /** Settles when the process has ended and its output was read; rejects, and kills it, after 15 s. */
  ended: Promise<Ended>
}

/** How to run the command line. */
export interface RunOptions {
  cwd?: string
  env?: Record<string, string>
  /** What it reads from standard input. Default: there is none. */
  input?: Buffer
}

/** Starts `node dist/cli.js`, on pipes and without proxies. */
export function start(args: readonly string[], options: RunOptions = {}): Run {
  const child = spawn(process.execPath, [cli, ...args], {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: { ...process.env, ...settled, ...remembering(options.env), ...options.env },
  })
  if (child.stdout === null || child.stderr === null) throw new Error('Its output is not piped.')
  // Ignored, since the command may end before it has read everything.
  child.stdin?.on('error', () => undefined).end(options.input)
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  // Ignored, since a test may close the pipe on purpose.
  child.stdout.on('error', () => undefined)
  const closed = once(child, 'close').then((): Ended => ({
    code: child.exitCode ?? child.signalCode,
    ...output,
  }))
  const ended = withTimeout(closed, deadlineMs, 'the command line to end').finally(() =>
    child.kill('SIGKILL'),
  )
  // A test that fails before it looks must fail with its own error.
  ended.catch(() => undefined)
  return {
    child,
    ended,
    get stdout() {
      return output.stdout
    },
    get stderr() {
      return output.stderr
    },
  }
}

/** Runs the built command line, in a process of its own, to its end. */
export function runBuilt(args: readonly string[], options?: RunOptions): Promise<Ended> {
  return start(args, options).ended
}

/** Runs the command line to its end, in this process: see `in-process.ts`. */
export function run(args: readonly string[], { cwd, env, input }: RunOptions = {}): Promise<EndedHere> {
  const { ended } = startHere(args, { cwd, input, env })
  return withTimeout(ended, deadlineMs, 'the command line to end')
}

/** An empty folder that goes away with `await using`. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'model-downloader-cli-')))
  return {
    path: folder,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The objects of NDJSON output. */
export function jsonLines(text: string): Record<string, unknown>[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error('The last line is not complete.')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const value: unknown = JSON.parse(line)
      if (typeof value !== 'object' || value === null) throw new Error(`No object: ${line}`)
      return { ...value }
    })
}
