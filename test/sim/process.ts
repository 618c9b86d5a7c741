/** A simulated process: one evaluation of the bundled package, with the world's time, disk, network and chance. */
import { Blob } from 'node:buffer'
import * as crypto from 'node:crypto'
import { createRequire } from 'node:module'
import vm from 'node:vm'
import type { DownloadManager } from '../../src/manager/manager.js'
import type { ScheduledEvent, VirtualClock } from './clock.js'
import { type FileCall, FileCalls, fileSystemOf } from './file-system.js'
import { SimSocket } from './network.js'
import type { Random } from './random.js'
import type { World } from './world.js'
import { simulatedZlib } from './zlib.js'

/** What the bundle exports. */
export interface Package {
  DownloadManager: typeof DownloadManager
}

/** The bundle, ready to be evaluated. */
export type CompiledPackage = (...globals: unknown[]) => void

const globalNames = [
  ...['require', 'module', 'exports', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
  ...[
    'setImmediate',
    'clearImmediate',
    'Date',
    'Math',
    'performance',
    'process',
    'AbortSignal',
    'WebAssembly',
  ],
] as const

/** Compiles the bundle once; each process evaluates it anew, so that it shares no state with any other. */
export function compilePackage(code: string): CompiledPackage {
  return vm.compileFunction(code, [...globalNames], { filename: 'simulated.cjs' }) as CompiledPackage
}

const realRequire = createRequire(import.meta.url)

/** Thrown into the code of a process that has just been killed, where it can't be stopped otherwise. */
class Killed extends Error {}

/** Compiling the parser of HTTP takes longer than a whole world; its bytes are always the same. */
const modules = new Map<number, object>()

/** The types of Node that this project compiles with do not have it. */
const realWebAssembly = (
  globalThis as unknown as { WebAssembly: { Instance: unknown; Module: new (bytes: Uint8Array) => object } }
).WebAssembly

const cachedWebAssembly = {
  Instance: realWebAssembly.Instance,
  // What a constructor returns takes the place of the object that `new` has made.
  Module: function compileOnce(bytes: Uint8Array) {
    const known = modules.get(bytes.length) ?? new realWebAssembly.Module(bytes)
    modules.set(bytes.length, known)
    return known
  },
}

/** There is no TLS in a world; undici only asks whether a socket is of this class. */
class NoTlsSocket extends SimSocket {}

/** What a timer of a simulated process answers. */
class SimTimer {
  readonly #process: SimProcess
  readonly #run: () => void
  readonly #ms: number
  readonly #repeats: boolean
  #event: ScheduledEvent | null = null
  isReferenced = true
  readonly label: string

  constructor(process: SimProcess, run: () => void, ms: number, repeats: boolean, label: string) {
    this.label = label
    this.#process = process
    this.#run = run
    this.#ms = Math.max(1, ms)
    this.#repeats = repeats
    this.refresh()
  }

  /** What it runs, to find it in the sources. */
  get code(): string {
    return this.label.replace(/\s+/g, ' ').slice(0, 100)
  }

  ref(): this {
    this.isReferenced = true
    return this
  }

  unref(): this {
    this.isReferenced = false
    return this
  }

  refresh(): this {
    this.cancel()
    this.#process.timers.add(this)
    this.#event = this.#process.schedule(this.#ms, () => {
      this.#event = null
      if (this.#repeats) this.refresh()
      else this.#process.timers.delete(this)
      this.#run()
    })
    return this
  }

  cancel(): void {
    this.#process.timers.delete(this)
    if (this.#event !== null) this.#process.clock.cancel(this.#event)
    this.#event = null
  }

  close(): void {
    this.cancel()
  }

  [Symbol.toPrimitive](): number {
    return 0
  }
}

/** One process of a world. */
export class SimProcess {
  readonly world: World
  readonly clock: VirtualClock
  readonly random: Random
  readonly pid: number
  readonly bootId: string
  readonly files: FileCalls
  readonly timers = new Set<SimTimer>()
  isAlive = true
  /** File calls that have begun. */
  diskCalls = 0
  readonly #package: Package

  constructor(world: World, compiled: CompiledPackage, { pid, bootId }: { pid: number; bootId: string }) {
    this.world = world
    this.clock = world.clock
    this.random = world.random.fork()
    this.pid = pid
    this.bootId = bootId
    this.files = new FileCalls(this)
    const module = { exports: {} }
    const builtins = this.#builtins()
    const require = (name: string) =>
      builtins.get(name.replace(/^node:/, '')) ?? (realRequire(name) as unknown)
    const globals = { ...this.#globals(), require, module, exports: module.exports }
    compiled(...globalNames.map((name) => globals[name]))
    this.#package = module.exports as Package
  }

  get package(): Package {
    return this.#package
  }

  /** Schedules something that does not happen once the process is dead. */
  schedule(delayMs: number, run: () => void): ScheduledEvent {
    return this.clock.schedule(
      delayMs,
      () => {
        if (this.isAlive) run()
      },
      this,
    )
  }

  /** Ends it at once, as SIGKILL does. */
  kill(): void {
    this.isAlive = false
    this.clock.cancelAll(this)
    this.world.network.drop(this)
  }

  // ---- disk

  /** An asynchronous file call: it takes a while, may fail, and may be the last one of the process. */
  diskCall(
    name: FileCall,
    call: () => unknown,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ): void {
    if (!this.isAlive) return
    const delay = this.random.chance(0.01) ? this.random.below(200) : this.random.below(3)
    this.schedule(delay, () => {
      let answer: () => void
      try {
        const value = this.#perform(name, call)
        answer = () => { resolve(value) } // prettier-ignore
      } catch (error) {
        if (error instanceof Killed) return
        answer = () => { reject(error) } // prettier-ignore
      }
      // What a thread has done is heard of later, and after what another thread has done since.
      const late = this.random.chance(0.1) ? this.random.below(4) : 0
      if (late === 0) answer()
      else this.schedule(late, answer)
    })
  }

  /** A synchronous one. */
  diskCallNow(name: FileCall, call: () => unknown): unknown {
    if (!this.isAlive) throw new Killed()
    return this.#perform(name, call)
  }

  #perform(name: FileCall, call: () => unknown): unknown {
    this.diskCalls++
    const fate = this.world.fateOf(name, this)
    if (fate === 'dies-before') this.#die()
    if (typeof fate === 'object') {
      // A descriptor is closed also when closing it fails.
      if (name === 'close') call()
      throw fate
    }
    // Node goes on with what is left of a text, so only single reads and writes are short.
    this.files.isShort = fate === 'short' && (name === 'read' || name === 'write')
    const value = call()
    if (fate === 'dies-after') this.#die()
    return value
  }

  #die(): never {
    this.world.die(this)
    throw new Killed()
  }

  /** What Linux says about processes. */
  readProc(where: string): string {
    if (where === '/proc/sys/kernel/random/boot_id') return this.bootId
    if (where === '/proc/self/ns/pid') return 'pid:[1]'
    if (where === '/proc/self/status') return 'Umask:\t0022\n'
    const pid = /^\/proc\/(self|\d+)\/stat$/.exec(where)?.[1]
    const process = pid === 'self' ? this : this.world.processOf(Number(pid))
    if (process?.isAlive !== true) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
    // Field 22 is the time at which it started.
    return `${process.pid} (node) S ${'0 '.repeat(18)}${process.pid * 7} 0`
  }

  // ---- what the package finds around it

  #globals() {
    const { clock, random } = this
    const timer = (run: (...given: unknown[]) => void, ms: number, given: unknown[], repeats: boolean) =>
      new SimTimer(this, () => { run(...given) }, ms, repeats, String(run)) // prettier-ignore
    const cancel = (given: unknown) => {
      if (given instanceof SimTimer) given.cancel()
    }
    const epoch = Date.UTC(2026, 0, 1)
    const SimDate = class extends Date {
      constructor(...given: ConstructorParameters<typeof Date> | []) {
        if (given.length === 0) super(epoch + clock.now)
        else super(...given)
      }
      static override now() {
        return epoch + clock.now
      }
    }
    const performance = { now: () => clock.now, timeOrigin: epoch, mark() {}, measure() {} }
    return {
      setTimeout: (run: () => void, ms = 0, ...given: unknown[]) => timer(run, ms, given, false),
      setInterval: (run: () => void, ms = 0, ...given: unknown[]) => timer(run, ms, given, true),
      // It runs before the process could end.
      setImmediate: (run: () => void, ...given: unknown[]) => timer(run, 0, given, false).unref(),
      clearTimeout: cancel,
      clearInterval: cancel,
      clearImmediate: cancel,
      Date: SimDate,
      Math: Object.assign(Object.create(Math) as Math, { random: () => random.fraction() }),
      performance,
      process: this.#processObject(),
      AbortSignal: this.#abortSignal(),
      WebAssembly: cachedWebAssembly,
    }
  }

  #processObject() {
    return {
      pid: this.pid,
      platform: 'linux',
      arch: 'x64',
      env: {},
      version: process.version,
      versions: process.versions,
      execArgv: [],
      cwd: () => '/',
      nextTick: (run: (...given: unknown[]) => void, ...given: unknown[]) => {
        process.nextTick(run, ...given)
      },
      emitWarning() {},
      memoryUsage: process.memoryUsage,
      kill: (pid: number) => {
        if (this.world.processOf(pid)?.isAlive === true) return true
        throw Object.assign(new Error('ESRCH'), { code: 'ESRCH' })
      },
    }
  }

  #abortSignal() {
    return new Proxy(AbortSignal, {
      get: (target, name) =>
        name === 'timeout'
          ? (ms: number) => {
              const controller = new AbortController()
              this.schedule(ms, () => {
                controller.abort(new DOMException('The operation timed out.', 'TimeoutError'))
              })
              return controller.signal
            }
          : (Reflect.get(target, name) as unknown),
    })
  }

  #builtins(): Map<string, unknown> {
    const fs = fileSystemOf(this)
    const { random, world } = this
    const sleep = (ms: number, value?: unknown, { signal }: { signal?: AbortSignal } = {}) =>
      new Promise((resolve, reject) => {
        const fail = () => {
          reject(new DOMException('The operation was aborted', 'AbortError'))
        }
        if (signal?.aborted === true) {
          fail()
          return
        }
        const event = this.schedule(ms, () => {
          signal?.removeEventListener('abort', stop)
          resolve(value)
        })
        const stop = () => {
          this.clock.cancel(event)
          fail()
        }
        signal?.addEventListener('abort', stop, { once: true })
      })
    const connect = (options: ConstructorParameters<typeof SimSocket>[2]) =>
      new SimSocket(world.network, this, options)
    const net = {
      connect,
      createConnection: connect,
      isIP: isIp,
      isIPv4: isIp,
      isIPv6: () => 0,
      Socket: SimSocket,
    }
    const lookup = async (host: string) => {
      const address = world.network.addressOf(host)
      if (address !== null) return [{ address, family: 4 }]
      throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })
    }
    const uuid = () => {
      const hex = random.bytes(16).toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
    }
    return new Map<string, unknown>([
      ['fs', fs],
      ['fs/promises', fs['promises']],
      ['net', net],
      ['tls', { connect, TLSSocket: NoTlsSocket }],
      ['dns', { lookup }],
      ['dns/promises', { lookup }],
      ['timers/promises', { setTimeout: sleep, setImmediate: () => sleep(0) }],
      ['crypto', { ...crypto, randomUUID: uuid, randomBytes: (length: number) => random.bytes(length) }],
      ['os', { constants: realRequire('node:os').constants, hostname: () => 'sim', homedir: () => '/home', tmpdir: () => '/tmp', uptime: () => this.clock.now / 1000 }], // prettier-ignore
      ['process', this.#processObject()],
      ['worker_threads', { Worker: null, isMainThread: true, parentPort: null, threadId: 0 }],
      ['buffer', { ...realRequire('node:buffer'), Blob }],
      ['zlib', simulatedZlib],
      ['perf_hooks', { performance: { now: () => this.clock.now } }],
    ])
  }
}

function isIp(text: string): number {
  return /^\d+\.\d+\.\d+\.\d+$/.test(text) ? 4 : 0
}
