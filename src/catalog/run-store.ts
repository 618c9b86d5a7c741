import * as z from 'zod'
import { toDownloadError } from '../errors.js'
import { type DownloadStore, type LoadedDocument, storeError } from '../store/store.js'
import type { Clock, Timer } from '../util/clock.js'
import { Latest } from '../util/schedule.js'
import {
  appendLine,
  cleanLine,
  isRunning,
  logLine,
  maxLogLines,
  reduce,
  type Run,
  type RunAction,
  runSchema,
} from './run.js'

/** Name of the document in a store. */
const documentName = 'preload'

/** More than any line of a log has, together with its time and the key of a model, in characters. */
const maxStoredLine = 2_000

const documentSchema = z.object({
  version: z.literal(1),
  run: runSchema,
  logs: z
    .array(z.string())
    .transform((lines) => lines.slice(-maxLogLines).map((line) => cleanLine(line, maxStoredLine))),
})

/** Callbacks for changes. */
export interface RunListener {
  changed: () => void
  line: (line: string) => void
  /** Called with a message about a problem of the store. */
  problem: (message: string) => void
}

/** The last run and its log. The run changes through actions only, and every change is stored. */
export class RunState {
  readonly #store: DownloadStore
  readonly #writer: DocumentWriter
  readonly #listener: RunListener
  readonly #isOurs: () => boolean
  #run: Run | null = null
  #lines: readonly string[] = []

  /** @param isOurs - whether this instance drives the run; what it sees of one that another instance drives is not recorded. */
  constructor(store: DownloadStore, listener: RunListener, clock: Clock, isOurs: () => boolean = () => true) {
    this.#isOurs = isOurs
    this.#store = store
    this.#listener = listener
    this.#writer = new DocumentWriter(store, documentName, {
      value: () => this.#document(this.#run),
      failed: (error) => {
        listener.problem(`The state of the preload could not be saved: ${toDownloadError(error).message}`)
      },
      clock,
    })
  }

  /** The current run, or else the last one. */
  get run(): Run | null {
    return this.#run
  }

  /** The current run, or null. */
  get running(): Run | null {
    return isRunning(this.#run) ? this.#run : null
  }

  /** The log. The array is never modified. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /**
   * Loads the stored state. Invalid content is ignored and reported.
   *
   * @param isAllowed - whether a run could be started now. Default: always.
   * @throws DownloadError `STORE_ERROR`.
   */
  async load(isAllowed: (run: Run) => Promise<boolean> = () => Promise.resolve(true)): Promise<void> {
    const found = await this.#read()
    if (found === undefined) return
    if (found.problem !== null) this.#listener.problem(found.problem)
    if (found.value === null) return
    const parsed = documentSchema.safeParse(found.value)
    // Somebody else may have written it, and its folder must not be one that nobody could request.
    if (!parsed.success || !(await isAllowed(parsed.data.run))) {
      this.#listener.problem('The stored state of the last preload is not valid and was ignored.')
      return
    }
    this.#run = parsed.data.run
    this.#lines = parsed.data.logs
  }

  /** Reads what another instance has written, and reports what is new. */
  async follow(): Promise<void> {
    const found = await this.#read()
    const parsed = documentSchema.safeParse(found?.value)
    if (!parsed.success) return
    const { run, logs } = parsed.data
    const last = this.#lines.at(-1)
    const isSame = this.#run?.startedAt === run.startedAt
    const known = isSame && last !== undefined ? logs.lastIndexOf(last) : -1
    this.#run = run
    this.#lines = logs
    for (const line of logs.slice(known + 1)) this.#listener.line(line)
    this.#listener.changed()
  }

  /**
   * Replaces the last run with a new one and clears the log. Nothing changes if the run cannot be stored.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  async begin(run: Run): Promise<void> {
    try {
      await this.#writer.write({ ...this.#document(run), logs: [] })
    } catch (error) {
      throw storeError(error, 'The preload could not be stored.')
    }
    this.#run = run
    this.#lines = []
    this.#listener.changed()
  }

  /** Applies an action; returns false if it changes nothing. */
  act(action: RunAction): boolean {
    if (this.#run === null || !this.#isOurs()) return false
    const next = reduce(this.#run, action)
    if (next === this.#run) return false
    this.#run = next
    this.#writer.changed()
    this.#listener.changed()
    return true
  }

  /** Adds a line to the log. */
  log(about: string, message: string): void {
    if (!this.#isOurs()) return
    const line = logLine(new Date(), about, message)
    this.#lines = appendLine(this.#lines, line)
    this.#writer.changedSlightly()
    this.#listener.line(line)
  }

  /** Resolves when all changes have been stored. */
  flush(): Promise<void> {
    return this.#writer.flush()
  }

  async #read(): Promise<LoadedDocument | undefined> {
    try {
      return await this.#store.readDocument?.(documentName)
    } catch (error) {
      throw storeError(error, 'The state of the last preload could not be read.')
    }
  }

  #document(run: Run | null): object {
    return { version: 1, run, logs: this.#lines }
  }
}

// ---- Document writer

/** Delay before a change that affects only the log is written, in milliseconds. */
const lazyMs = 250

/** Keeps a document in a store up to date, with one write at a time and always the newest state. */
export class DocumentWriter {
  readonly #store: DownloadStore
  readonly #name: string
  readonly #value: () => unknown
  readonly #failed: (error: unknown) => void
  readonly #clock: Clock
  readonly #writes = new Latest(() => this.#writeLatest())
  #timer: Timer | null = null
  /** Whether the last write failed, which has been reported. */
  #failing = false

  constructor(
    store: DownloadStore,
    name: string,
    { value, failed, clock }: { value: () => unknown; failed: (error: unknown) => void; clock: Clock },
  ) {
    this.#store = store
    this.#name = name
    this.#value = value
    this.#failed = failed
    this.#clock = clock
  }

  /** Writes a value after pending writes. Rejects with the error of the store. */
  async write(value: unknown): Promise<void> {
    await this.flush()
    await this.#store.writeDocument?.(this.#name, value)
  }

  /** Writes the current state as soon as the pending write has ended. */
  changed(): void {
    this.#stopTimer()
    void this.#writes.ask()
  }

  /**
   * Schedules a write for a change that may be lost with the process, so that several such changes share a
   * write.
   */
  changedSlightly(): void {
    if (this.#timer !== null) return
    const timer = this.#clock.timer(() => {
      this.#timer = null
      this.changed()
    }, lazyMs)
    this.#timer = timer.unref()
  }

  /**
   * Resolves when all changes so far have been written. Failed writes have been reported and are not awaited
   * again.
   */
  async flush(): Promise<void> {
    if (this.#timer !== null) this.changed()
    await this.#writes.settled()
  }

  async #writeLatest(): Promise<void> {
    try {
      await this.#store.writeDocument?.(this.#name, this.#value())
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#failed(error)
      this.#failing = true
    }
  }

  #stopTimer(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
