/** A PostgreSQL of its own for a test, on a Unix socket, as a user without rights since it refuses to run as root. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { asNobody, findProgram, type Need } from './machine.js'
import { tempDir } from './temp.js'
import { waitFor } from './wait.js'

const nobody = 65_534

/** Where Debian has the programs of the server, the newest version first. */
function findPostgres(): string | null {
  const versions = '/usr/lib/postgresql'
  const found = existsSync(versions) ? readdirSync(versions).sort((a, b) => Number(b) - Number(a)) : []
  const folder = found
    .map((version) => join(versions, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')))
  if (folder !== undefined) return folder
  const initdb = findProgram(['initdb'])
  return initdb === null ? null : join(initdb, '..')
}

/** For `describeWith`. */
export const postgres: Need = {
  available: () => {
    if (findPostgres() === null) return false
    const isRoot = process.getuid?.() === 0
    return !isRoot || spawnSync('setpriv', [...asNobody.slice(1), 'true']).status === 0
  },
  missing: 'PostgreSQL is missing: apt-get install postgresql util-linux',
}

/** A server that runs until it is disposed of: `await using`. */
export class PostgresServer implements AsyncDisposable {
  readonly #folder = tempDir('pg')
  #process: ChildProcess | null = null

  static async start(): Promise<PostgresServer> {
    const server = new PostgresServer()
    await server.#start()
    return server
  }

  /** Options of a pool. */
  get connection(): { host: string; user: string; database: string } {
    return { host: this.#folder, user: 'postgres', database: 'postgres' }
  }

  async #start(): Promise<void> {
    const bin = findPostgres() ?? ''
    const data = join(this.#folder, 'data')
    mkdirSync(data, { mode: 0o700 })
    const prefix = process.getuid?.() === 0 ? asNobody : []
    if (prefix.length > 0) for (const folder of [this.#folder, data]) chownSync(folder, nobody, nobody)
    const run = (program: string, args: readonly string[]) =>
      [...prefix, join(bin, program), ...args] as const
    const [command = '', ...args] = run('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'])
    execFileSync(command, args, { stdio: 'ignore', cwd: this.#folder })
    const settings = ['-c', 'fsync=off', '-c', 'listen_addresses=', '-c', 'max_connections=200']
    const [server = '', ...rest] = run('postgres', ['-D', data, '-k', this.#folder, ...settings])
    this.#process = spawn(server, rest, { stdio: 'ignore', cwd: this.#folder })
    const ready = [join(bin, 'pg_isready'), ['-q', '-h', this.#folder, '-U', 'postgres']] as const
    await waitFor(() => spawnSync(...ready).status === 0, { timeoutMs: 20_000, what: 'PostgreSQL to answer' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = this.#process
    this.#process = null
    if (running?.exitCode !== null) return
    const exited = once(running, 'exit')
    // The immediate shutdown.
    running.kill('SIGQUIT')
    await exited
  }
}
