/** A world: disk, network, servers, callers and the processes that live and die in it, all decided by one seed. */
import type { Download } from '../../src/download/download.js'
import { size as sizeOf } from '../../src/engine/part/intervals.js'
import { type Journal, parseJournal } from '../../src/engine/part/journal.js'
import type { DownloadManager } from '../../src/manager/manager.js'
import type { Source } from '../../src/sources/source.js'
import { VirtualClock } from './clock.js'
import { Disk, systemError } from './disk.js'
import type { FileCall } from './file-system.js'
import {
  cacheIdentity,
  checkTarget,
  directory,
  groupRef,
  optionsOf,
  prepareFile,
  takeTold,
  type SimFile,
  toldSizeOf,
} from './files.js'
import { HubServer, hubHost, listUrl } from './hub.js'
import { Network } from './network.js'
import { Observer } from './observer.js'
import { type CompiledPackage, SimProcess } from './process.js'
import { Random } from './random.js'
import { isFlawless, isRefusedName, type WorldSpec } from './spec.js'

/** Longest virtual time for what a world's callers start, and for the calm after it. */
const storyMs = 6 * 3_600_000

const calmMs = 2 * 3_600_000

const maxEvents = 400_000

export class World implements AsyncDisposable {
  readonly spec: WorldSpec
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly disk: Disk
  readonly network: Network
  readonly files: SimFile[]
  /** Where a group's source gets its list and tokens from; null if it knows everything. */
  readonly hub: HubServer | null
  readonly timeline: string[] = []
  readonly observer = new Observer(this)
  /** Sentences that say which promise was broken. */
  readonly violations: string[] = []
  readonly processes: SimProcess[] = []
  readonly #rivals: SimProcess[] = []
  #rival: DownloadManager | null = null
  /** Bytes of a file that a process which died had brought to safety. */
  readonly #saved = new Map<number, number>()
  /** Downloads that the caller was told are queued, by file, and since when nothing took them back. */
  readonly accepted = new Set<number>()
  /** What the caller wants to have, whether it has heard an answer or not. */
  readonly #wanted = new Set<number>()
  isCalm = false
  manager: DownloadManager | null = null
  #boot = 1
  #pid = 100
  readonly #compiled: CompiledPackage
  readonly #diskCalls = new Map<FileCall, number>()
  readonly #broken = new Set<FileCall>()
  /** A process has died, and the next one has not started yet. */
  #isDown = false
  #callsLeft = 0

