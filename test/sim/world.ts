/** A world: disk, network, servers, callers and the processes that live and die in it, all decided by one seed. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import type { Download } from '../../src/download/download.js'
import type { DownloadOptions } from '../../src/download/options.js'
import type { DownloadState } from '../../src/download/states.js'
import type { DownloadManager } from '../../src/manager/manager.js'
import { VirtualClock } from './clock.js'
import { Disk, systemError } from './disk.js'
import type { FileCall } from './file-system.js'
import { Network } from './network.js'
import { type CompiledPackage, SimProcess } from './process.js'
import { Random } from './random.js'
import { FileServer, type Version } from './server.js'
import type { FileSpec, WorldSpec } from './spec.js'

/** Where all files of a world go to. */
export const directory = '/models'

/** Longest virtual time for what a world's callers start, and for the calm after it. */
const storyMs = 6 * 3_600_000

const calmMs = 2 * 3_600_000

const maxEvents = 400_000

/** An address that strangers must not reach. */
export const forbiddenAddress = '10.0.0.5'

/** One file of a world, with all that is known of it from outside. */
export interface SimFile {
  readonly index: number
  readonly spec: FileSpec
  readonly name: string
  readonly target: string
  readonly url: string
  readonly urls: readonly string[]
  readonly versions: Version[]
  readonly old: Buffer | null
  /** Bodies that were sent without a range and are not the file. */
  readonly aliens: Buffer[]
  readonly servers: FileServer[]
  /** The digest that the caller gives, and the content that has it. */
  readonly digest: string | null
}

/** What has become of a download, as its caller saw it. */
export interface Observation {
  readonly file: number
  readonly process: SimProcess
  state: DownloadState
  readonly states: DownloadState[]
  settled: 'no' | 'resolved' | 'rejected'
  error: { code: string; message: string; retryable: boolean } | null
  finished: Promise<unknown> | null
}

export class World implements AsyncDisposable {
  readonly spec: WorldSpec
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly disk: Disk
  readonly network: Network
  readonly files: SimFile[]
  readonly timeline: string[] = []
  readonly observations = new Map<Download, Observation>()
  /** Sentences that say which promise was broken. */
  readonly violations: string[] = []
  readonly processes: SimProcess[] = []
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
    this.disk = new Disk(spec.disk, () => Date.UTC(2026, 0, 1) + this.clock.now)
    this.network = new Network(this.clock, this.random.fork(), (line, detail) => {
      this.note(detail === undefined ? line : `${line} ${detail}`)
    })
    this.files = spec.files.map((file, index) => this.#prepare(file, index))
    this.disk.free = spec.freeBytes ?? Infinity
    const { outage } = spec
    if (outage !== null) {
      this.clock.schedule(outage.fromMs, () => (this.network.isDown = !this.isCalm))
      this.clock.schedule(outage.fromMs + outage.forMs, () => (this.network.isDown = false))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.processes) process.kill()
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

  // ---- what the world is made of

  #prepare(spec: FileSpec, index: number): SimFile {
    const name = `file${index}.bin`
    const versions = [1, 2].map((number) => ({
      number,
      content: contentOf(this.spec.seed + index, number, spec.size),
    }))
    const old = spec.existing ? contentOf(this.spec.seed + index, 9, Math.max(1, spec.size >> 1)) : null
    const target = path.join(directory, name)
    const hosts = spec.servers.map((_, mirror) => `m${mirror}.file${index}.test`)
    const aliens: Buffer[] = []
    const world = {
      version: (number: number) => versions[number - 1] ?? (versions[0] as Version),
      isCalm: () => this.isCalm,
    }
    const servers = spec.servers.map((server, mirror) => {
      const host = hosts[mirror] ?? ''
      const other = server.redirect === 'forbidden' ? 'inside.test' : `cdn.${host}`
      const made = new FileServer({
        host,
        address: `93.184.${index}.${mirror + 10}`,
        spec: server,
        world: {
          version: world.version,
          get isCalm() {
            return world.isCalm()
          },
          serveAlien: (content) => aliens.push(content),
        },
        random: this.random.fork(),
        redirectTo: other,
      })
      this.network.listen(host, made)
      this.network.listen(other, {
        address: server.redirect === 'forbidden' ? forbiddenAddress : `93.184.${index}.${mirror + 100}`,
        accept: (number) => made.accept(number),
        respond: (request) => made.respond(request),
        released: () => {
          made.released()
        },
      })
      return made
    })
    const urls = hosts.map((host) => `http://${host}/${name}`)
    if (old !== null) this.#putOld(target, old)
    const digest =
      spec.digest === 'unknown'
        ? null
        : sha256(spec.digest === 'known' ? contentOfLast(spec, versions) : Buffer.from('x'))
    return { index, spec, name, target, url: urls[0] ?? '', urls, versions, old, aliens, servers, digest }
  }

