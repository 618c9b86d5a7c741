/** Runs the built command line, and lists open files. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdir, readlink } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { waitFor, withTimeout } from './wait.js'

/** The root folder of the project. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '')
/** The output folder of the build. */
export const dist = fileURLToPath(new URL('../../dist', import.meta.url))
/** The built command line. */
export const cliPath = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** Options to run a program. */
export interface RunOptions {
  /** Added to the environment of this process, from which proxy settings and Node options are removed. */
  env?: Record<string, string>
  cwd?: string
  /** Time after which the program is killed and the run fails, in milliseconds. Default: 30,000. */
  timeoutMs?: number
  /** Whether it reads from this process. Default: it has no input. */
  hasInput?: boolean
}

/** How a program ended. */
export interface RunResult {
  /** Exit code, or null when a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

const notInherited =
  /^(?:(?:https?|all|no)_proxy|node_options|node_extra_ca_certs|node_v8_coverage|no_color|force_color|vitest.*)$/i

function environment(env: Record<string, string> = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !notInherited.test(name))
  // The language of the machine must not change what the tests read.
  return { ...Object.fromEntries(inherited), LC_ALL: 'C', ...env }
}

/** A running program. */
export class RunningProcess {
  /** The output so far. */
  stdout = ''
  stderr = ''
  /** Resolves when the program has ended and all of its output has been read. Never rejects. */
  readonly exited: Promise<RunResult>
  /** Its standard input; null unless it was started with `hasInput`. */
  readonly input: Writable | null
  readonly #child: ChildProcess

  constructor(command: string, args: readonly string[], { env, cwd, hasInput = false }: RunOptions = {}) {
    const child = spawn(command, args, {
      env: environment(env),
      cwd,
      stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    })
    // Only one that ends early does not take what is written to it.
    child.stdin?.on('error', () => undefined)
    this.#child = child
    this.input = child.stdin
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    const abandon = () => child.kill('SIGKILL')
    process.once('exit', abandon)
    this.exited = new Promise((resolve) => {
      const settle = (code: number | null, signal: NodeJS.Signals | null) => {
        process.off('exit', abandon)
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr })
      }
      child.once('close', settle)
      child.once('error', (error) => {
        this.stderr += error.message
        settle(null, null)
      })
    })
  }

  /** Its process id. */
  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('The program could not be started.')
    return this.#child.pid
  }

  /** Whether the program is still running. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Sends a signal, and waits for nothing. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Sends a signal (default SIGKILL), and waits for the end. Default deadline: 10 s. */
  async kill(signal: NodeJS.Signals = 'SIGKILL', timeoutMs = 10_000): Promise<RunResult> {
    this.#child.kill(signal)
    return withTimeout(this.exited, timeoutMs, `the end after ${signal}`)
  }

  /** Waits until stdout (or stderr) matches. Rejects when the program ends without a match. Default deadline: 10 s. */
  async waitForOutput(pattern: RegExp, timeoutMs = 10_000): Promise<void> {
    await waitFor(
      () => {
        const running = this.running
        if (pattern.test(this.stdout) || pattern.test(this.stderr)) return true
        if (!running) throw new Error(`Ended without ${String(pattern)}:\n${this.stdout}\n${this.stderr}`)
        return false
      },
      { timeoutMs, what: `output like ${String(pattern)}` },
    )
  }

  /** Waits for the end. After the deadline the program is killed, and this rejects with its output. */
  async finished(timeoutMs = 30_000): Promise<RunResult> {
    try {
      return await withTimeout(this.exited, timeoutMs, 'the program to end')
    } catch (error) {
      const { stdout, stderr } = await this.kill()
      throw new Error(`Killed after ${timeoutMs} ms.\nstdout:\n${stdout}\nstderr:\n${stderr}`, {
        cause: error,
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.kill()
  }
}

/** Starts a Node script. */
export function spawnNode(
  script: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): RunningProcess {
  return new RunningProcess(process.execPath, [script, ...args], options)
}

/** Starts `node dist/cli.js` with these arguments. */
export function spawnCli(args: readonly string[], options: RunOptions = {}): RunningProcess {
  return spawnNode(cliPath, args, options)
}

/** Runs `node dist/cli.js` with these arguments and waits for its end. */
export async function runCli(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return spawnCli(args, options).finished(options.timeoutMs)
}

/**
 * The targets of a process's open file descriptors, such as `socket:[123]` or a path, sorted. Default: this process. On
 * systems other than Linux the list is empty.
 */
export async function openFds(pid: number | 'self' = 'self'): Promise<string[]> {
  if (process.platform !== 'linux') return []
  const folder = `/proc/${pid}/fd`
  const targets = await Promise.all(
    // The descriptor that was used to read the folder is closed by then.
    (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => null)),
  )
  return targets.filter((target) => target !== null).sort()
}