  constructor(spec: WorldSpec, compiled: CompiledPackage) {
    this.spec = spec
    this.#compiled = compiled
    this.random = new Random(spec.seed)
    this.disk = new Disk(spec.disk, () => Date.UTC(2026, 0, 1) + this.clock.now, spec.lengths)
    this.network = new Network(this.clock, this.random.fork(), (line, detail) => {
      this.note(detail === undefined ? line : `${line} ${detail}`)
    })
    this.hub = this.#makeHub()
    this.files = spec.files.map((file, index) => prepareFile(this, file, index))
    if (spec.rivalAtMs !== null) this.clock.schedule(spec.rivalAtMs, () => void this.#startRival())
    this.disk.free = spec.freeBytes ?? Infinity
    this.network.slowness = spec.slowness
    const { outage } = spec
    if (outage !== null) {
      this.clock.schedule(outage.fromMs, () => (this.network.isDown = !this.isCalm))
      this.clock.schedule(outage.fromMs + outage.forMs, () => (this.network.isDown = false))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [...this.processes, ...this.#rivals]) process.kill()
    await Promise.resolve()
  }

  note(line: string): void {
    if (this.timeline.length < 5_000)
      this.timeline.push(`${this.clock.now.toFixed(0).padStart(8)} ms  ${line}`)
  }

  violate(sentence: string): void {
    this.note(`!! ${sentence}`)
    if (!this.violations.includes(sentence)) this.violations.push(sentence)
  }

  // ---- processes

  processOf(pid: number): SimProcess | undefined {
    return [...this.processes, ...this.#rivals].find((process) => process.pid === pid)
  }

  get current(): SimProcess | undefined {
    return this.processes.at(-1)
  }

  #newProcess(): SimProcess {
    const process = new SimProcess(this, this.#compiled, { pid: this.#pid++, bootId: `boot-${this.#boot}` })
    this.note(`process ${process.pid} starts`)
    return process
  }

  /** Another process on the same folder, with its own memory. What it gets must be whole, and so must ours. */
  async #startRival(): Promise<void> {
    if (this.isCalm) return
    const process = this.#newProcess()
    this.#rivals.push(process)
    const rival = new process.package.DownloadManager({ ...this.#options(), store: 'memory' })
    this.#rival = rival
    for (const file of this.subjects) {
      const download = await rival.download(optionsOf(this, file)).catch((error: unknown) => {
        this.observer.thrown('download of the rival', error)
        return null
      })
      download?.finished.catch((error: unknown) => {
        this.observer.thrown('finished of the rival', error)
      })
    }
  }

  #options() {
    const { spec } = this
    return {
      directory,
      worker: false,
      proxy: false,
      adopt: spec.adopts === true,
      connections: spec.connections,
      concurrency: spec.concurrency,
      maxDiskBytes: this.isCalm ? null : (spec.budget?.bytes ?? null),
      whenFull: spec.budget?.whenFull ?? ('fail' as const),
      tuning: {
        minSegmentBytes: spec.minSegmentBytes,
        bodyReader: spec.bodyReader,
        initialConnections: spec.connections > 4 ? 2 : 64,
      },
      sources: spec.isGroup ? [this.#source()] : [],
    }
  }

  /** Knows one ref, which means all files of the world. */
  #source(): Source {
    return {
      name: 'sim',
      match: (ref) => ref === groupRef,
      layouts: ['hf-cache'],
      resolve: async (_ref, context) => ({
        name: 'group',
        files: (await this.#listed(context)).map(({ file, headers }) => ({
          filename: file.name,
          urls: file.urls,
          headers,
          ...(this.spec.inCache === true ? cacheIdentity : {}),
          ...(file.digest === null ? {} : { sha256: file.digest }),
          ...(file.spec.toldSize === 'unknown' ? {} : { size: toldSizeOf(file.spec) }),
        })),
      }),
    }
  }

  /** The files, with the headers that the hub wants to see. */
  async #listed({ fetchJson }: { fetchJson: (this: void, url: string) => Promise<{ json: unknown }> }) {
    if (this.hub === null) return this.files.map((file) => ({ file, headers: {} }))
    const { token } = (await fetchJson(listUrl)).json as { token: string }
    return this.files.map((file) => ({ file, headers: { authorization: `Bearer ${token}` } }))
  }

  #makeHub(): HubServer | null {
    const { clock, spec } = this
    const { hub = null } = spec
    if (hub === null) return null
    const server = new HubServer(hub, { isCalm: () => this.isCalm, now: () => clock.now })
    this.network.listen(hubHost, server)
    return server
  }

  /** The files that are asked for one by one: of a group, the first one stands for all. */
  get subjects(): readonly SimFile[] {
    return this.spec.isGroup ? this.files.slice(0, 1) : this.files
  }

  #start(): { manager: DownloadManager; process: SimProcess } {
    this.#isDown = false
    const process = this.#newProcess()
    this.processes.push(process)
    const manager = new process.package.DownloadManager(this.#options())
    this.manager = manager
    this.observer.watch(manager, process)
    return { manager, process }
  }

  /** The last call of a process. */
  die(process: SimProcess): void {
    const death = this.spec.deaths[this.processes.indexOf(process)]
    this.#end(process, death?.power === true)
  }

  #end(process: SimProcess, power: boolean): void {
    this.note(power ? 'the power goes' : `process ${process.pid} is killed`)
    process.kill()
    this.manager = null
    this.#isDown = true
    if (power) {
      for (const rival of this.#rivals) rival.kill()
      this.#rival = null
      const journals = this.files.map(({ target }) => `${target}.part.json`)
      // One whose part has been deleted, because the download starts over, is of no use any more.
      const synced = journals.filter((journal) => {
        const part = this.disk.find(journal.replace(/\.json$/, ''))
        return part !== null && journalIn(this.disk.durable(journal))?.inode === String(part.ino)
      })
      this.disk.cutPower(this.random)
      for (const journal of synced) {
        const inode = this.disk.find(journal)
        if (inode !== null && journalIn(inode.data.subarray(0, inode.size)) === null)
          this.violate(`the journal ${journal} was synced, and is torn after a power cut`)
      }
      this.#boot++
      this.checkTargets('after a power cut')
    }
    this.#noteSaved(power)
    this.clock.schedule(1_000 + this.random.below(5_000), () => {
      const { manager, process: next } = this.#start()
      void this.#again(manager, next)
    })
  }

