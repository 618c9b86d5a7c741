/** A simulated network: sockets in memory, whose bytes take their time and whose servers misbehave. */
import { Duplex } from 'node:stream'
import type { Random } from './random.js'
import type { SimProcess } from './process.js'
import type { VirtualClock } from './clock.js'
import { systemError } from './disk.js'

/** What a server does with a connection, one after the other. */
export type Step =
  | { readonly kind: 'send'; readonly bytes: Buffer }
  | { readonly kind: 'wait'; readonly ms: number }
  /** The server is done; the connection stays open for another request. */
  | { readonly kind: 'done' }
  /** The connection ends in order, or by a reset, or nothing more ever comes. */
  | { readonly kind: 'end'; readonly how: 'fin' | 'rst' | 'silence' }

/** A request as a server sees it. */
export interface SimRequest {
  readonly host: string
  readonly path: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** Of this server's connections, from 1. */
  readonly connection: number
}

/** Somebody who listens under a name. */
export interface SimServer {
  readonly address: string
  /** How a new connection is treated; `number` counts this server's connections from 1. */
  accept(number: number): 'open' | 'refuse' | 'silence'
  respond(request: SimRequest): readonly Step[]
  /** A response has ended, or its connection has. */
  released(): void
}

interface ReceivingOptions {
  buffer: Uint8Array | (() => Uint8Array)
  callback(this: unknown, count: number, buffer: Uint8Array): boolean
}

interface ConnectOptions {
  host: string
  port: number | string
  onread?: ReceivingOptions
  lookup?: (
    hostname: string,
    options: object,
    callback: (error: Error | null, addresses: readonly { address: string }[] | string) => void,
  ) => void
}

/** The client's end of a connection; what `net.connect` returns. */
export class SimSocket extends Duplex {
  connecting = true
  remoteAddress: string | undefined
  remotePort: number | undefined
  bytesRead = 0
  bytesWritten = 0
  timeout = 0
  readonly #network: Network
  readonly #onread: ReceivingOptions | undefined
  #link: Link | null = null
  #early: Buffer[] = []

  constructor(network: Network, process: SimProcess, options: ConnectOptions) {
    super({ allowHalfOpen: false, autoDestroy: true, highWaterMark: 64 * 1024 })
    this.#network = network
    this.#onread = options.onread
    this.remotePort = Number(options.port)
    network.dial(this, process, options)
  }

  // What undici calls and the world has no use for.
  setKeepAlive(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }

