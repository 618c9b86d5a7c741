/** A redis-server of its own for a test, on a Unix socket or a port of 127.0.0.1. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { findProgram, type Need } from './machine.js'
import { tempDir } from './temp.js'
import { waitFor } from './wait.js'

/** For `describeWith`. */
export const redisServer: Need = {
  available: () => findProgram(['redis-server']) !== null,
  missing: 'redis-server is missing: apt-get install redis-server',
}

/** A server that can be killed and started again. End it: `await using`. */
export class RedisServer implements AsyncDisposable {
  readonly folder = tempDir('redis')
  readonly path = join(this.folder, 'redis.sock')
  #process: ChildProcess | null = null
  readonly #settings: readonly string[]

  private constructor(settings: readonly string[]) {
    this.#settings = settings
  }

  /** @param settings - as on the command line of redis-server. Default: nothing is kept on disk. */
  static async start(
    settings: readonly string[] = ['--save', '', '--appendonly', 'no'],
  ): Promise<RedisServer> {
    const server = new RedisServer(settings)
    await server.resume()
    return server
  }

  /** The address for clients. */
  get url(): string {
    return `unix://${this.path}`
  }

  /** Starts the server again. */
  async resume(): Promise<void> {
    const place = ['--port', '0', '--unixsocket', this.path, '--dir', this.folder, '--daemonize', 'no']
    this.#process = spawn('redis-server', [...place, ...this.#settings], { stdio: 'ignore' })
    await waitFor(() => this.isUp(), { what: 'redis-server to answer' })
  }

  async isUp(): Promise<boolean> {
    const redis = new Redis(this.path, {
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    })
    redis.on('error', () => undefined)
    try {
      await redis.connect()
      await redis.ping()
      return true
    } catch {
      return false
    } finally {
      redis.disconnect()
    }
  }

  /** A client, to look at what is stored. */
  client(): Redis {
    return new Redis(this.path, { maxRetriesPerRequest: 1 })
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const running = this.#process
    this.#process = null
    if (running?.exitCode !== null) return
    const exited = once(running, 'exit')
    running.kill(signal)
    await exited
  }

  /** Stops the process, as if the network were silent. */
  pause(): void {
    this.#process?.kill('SIGSTOP')
  }

  /** Lets it go on. */
  unpause(): void {
    this.#process?.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.unpause()
    await this.stop()
  }
}
