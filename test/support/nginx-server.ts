/** A real nginx on loopback, with its own configuration. Requires Debian's `nginx-light`. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { certificatePaths, keyPath } from './certificate.js'
import { waitFor, withTimeout } from './wait.js'
import { ownPort } from './ports.js'

/** Options of nginx. */
export interface NginxOptions {
  /** The folder whose files are served. */
  root: string
  /** Whether to use TLS with the valid test certificate. Default: false. */
  tls?: boolean
  /** Speed limit of each response in nginx's notation: `20m` is 20 MiB/s. Default: unlimited. */
  limitRate?: string
  /** Sets `max_ranges 0`, so that Range headers are ignored. Default: false. */
  maxRanges0?: boolean
  /** Additional lines for the http block, such as a `limit_conn_zone`. */
  extraHttpLines?: readonly string[]
  /** Additional lines for the server block. */
  extraServerLines?: readonly string[]
}

/** A running nginx. */
export interface Nginx {
  readonly port: number
  /** The URL of a path, such as `/model.gguf`. */
  url(path: string): string
  /** Process id of the master. */
  readonly pid: number
  /** Stops nginx and removes its temporary files. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const binary = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path))

/** Whether nginx is installed and can be run. */
export function nginxAvailable(): boolean {
  return binary !== undefined && spawnSync(binary, ['-v'], { stdio: 'ignore' }).status === 0
}

/** Escapes a path for a quoted string of nginx's configuration. */
const quoted = (path: string) => `"${path.replace(/[\\"$]/g, '\\$&')}"`

function configuration(folder: string, port: number, options: NginxOptions): string {
  const { root, tls = false, limitRate, maxRanges0 = false } = options
  const own = (name: string) => quoted(join(folder, name))
  const lines = [
    // Without this, workers of a root master can't read folders that only root may read.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'daemon off;',
    'worker_processes 2;',
    `pid ${own('nginx.pid')};`,
    `error_log ${own('error.log')} warn;`,
    'events { worker_connections 1024; }',
    'http {',
    'access_log off;',
    'sendfile on;',
    'tcp_nopush on;',
    'keepalive_requests 1000000;',
    'default_type application/octet-stream;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own(name)};`),
    ...(options.extraHttpLines ?? []),
    'server {',
    `listen 127.0.0.1:${port}${tls ? ' ssl' : ''};`,
    `root ${quoted(root)};`,
    ...(tls
      ? [`ssl_certificate ${quoted(certificatePaths.valid)};`, `ssl_certificate_key ${quoted(keyPath)};`]
      : []),
    ...(limitRate === undefined ? [] : [`limit_rate ${limitRate};`]),
    ...(maxRanges0 ? ['max_ranges 0;'] : []),
    ...(options.extraServerLines ?? []),
    '}',
    '}',
  ]
  return lines.join('\n') + '\n'
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/**
 * Starts nginx on a free loopback port and waits until it accepts connections. Works as root and as any other user.
 *
 * @throws Error with nginx's own message when it doesn't start.
 */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  // Another process may take the free port before nginx does.
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options)
    } catch (error) {
      if (attempt === 3 || !String(error).includes('Address already in use')) throw error
    }
  }
}

async function startOnce(options: NginxOptions): Promise<Nginx> {
  if (binary === undefined) throw new Error('There is no nginx here: apt-get install nginx-light.')
  const folder = await mkdtemp(join(tmpdir(), 'model-downloader-nginx-'))
  const port = await ownPort()
  const file = join(folder, 'nginx.conf')
  const errorLog = join(folder, 'error.log')
  await writeFile(file, configuration(folder, port, options))
  const child = spawn(binary, ['-p', folder, '-e', errorLog, '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words += text))
  const abandon = () => child.kill('SIGTERM')
  process.once('exit', abandon)
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      words += error.message
      resolve()
    })
    child.once('close', () => resolve())
  })
  const ended = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined

  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    try {
      await withTimeout(exited, 5_000, 'nginx to stop')
    } finally {
      process.off('exit', abandon)
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    }
  }
  try {
    const ready = async () => ended() || (await accepts(port))
    await waitFor(ready, { timeoutMs: 5_000, what: 'nginx to accept' })
    const { pid } = child
    if (ended() || pid === undefined) {
      words += await readFile(errorLog, 'utf8').catch(() => '')
      throw new Error(`nginx did not start: ${words}`)
    }
    const url = (path: string) => `${options.tls === true ? 'https' : 'http'}://127.0.0.1:${port}${path}`
    return { port, url, pid, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}
