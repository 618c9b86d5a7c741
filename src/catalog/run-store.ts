import * as z from 'zod'
import { toDownloadError } from '../errors.js'
import { type DownloadStore, type LoadedDocument, storeError } from '../store/store.js'
import { Latest } from '../util/schedule.js'
import {
  appendLine,
  isRunning,
  logLine,
  maxLogLines,
  reduce,
  type Run,
  type RunAction,
  runSchema,
} from './run.js'

/** What the state is called in a store. */
const documentName = 'preload'

const documentSchema = z.object({
  version: z.literal(1),
  run: runSchema,
  logs: z.array(z.string()).transform((lines) => lines.slice(-maxLogLines)),
})

/** Who hears of a change. */
export interface RunListener {
  changed: () => void
  line: (line: string) => void
  /** One sentence about the store. */
  problem: (message: string) => void
}

/** The last run and its log: changed by actions only, and every change is written down. */
export class RunState {
  readonly #store: DownloadStore
  readonly #writer: DocumentWriter
  readonly #listener: RunListener
  #run: Run | null = null
  #lines: readonly string[] = []

  constructor(store: DownloadStore, listener: RunListener) {
    this.#store = store
    this.#listener = listener
    this.#writer = new DocumentWriter(store, documentName, {
      value: () => this.#document(this.#run),
      failed: (error) => {
        listener.problem(`The state of the preload could not be saved: ${toDownloadError(error).message}`)
      },
    })
  }

  /** The run that is going, or the last one. */
  get run(): Run | null {
    return this.#run
  }

  /** The run that is going, or null. */
  get running(): Run | null {
    return isRunning(this.#run) ? this.#run : null
  }

  /** The log. Never changed in place. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /**
   * Reads what was written down. What can't be understood is left out, and told.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  async load(): Promise<void> {
    const found = await this.#read()
    if (found === undefined) return
    if (found.problem !== null) this.#listener.problem(found.problem)
    if (found.value === null) return
    const parsed = documentSchema.safeParse(found.value)
    if (!parsed.success) {
      this.#listener.problem('The state of the last preload is not as expected, and is left out.')
      return
    }
    this.#run = parsed.data.run
    this.#lines = parsed.data.logs
  }

  /**
   * Takes a new run in the place of the last one, with an empty log. Nothing changes when it can't be written down.
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

  /** Applies an action; false when it changes nothing. */
  act(action: RunAction): boolean {
    if (this.#run === null) return false
    const next = reduce(this.#run, action)
    if (next === this.#run) return false
    this.#run = next
    this.#writer.changed()
    this.#listener.changed()
    return true
  }

  /** Adds a line to the log. */
  log(about: string, message: string): void {
    const line = logLine(new Date(), about, message)
    this.#lines = appendLine(this.#lines, line)
    this.#writer.changedSlightly()
    this.#listener.line(line)
  }

  /** Resolves when all is written down. */
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

// ---- Writing the document.

/** How long a change that is only a line of the log may wait. */
const lazyMs = 250

/** Keeps one document in a store up to date: one write at a time, and always the newest state. */
export class DocumentWriter {
  readonly #store: DownloadStore
  readonly #name: string
  readonly #value: () => unknown
  readonly #failed: (error: unknown) => void
  readonly #writes = new Latest(() => this.#work())
  #timer: NodeJS.Timeout | null = null
  /** The last write failed, and that was told. */
  #failing = false

  constructor(
    store: DownloadStore,
    name: string,
    { value, failed }: { value: () => unknown; failed: (error: unknown) => void },
  ) {
    this.#store = store
    this.#name = name
    this.#value = value
    this.#failed = failed
  }

  /** Writes what was given, after what is being written. Rejects with what the store throws. */
  async write(value: unknown): Promise<void> {
    await this.flush()
    await this.#store.writeDocument?.(this.#name, value)
  }

  /** The state changed: writes it as soon as the write under way has ended. */
  changed(): void {
    this.#stopTimer()
    void this.#writes.ask()
  }

  /** Something changed that may be lost with the process: waits for more. */
  changedSlightly(): void {
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.changed()
    }, lazyMs)
    this.#timer.unref()
  }

  /** Resolves when all is written that changed so far. A store that fails was told of, and is not waited for. */
  async flush(): Promise<void> {
    if (this.#timer !== null) this.changed()
    await this.#writes.settled()
  }

  async #work(): Promise<void> {
    try {
      await this.#store.writeDocument?.(this.#name, this.#value())
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#failed(error)
      this.#failing = true
    }
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
