/** Instances of a cluster as processes of their own, which can be killed, stopped and blocked. */
import { fileURLToPath } from 'node:url'
import type { BullmqClusterOptions } from '../../src/cluster/bullmq/bullmq.js'
import { createClient, type Client } from '../../src/client/index.js'
import type { DownloadManagerOptions } from '../../src/index.js'
import { RunningProcess } from '../support/process.js'

const script = fileURLToPath(new URL('instance.mjs', import.meta.url))

/** What an instance is like. Everything must be JSON. */
export interface InstancePlan {
  directory: string
  cluster: Omit<BullmqClusterOptions, 'connection' | 'node'> & { connection: string; node: string }
  manager?: Omit<DownloadManagerOptions, 'directory' | 'cluster'>
  /** Hosts that callers may have files fetched from. */
  allowedHosts: readonly string[]
  /** Where the process stops itself with SIGSTOP, once. Default: nowhere. */
  stopAt?: 'verifying' | 'renaming'
}

/** A running instance. End it: `await using`. */
export class Instance implements AsyncDisposable {
  readonly process: RunningProcess
  readonly node: string
  #client: Client | null = null

  /** @param wrapper - command prefix under which it runs, such as `container()`. */
  constructor(plan: InstancePlan, wrapper: readonly string[] = []) {
    this.node = plan.cluster.node
    const args = [process.execPath, script, JSON.stringify(plan)]
    const [command = process.execPath, ...rest] = [...wrapper, ...args]
    this.process = new RunningProcess(command, rest, { hasInput: true })
  }

  /** Waits until it listens. */
  async ready(): Promise<this> {
    await this.process.waitForOutput(/^listening on \d+$/m, 30_000)
    return this
  }

  /** Whether it can be asked. */
  get isReady(): boolean {
    return this.process.running && /^listening on \d+$/m.test(this.process.stdout)
  }

  /** A client of its routes, once it listens. */
  get client(): Client {
    const port = /^listening on (\d+)$/m.exec(this.process.stdout)?.[1]
    if (port === undefined) throw new Error(`Not listening: ${this.process.stdout}\n${this.process.stderr}`)
    return (this.#client ??= createClient({ baseUrl: `http://127.0.0.1:${port}` }))
  }

  /** Stops the whole process. */
  stop(): void {
    this.process.signal('SIGSTOP')
  }

  /** Lets it go on. */
  goOn(): void {
    this.process.signal('SIGCONT')
  }

  /** Blocks its main thread. */
  block(ms: number): void {
    this.process.input?.write(`block ${ms}\n`)
  }

  /** Whether it has said something. */
  said(text: string | RegExp): boolean {
    return typeof text === 'string' ? this.process.stdout.includes(text) : text.test(this.process.stdout)
  }

  async kill(): Promise<void> {
    await this.process.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn()
    if (this.process.running) await this.process.kill()
  }
}