  connected(link: Link): void {
    this.#link = link
    this.connecting = false
    this.remoteAddress = link.server.address
    for (const bytes of this.#early) link.fromClient(bytes)
    this.#early = []
    this.emit('connect')
    this.emit('ready')
  }

  /** Bytes from the server. Returns false when no more are wanted for now. */
  receive(bytes: Buffer): boolean {
    this.bytesRead += bytes.length
    if (this.#onread === undefined) return this.push(bytes)
    let isWanted = true
    for (let at = 0; at < bytes.length;) {
      const { buffer: given } = this.#onread
      const buffer = typeof given === 'function' ? given() : given
      const count = Math.min(buffer.length, bytes.length - at)
      buffer.set(bytes.subarray(at, at + count))
      isWanted = this.#onread.callback.call(this, count, buffer)
      at += count
    }
    return isWanted
  }

  /** Whoever held it has died, and hears nothing more. */
  mute(): void {
    this.#link?.abandon()
  }

  finish(): void {
    this.push(null)
  }

  reset(): void {
    this.destroy(systemError('ECONNRESET', 'read'))
  }

  /** As a socket of Node does, it asks for more even when its stream has nothing to do with it. */
  override resume(): this {
    super.resume()
    this.#link?.wanted()
    return this
  }

  override _read(): void {
    this.#link?.wanted()
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.bytesWritten += chunk.length
    if (this.#link === null) this.#early.push(chunk)
    else this.#link.fromClient(chunk)
    done()
  }

  override _final(done: () => void): void {
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#link?.abandon()
    this.#network.closed(this)
    done(error)
  }
}

/** One connection, seen from the server. */
class Link {
  readonly server: SimServer
  readonly #number: number
  readonly #host: string
  readonly #socket: SimSocket
  readonly #network: Network
  #request = ''
  #steps: Step[] = []
  #isBusy = false
  #isWanted = true
  #isOver = false
  #isServing = false

  constructor(network: Network, socket: SimSocket, server: SimServer, host: string, number: number) {
    this.#network = network
    this.#socket = socket
    this.server = server
    this.#host = host
    this.#number = number
  }

  fromClient(bytes: Buffer): void {
    if (this.#isOver) return
    this.#request += bytes.toString('latin1')
    const end = this.#request.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = this.#request.slice(0, end)
    this.#request = this.#request.slice(end + 4)
    const [line = '', ...fields] = head.trimStart().split('\r\n')
    const headers = new Map(
      fields.map((field): [string, string] => {
        const colon = field.indexOf(':')
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
      }),
    )
    const path = line.split(' ')[1] ?? '/'
    const request = { host: this.#host, path, headers, connection: this.#number }
    this.#network.note(`${this.#host} #${this.#number}: ${line.slice(0, -9)}`, headers.get('range'))
    this.#isServing = true
    this.#steps.push(...this.server.respond(request))
    this.#next()
  }

  /** The client reads again. */
  wanted(): void {
    if (this.#isWanted) return
    this.#isWanted = true
    this.#next()
  }

  /** The client is gone. */
  abandon(): void {
    this.#release()
    this.#isOver = true
    this.#steps = []
  }

  #release(): void {
    if (this.#isServing) this.server.released()
    this.#isServing = false
  }

  #next(): void {
    if (this.#isBusy || this.#isOver || !this.#isWanted) return
    const step = this.#steps.shift()
    if (step === undefined) return
    if (step.kind === 'done') {
      this.#release()
      return
    }
    this.#isBusy = true
    const delay = step.kind === 'wait' ? step.ms : this.#network.latency()
    this.#network.clock.schedule(delay, () => {
      this.#isBusy = false
      if (this.#isOver) return
      this.#take(step)
      this.#next()
    })
  }

  #take(step: Exclude<Step, { kind: 'done' }>): void {
    if (step.kind === 'send') {
      const size = this.#network.pieceSize()
      if (step.bytes.length > size) this.#steps.unshift({ kind: 'send', bytes: step.bytes.subarray(size) })
      this.#isWanted = this.#socket.receive(step.bytes.subarray(0, size))
    } else if (step.kind === 'end') {
      this.#release()
      this.#isOver = true
      this.#network.note(`${this.#host} #${this.#number}: ${step.how}`)
      if (step.how === 'fin') this.#socket.finish()
      if (step.how === 'rst') this.#socket.reset()
    }
  }
}

/** All servers of a world, and the sockets that are open to them. */
export class Network {
  readonly clock: VirtualClock
  readonly note: (line: string, detail?: string) => void
  readonly #servers = new Map<string, SimServer>()
  readonly #connections = new Map<SimServer, number>()
  readonly #open = new Map<SimSocket, SimProcess>()
  readonly #random: Random
  /** Every address that was connected to, with the process that did. */
  readonly dialed: { process: SimProcess; address: string }[] = []
  /** How many times slower than usual everything is. */
  slowness = 1
  /** Nobody can be reached. */
  isDown = false

  constructor(clock: VirtualClock, random: Random, note: (line: string, detail?: string) => void) {
    this.clock = clock
    this.#random = random
    this.note = note
  }

  /** Lets a server listen under a name. */
  listen(host: string, server: SimServer): void {
    this.#servers.set(host, server)
  }

  addressOf(host: string): string | null {
    return this.#servers.get(host)?.address ?? null
  }

  latency(): number {
    const ms = this.#random.chance(0.02) ? this.#random.below(500) : 1 + this.#random.below(20)
    return ms * this.slowness
  }

  pieceSize(): number {
    const size = this.#random.chance(0.1) ? 1 + this.#random.below(100) : 1 + this.#random.below(48 * 1024)
    return size
  }

  /** Sockets that a process has open. */
  openOf(process: SimProcess): SimSocket[] {
    return [...this.#open].filter(([, owner]) => owner === process).map(([socket]) => socket)
  }

  dial(socket: SimSocket, process: SimProcess, options: ConnectOptions): void {
    this.#open.set(socket, process)
    if (!process.isAlive) return
    if (options.lookup === undefined) {
      this.#connect(socket, process, options.host)
      return
    }
    options.lookup(options.host, { all: true }, (error) => {
      if (error !== null) socket.destroy(error)
      else this.#connect(socket, process, options.host)
    })
  }

  #connect(socket: SimSocket, process: SimProcess, host: string): void {
    this.clock.schedule(this.latency(), () => {
      if (socket.destroyed || !process.isAlive) return
      const server = this.isDown ? undefined : this.#servers.get(host)
      if (server === undefined) {
        socket.destroy(systemError(this.isDown ? 'ENETUNREACH' : 'ENOTFOUND', 'connect'))
        return
      }
      this.dialed.push({ process, address: server.address })
      const number = (this.#connections.get(server) ?? 0) + 1
      this.#connections.set(server, number)
      const how = server.accept(number)
      this.note(`${host} #${number}: ${how}`)
      if (how === 'refuse') socket.destroy(systemError('ECONNREFUSED', 'connect'))
      if (how === 'open') socket.connected(new Link(this, socket, server, host, number))
    })
  }

  closed(socket: SimSocket): void {
    this.#open.delete(socket)
  }

  /** A process has died: its sockets are gone, and it hears nothing of it. */
  drop(process: SimProcess): void {
    for (const [socket, owner] of this.#open) {
      if (owner !== process) continue
      socket.mute()
      this.#open.delete(socket)
    }
  }
}
