/** Runs a program for each finished file. */
import { spawn, type ChildProcess } from 'node:child_process'
import { delimiter, extname, isAbsolute, join, resolve } from 'node:path'
import { errnoOf } from '../../disk/errors.js'
import { statSync } from '../../disk/fs.js'
import { UsageError } from '../checks/usage-error.js'
import { plain } from '../format.js'
import { texts } from '../language.js'
import type { CompletedReport, ExecutedReport, Report } from '../report.js'
import { argumentsFor, type FinishedFile, variablesFor } from './command.js'
import { surroundings } from '../process/surroundings.js'

/** Options of the command. */
export interface ExecOptions {
  /** The program. */
  exec?: string | undefined
  /** Its arguments. */
  execArg?: string[] | undefined
}

/** Longest line of the program's output that is kept together, in characters. */
const maxLine = 10_000

/** Runs the program, for one file after the other. */
export class Executor {
  readonly #program: string
  readonly #args: readonly string[]
  readonly #report: (report: Report) => void
  #last: Promise<boolean> = Promise.resolve(true)
  #child: ChildProcess | null = null
  #stopped = false

  /**
   * @param report - takes the output of the program and how it ended.
   * @throws UsageError when there is no such program.
   */
  constructor(program: string, args: readonly string[], report: (report: Report) => void) {
    this.#program = findProgram(program, surroundings().env, process.platform)
    this.#args = args
    this.#report = report
  }

  /** The executor for the options; null if they name no program. See the constructor. */
  static of({ exec, execArg = [] }: ExecOptions, report: (report: Report) => void): Executor | null {
    if (exec !== undefined) return new Executor(exec, execArg, report)
    if (execArg.length > 0) throw new UsageError(texts().execArgAlone)
    return null
  }

  /** Runs the program for the files of a download, after those of others. Never rejects. */
  add(completed: CompletedReport): void {
    for (const file of filesOf(completed)) {
      const before = this.#last
      this.#last = before.then(async (good) => (await this.#run(file)) && good)
    }
  }

  /** Resolves when all files are done, to whether the program succeeded for each of them. */
  async finished(): Promise<boolean> {
    return await this.#last
  }

  /** Ends the program that runs, and starts no other one. */
  stop(): void {
    this.#stopped = true
    this.#child?.kill()
  }

  async #run(file: FinishedFile): Promise<boolean> {
    if (this.#stopped) return false
    const outcome = await this.#spawn(file)
    const report: ExecutedReport = { type: 'executed', url: file.url, path: file.path, ...outcome }
    this.#report(report)
    return outcome.exitCode === 0
  }

  #spawn(file: FinishedFile): Promise<Pick<ExecutedReport, 'exitCode' | 'signal' | 'error'>> {
    return new Promise((settle) => {
      const print = (text: string) => {
        this.#report({ type: 'output', url: file.url, path: file.path, text })
      }
      const child = spawn(this.#program, argumentsFor(this.#args, file), {
        shell: false,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...surroundings().env, ...variablesFor(file) },
        windowsHide: true,
      })
      this.#child = child
      for (const stream of [child.stdout, child.stderr]) linesOf(stream, print)
      child.once('error', (error) => {
        settle({ exitCode: null, signal: null, error: errnoOf(error) ?? error.message })
      })
      child.once('close', (exitCode, signal) => {
        this.#child = null
        settle({ exitCode, signal, error: null })
      })
    })
  }
}

/** The files of a completed download: one, or those of a group. */
function filesOf({ url, path, size, sha256, existed, files }: CompletedReport): FinishedFile[] {
  if (files === undefined) return [{ url, path, size, sha256, existed }]
  return files.map((file) => ({ ...file, url, path: join(path, file.path), existed }))
}

function linesOf(stream: NodeJS.ReadableStream, print: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > maxLine) {
      lines.push(rest)
      rest = ''
    }
    for (const line of lines) print(line.replace(/\r$/, ''))
  })
  stream.on('end', () => {
    if (rest !== '') print(rest)
  })
  stream.on('error', () => undefined)
}

/**
 * Finds a program as the system would, so that one that is missing is noticed before hours of downloading.
 *
 * @throws UsageError when there is none.
 */
export function findProgram(
  program: string,
  env: Readonly<Record<string, string | undefined>>,
  platform: string,
): string {
  const isWindows = platform === 'win32'
  const endings = isWindows ? ['', ...(env['PATHEXT'] ?? '.COM;.EXE').split(';')] : ['']
  const folders = /[\\/]/.test(program)
    ? [isAbsolute(program) ? '' : resolve()]
    : (env['PATH'] ?? env['Path'] ?? '').split(delimiter).filter((folder) => folder !== '')
  for (const folder of folders) {
    for (const ending of endings) {
      const file = join(folder, program + ending)
      if (program === '' || !isProgram(file, isWindows)) continue
      // Node refuses to run these without a shell, which would read the arguments in its own way.
      if (isWindows && /^\.(?:bat|cmd)$/i.test(extname(file)))
        throw new UsageError(texts().execIsScript(plain(program)))
      return file
    }
  }
  throw new UsageError(texts().execMissing(plain(program)))
}

function isProgram(file: string, isWindows: boolean): boolean {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats?.isFile() === true && (isWindows || (stats.mode & 0o111) !== 0)
}