  /** What the journals on the disk promise: it must not be fetched again. */
  #noteSaved(power: boolean): void {
    this.#saved.clear()
    for (const file of this.files) {
      const journal = this.disk.find(`${file.target}.part.json`)
      const part = this.disk.find(`${file.target}.part`)
      if (journal === null || part === null) continue
      const said = journalIn(journal.data.subarray(0, journal.size))
      // One that was never synced may be torn, and promises nothing.
      if (said === null) continue
      const intervals = power ? said.synced : said.written
      if (part.size < (intervals.at(-1)?.[1] ?? 0)) continue
      this.#saved.set(file.index, sizeOf(intervals))
    }
  }

  /** Checks a completed file against what an earlier process had saved of it. */
  checkSaved(download: Download): void {
    const file = this.files.find(({ url }) => url === download.url)
    const saved = file === undefined ? undefined : this.#saved.get(file.index)
    const fetched = download.file?.fetchedBytes
    if (file === undefined || saved === undefined || fetched === undefined || this.spec.isGroup) return
    if (isFlawless(this.spec, file.index) && fetched > file.spec.size - saved)
      this.violate(
        `${fetched} bytes of file ${file.index} were fetched, though ${saved} of ${file.spec.size} were saved`,
      )
  }

  /** After a restart the caller asks again for what it had asked for, unless the manager knows it already. */
  async #again(manager: DownloadManager, process: SimProcess): Promise<void> {
    await manager.ready.catch((error: unknown) => {
      this.observer.thrown('ready', error)
    })
    if (manager !== this.manager) return
    for (const index of this.#wanted) {
      const file = this.files[index]
      if (file === undefined || manager.get(file.url) !== undefined) continue
      // A disk that fails may hide it, and one that was complete may have been evicted.
      const mayBeGone = this.spec.diskFaults.length > 0 || this.spec.budget?.whenFull === 'evict'
      if (this.accepted.has(index) && !mayBeGone)
        this.violate(`file ${index} was accepted, and is forgotten after a kill or power cut`)
      await this.#call(index, 'download')
    }
    for (const download of manager.list()) this.observer.observe(download, process)
  }

  // ---- what callers do

  async #call(index: number, what: WorldSpec['calls'][number]['what']): Promise<void> {
    const { manager } = this
    const file = this.subjects[this.spec.isGroup ? 0 : index]
    const process = this.current
    if (file !== undefined && what === 'download') this.#wanted.add(file.index)
    if (manager === null || file === undefined || process === undefined) return
    this.note(`caller: ${what} ${file.name}`)
    try {
      switch (what) {
        case 'download': {
          const download = await manager.download(optionsOf(this, file))
          // Who has died since hears no answer.
          if (!process.isAlive) break
          this.accepted.add(file.index)
          this.observer.observe(download, process)
          break
        }
        case 'restart':
          await this.#restart(manager, process)
          break
        case 'remove':
          this.accepted.delete(file.index)
          this.#wanted.delete(file.index)
          await manager.remove(file.url, { deleteFile: this.random.chance(0.3) })
          break
        case 'limit':
          manager.maxBytesPerSecond = this.random.chance(0.3) ? null : 50_000 + this.random.below(1_000_000)
          break
        case 'cancel':
          await manager.cancel(file.url)
          break
        default:
          this.observer.observe(await manager[what](file.url), process)
      }
    } catch (error) {
      this.observer.thrown(what, error)
    }
  }

  async #restart(manager: DownloadManager, process: SimProcess): Promise<void> {
    await manager.close()
    if (manager !== this.manager) return
    this.checkClosed(process)
    process.kill()
    this.manager = null
    const next = this.#start()
    await this.#again(next.manager, next.process)
  }

  /** Nothing may stay open after `close()`. */
  checkClosed(process: SimProcess): void {
    const files = process.files.openPaths
    if (files.length > 0) this.violate(`after close() files are open: ${files.join(', ')}`)
    for (const socket of this.network.openOf(process))
      this.violate(`after close() a socket is ${socket.connecting ? 'being opened' : 'open'}`)
    for (const timer of process.timers)
      if (timer.isReferenced) this.violate(`after close() a timer keeps the process alive: ${timer.code}`)
  }

  // ---- the story

  /** Everything that the spec says, until all is settled or nothing more happens. */
  async run(): Promise<void> {
    const { manager } = this.#start()
    void manager.ready.catch((error: unknown) => this.observer.thrown('ready', error))
    for (const file of this.subjects) void this.#call(file.index, 'download')
    for (const { atMs, file, what } of this.spec.calls) {
      this.#callsLeft++
      this.clock.schedule(atMs, () => {
        void this.#call(file, what).finally(() => this.#callsLeft--)
      })
    }
    await this.clock.runUntil(() => this.#isQuiet(), { untilMs: storyMs, maxEvents })
    await this.#calm()
  }

  #isQuiet(): boolean {
    if (this.#callsLeft > 0 || this.#isDown || this.manager === null) return false
    const live = [...this.observer.seen.values()].filter(({ process }) => process === this.current)
    const states = this.manager.list().map(({ state }) => state)
    return (
      live.length > 0 &&
      states.every((state) => ['completed', 'failed', 'canceled', 'paused'].includes(state))
    )
  }

  /** The end of all faults: whatever happened, the next one who asks gets the file. */
  async #calm(): Promise<void> {
    this.note('calm')
    const stuck = [...this.observer.seen.entries()].filter(
      ([download, { process }]) =>
        process.isAlive && !['completed', 'failed', 'canceled', 'paused'].includes(download.state),
    )
    for (const [download] of stuck)
      this.violate(`${download.filename} is still ${download.state} after hours`)
    this.endOfStory()
    this.isCalm = true
    this.network.isDown = false
    this.#broken.clear()
    this.disk.free = Infinity
    const { manager, current } = this
    const begin = this.clock.now
    const end = { isReached: false }
    const isOver = () => end.isReached
    const limits = { untilMs: begin + calmMs, maxEvents: this.clock.events + maxEvents }
    void this.#lastRun(manager, current).finally(() => (end.isReached = true))
    if (!(await this.clock.runUntil(isOver, limits)))
      this.violate('in the calm at the end, not everything was over after two hours')
  }

  /** Called between the story and the calm; the invariants of the story are checked here. */
  endOfStory: () => void = () => undefined

  async #lastRun(manager: DownloadManager | null, process: SimProcess | undefined): Promise<void> {
    if (this.#rival !== null) {
      await this.#rival.close()
      for (const rival of this.#rivals) {
        if (rival.isAlive) this.checkClosed(rival)
        rival.kill()
      }
    }
    if (manager !== null && process !== undefined) {
      await manager.close()
      this.checkClosed(process)
      process.kill()
    }
    this.manager = null
    const { manager: last } = this.#start()
    try {
      await last.ready
    } catch (error) {
      this.violate(`in the calm the store cannot be loaded: ${this.observer.thrown('ready', error)?.message}`)
      return
    }
    for (const file of this.subjects) await this.#finishOne(last, file)
    await last.close()
    const { current } = this
    if (current !== undefined) this.checkClosed(current)
  }

  async #finishOne(manager: DownloadManager, file: SimFile): Promise<void> {
    const files = this.spec.isGroup ? this.files : [file]
    const fails = files.some(({ spec }) => spec.digest === 'wrong' || spec.toldSize === 'wrong')
    try {
      let download = manager.get(file.url)
      if (download?.state === 'paused') await download.resume()
      else if (download?.state !== 'queued') download = await manager.download(optionsOf(this, file))
      await download.finished
      if (fails) this.violate(`file ${file.index} was completed, though its digest or size is another one`)
      for (const each of files) {
        checkTarget(this, each, 'in the end', true)
        if (this.disk.find(each.shown) === null) this.violate(`in the end ${each.shown} leads nowhere`)
      }
    } catch (error) {
      const { code } = this.observer.thrown('finished', error) ?? {}
      const isRefused =
        code === 'UNSAFE_FILENAME' && files.some(({ spec }) => isRefusedName(spec.disposition))
      if (!fails && !isRefused)
        this.violate(`in the calm file ${file.index} fails: ${code} ${(error as Error).message}`)
    }
  }

  // ---- faults of the disk

  /** How often each file call was made before the calm. */
  get diskCalls(): ReadonlyMap<FileCall, number> {
    return this.#diskCalls
  }

  /** What becomes of a file call. */
  fateOf(name: FileCall, process: SimProcess): 'lives' | 'short' | 'dies-before' | 'dies-after' | Error {
    if (this.isCalm) return 'lives'
    const death = this.spec.deaths[this.processes.indexOf(process)]
    if (death?.call === process.diskCalls) return death.after ? 'dies-after' : 'dies-before'
    const count = (this.#diskCalls.get(name) ?? 0) + 1
    this.#diskCalls.set(name, count)
    const fault = this.spec.diskFaults.find(
      (each) => each.call === name && (each.nth === count || (each.lasts && count > each.nth)),
    )
    if (fault === undefined) return 'lives'
    this.note(`${name} fails: ${fault.errno}`)
    if (fault.errno === 'short') return 'short'
    return systemError(fault.errno, name)
  }

  // ---- what lies under a final name

  /** A file has got a name. */
  renamed(to: string): void {
    const [only] = this.files
    if (only !== undefined && (only.spec.disposition ?? null) !== null) takeTold(this, only, to)
    const file = this.files.find(({ target }) => target === to)
    if (file !== undefined) checkTarget(this, file, 'at its rename', false)
  }

  checkTargets(when: string): void {
    for (const file of this.files) checkTarget(this, file, when, false)
  }
}

function journalIn(data: Buffer | null): Journal | null {
  return data === null ? null : parseJournal(data.toString())
}
