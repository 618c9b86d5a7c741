/** What a run of the command has around it. Everything in `cli/` asks for it here, and never the process itself. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Readable } from 'node:stream'

/** Where a command prints; the size is known on terminals only. */
export interface CommandOutput extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** Where a command reads. */
export type CommandInput = Readable & { readonly isTTY?: boolean }

/** What a run of the command has around it. */
export interface Surroundings {
  readonly stdin: CommandInput
  readonly stdout: CommandOutput
  readonly stderr: CommandOutput
  /** Environment variables. What lies below `cli/` asks the process for those that it knows itself. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Emits the signals that stop a run, by their names. */
  readonly signals: Pick<NodeJS.EventEmitter, 'on' | 'off'>
  /** Whether the run is all that its process does, so that it may block it, tune its compilers and start its own threads. */
  readonly ownsProcess: boolean
  /** Ends the run at once, whatever it is doing. */
  readonly exit: (code: number) => void
}

const storage = new AsyncLocalStorage<Surroundings>()

/** Those of a process that runs nothing else. Its streams are made when they are first asked for. */
const ofProcess: Surroundings = {
  get stdin() {
    return process.stdin
  },
  get stdout() {
    return process.stdout
  },
  get stderr() {
    return process.stderr
  },
  env: process.env,
  signals: process,
  ownsProcess: true,
  exit: (code) => process.exit(code),
}

/** The surroundings of the current run: those of the process, unless {@link runWithin} says otherwise. */
export function surroundings(): Surroundings {
  return storage.getStore() ?? ofProcess
}

/** Calls a function, for which and for whatever it starts the surroundings are these. */
export function runWithin<T>(around: Surroundings, work: () => T): T {
  return storage.run(around, work)
}

/** Prints on standard output. */
export function printOut(text: string): void {
  surroundings().stdout.write(text)
}

/** Prints on standard error. */
export function printError(text: string): void {
  surroundings().stderr.write(text)
}