  #putOld(target: string, content: Buffer): void {
    this.disk.mkdir(directory, true, 0o755)
    const inode = this.disk.open(target, 0o101, 0o644)
    this.disk.write(inode, content, 0)
    this.disk.sync(inode)
    for (const folder of ['/', directory]) this.disk.sync(this.disk.lookup(folder, 'open'))
  }

  /** What the caller of a file asks for. */
  optionsOf(file: SimFile): DownloadOptions {
    const { spec } = file
    return {
      url: file.url,
      urls: file.urls,
      spread: spec.spread,
      mode: null,
      force: spec.force && !this.isCalm,
      ...(file.digest === null ? {} : { sha256: file.digest }),
      ...(spec.toldSize === 'unknown' ? {} : { size: spec.toldSize === 'right' ? spec.size : spec.size + 1 }),
      ...(spec.remote ? { remote: { allowPrivateNetwork: false, allowedHosts: [] } } : {}),
    } as DownloadOptions
  }

  // ---- processes

  processOf(pid: number): SimProcess | undefined {
    return this.processes.find((process) => process.pid === pid)
  }

  get current(): SimProcess | undefined {
    return this.processes.at(-1)
  }

  #start(): { manager: DownloadManager; process: SimProcess } {
    this.#isDown = false
    const process = new SimProcess(this, this.#compiled, { pid: this.#pid++, bootId: `boot-${this.#boot}` })
    this.processes.push(process)
    this.note(`process ${process.pid} starts`)
    const { spec } = this
    const manager = new process.package.DownloadManager({
      directory,
      worker: false,
      proxy: false,
      adopt: false,
      connections: spec.connections,
      concurrency: spec.concurrency,
      tuning: { minSegmentBytes: spec.minSegmentBytes },
    })
    this.manager = manager
    this.#watch(manager, process)
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
      this.disk.cutPower(this.random)
      // The store is not synced, so what was accepted may be forgotten.
      this.accepted.clear()
      this.#boot++
      this.checkTargets('after a power cut')
    }
    this.clock.schedule(1_000 + this.random.below(5_000), () => {
      const { manager, process: next } = this.#start()
      void this.#again(manager, next, power)
    })
  }

  /** After a restart the caller asks again for what it had asked for, unless the manager knows it already. */
  async #again(manager: DownloadManager, process: SimProcess, power: boolean): Promise<void> {
    await manager.ready.catch((error: unknown) => {
      this.#thrown('ready', error)
    })
    if (manager !== this.manager) return
    for (const index of this.#wanted) {
      const file = this.files[index]
      if (file === undefined || manager.get(file.url) !== undefined) continue
      // A power cut may take it, since the store is not synced; a disk that fails may hide it.
      if (this.accepted.has(index) && !power && this.spec.diskFaults.length === 0)
        this.violate(`file ${index} was accepted, and is forgotten after a kill`)
      await this.#call(index, 'download')
    }
    for (const download of manager.list()) this.#observe(download, process)
  }

  #watch(manager: DownloadManager, process: SimProcess): void {
    const move = (download: Download) => this.#observe(download, process)
    for (const event of [
      'queued',
      'started',
      'paused',
      'resumed',
      'verifying',
      'completed',
      'failed',
      'canceled',
    ] as const)
      manager.on(event, ({ download }: { download: Download }) => {
        this.note(`${event} ${download.filename}${event === 'failed' ? `: ${download.error?.code}` : ''}`)
        move(download)
      })
    manager.on('progress', ({ download, progress }) => {
      const seen = move(download)
      if (progress.total !== null && progress.downloaded > progress.total)
        this.violate(`progress of file ${seen.file} is beyond its total`)
    })
    manager.on('log', ({ message, level }) => {
      this.note(`log ${level}: ${message}`)
    })
    manager.on('retrying', ({ error, attempt, delayMs }) => {
      this.note(`retrying (${attempt}) in ${delayMs.toFixed(0)} ms: ${error.code} ${error.message}`)
    })
  }

  #observe(download: Download, process: SimProcess): Observation {
    let seen = this.observations.get(download)
    if (seen === undefined) {
      const file = this.files.findIndex(({ url }) => url === download.url)
      seen = {
        file,
        process,
        state: download.state,
        states: [download.state],
        settled: 'no',
        error: null,
        finished: null,
      }
      this.observations.set(download, seen)
    }
    if (seen.state !== download.state) seen.states.push(download.state)
    seen.state = download.state
    if (seen.finished !== download.finished) this.#follow(download, seen)
    return seen
  }

  // ---- what callers do

  async #call(index: number, what: WorldSpec['calls'][number]['what']): Promise<void> {
    const { manager } = this
    const file = this.files[index]
    const process = this.current
    if (file !== undefined && what === 'download') this.#wanted.add(index)
    if (manager === null || file === undefined || process === undefined) return
    this.note(`caller: ${what} ${file.name}`)
    try {
      switch (what) {
        case 'download': {
          const download = await manager.download(this.optionsOf(file))
          this.accepted.add(index)
          this.#observe(download, process)
          break
        }
        case 'restart':
          await this.#restart(manager, process)
          break
        case 'remove':
          this.accepted.delete(index)
          this.#wanted.delete(index)
          await manager.remove(file.url, { deleteFile: this.random.chance(0.3) })
          break
        case 'limit':
          manager.maxBytesPerSecond = this.random.chance(0.3) ? null : 50_000 + this.random.below(1_000_000)
          break
        case 'cancel':
          await manager.cancel(file.url)
          break
        default:
          this.#observe(await manager[what](file.url), process)
      }
    } catch (error) {
      this.#thrown(what, error)
    }
  }

  /** A retried download has a new promise. */
  #follow({ finished }: Download, seen: Observation): void {
    seen.finished = finished
    seen.settled = 'no'
    finished.then(
      () => {
        if (seen.finished === finished) seen.settled = 'resolved'
      },
      (error: unknown) => {
        const thrown = this.#thrown('finished', error)
        if (seen.finished !== finished) return
        seen.settled = 'rejected'
        seen.error = thrown
      },
    )
  }

  /** An error that a caller got: it must be one of ours, with a documented code. */
  #thrown(from: string, error: unknown): Observation['error'] {
    const { code, message, retryable } = error as { code?: unknown; message?: unknown; retryable?: unknown }
    const shown = error instanceof Error || typeof message === 'string' ? String(message) : String(error)
    if (typeof code !== 'string' || !/^[A-Z_]+$/.test(code) || typeof retryable !== 'boolean')
      this.violate(`${from} threw something that is not a DownloadError: ${shown}`)
    if (code === 'INTERNAL') this.violate(`${from} failed with INTERNAL: ${shown}`)
    return { code: String(code), message: shown, retryable: retryable === true }
  }

  async #restart(manager: DownloadManager, process: SimProcess): Promise<void> {
    await manager.close()
    if (manager !== this.manager) return
    this.checkClosed(process)
    process.kill()
    this.manager = null
    const next = this.#start()
    await this.#again(next.manager, next.process, false)
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
    void manager.ready.catch((error: unknown) => this.#thrown('ready', error))
    for (const file of this.files) void this.#call(file.index, 'download')
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
    const live = [...this.observations.values()].filter(({ process }) => process === this.current)
    const states = this.manager.list().map(({ state }) => state)
    return (
      live.length > 0 &&
      states.every((state) => ['completed', 'failed', 'canceled', 'paused'].includes(state))
    )
  }

  /** The end of all faults: whatever happened, the next one who asks gets the file. */
  async #calm(): Promise<void> {
    this.note('calm')
    const stuck = [...this.observations.entries()].filter(
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
    let isDone = false
    const isOver = () => isDone
    const limits = { untilMs: begin + calmMs, maxEvents: this.clock.events + maxEvents }
    void this.#lastRun(manager, current).finally(() => (isDone = true))
    await this.clock.runUntil(isOver, limits)
    if (!isDone) this.violate('in the calm at the end, not everything was over after two hours')
  }

  /** Called between the story and the calm; the invariants of the story are checked here. */
  endOfStory: () => void = () => undefined

  async #lastRun(manager: DownloadManager | null, process: SimProcess | undefined): Promise<void> {
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
      this.violate(`in the calm the store cannot be loaded: ${this.#thrown('ready', error)?.message}`)
      return
    }
    for (const file of this.files) await this.#finishOne(last, file)
    await last.close()
    const { current } = this
    if (current !== undefined) this.checkClosed(current)
  }

  async #finishOne(manager: DownloadManager, file: SimFile): Promise<void> {
    const fails = file.spec.digest === 'wrong' || file.spec.toldSize === 'wrong'
    try {
      let download = manager.get(file.url)
      if (download?.state === 'paused') await download.resume()
      else if (download === undefined || download.state !== 'queued')
        download = await manager.download(this.optionsOf(file))
      await download.finished
      if (fails) this.violate(`file ${file.index} was completed, though its digest or size is another one`)
      this.checkTarget(file, 'in the end', true)
    } catch (error) {
      const { code } = this.#thrown('finished', error) ?? {}
      if (!fails) this.violate(`in the calm file ${file.index} fails: ${code} ${(error as Error).message}`)
    }
  }

  // ---- faults of the disk

  /** What becomes of a file call. */
  fateOf(name: FileCall, process: SimProcess): 'lives' | 'dies-before' | 'dies-after' | Error {
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
    return systemError(fault.errno, name)
  }

  // ---- what lies under a final name

  /** A file has got a name. */
  renamed(to: string): void {
    const file = this.files.find(({ target }) => target === to)
    if (file !== undefined) this.checkTarget(file, 'at its rename', false)
  }

  checkTargets(when: string): void {
    for (const file of this.files) this.checkTarget(file, when, false)
  }

  checkTarget(file: SimFile, when: string, mustExist: boolean): void {
    const inode = this.disk.find(file.target)
    if (inode === null) {
      if (mustExist) this.violate(`${when} ${file.name} does not exist`)
      return
    }
    const content = inode.data.subarray(0, inode.size)
    if (file.old?.equals(content) === true && when !== 'at its rename') return
    if (file.digest !== null) {
      if (sha256(content) !== file.digest) this.violate(`${when} ${file.name} does not have its digest`)
      return
    }
    const known = file.spec.toldSize === 'right'
    const whole = [...file.versions.map((version) => version.content), ...(known ? [] : file.aliens)]
    if (!whole.some((version) => version.equals(content)))
      this.violate(
        `${when} ${file.name} is not one whole version: ${content.length} of ${file.spec.size} bytes`,
      )
  }
}

const pageBytes = 4096

/** Bytes that are the same nowhere else: random ones, and in each page its number. */
function contentOf(seed: number, version: number, size: number): Buffer {
  const page = new Random(seed * 31 + version).bytes(pageBytes)
  const content = Buffer.alloc(size, page)
  for (let at = 0; at + 4 <= size; at += pageBytes) content.writeUInt32LE(at / pageBytes, at)
  return content
}

/** The version that the servers have in the end. */
function contentOfLast(spec: FileSpec, versions: readonly Version[]): Buffer {
  const last = spec.servers.some(({ changesAt }) => changesAt !== null) ? 2 : 1
  return versions[last - 1]?.content ?? Buffer.alloc(0)
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
