/** What the tests against nginx share: a served folder, an access log that can be read, a manager. */
import { readFile, rename, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Content } from '../support/content.js'
import { startNginx, type Nginx, type NginxOptions } from '../support/nginx.js'
import { tempDir } from '../support/temp.js'

/** One line of nginx's access log. */
export interface Access {
  path: string
  /** nginx's number of the connection. */
  connection: number
  status: number
  /** Body bytes. */
  bytes: number
  range: string
  ifRange: string
  /** Seconds since the epoch, when the answer began and ended. */
  begin: number
  end: number
}

/** An nginx over a folder of its own. */
export interface NginxBench extends AsyncDisposable {
  readonly nginx: Nginx
  /** Puts a file there; an old one is replaced at once, by a file with another time. */
  put(name: string, content: Content): Promise<void>
  /** What has been served so far; nginx writes a line when an answer has ended. */
  log(): Promise<Access[]>
}

/** Starts nginx. */
export async function startNginxBench(options: Omit<NginxOptions, 'root'> = {}): Promise<NginxBench> {
  const folder = tempDir('nginx')
  const root = tempDir('nginx-root')
  const logFile = join(folder, 'access.log')
  const format =
    '$uri\\t$connection\\t$status\\t$body_bytes_sent\\t$http_range\\t$http_if_range\\t$msec\\t$request_time'
  const nginx = await startNginx({
    ...options,
    root,
    extraHttpLines: [`log_format tabs '${format}';`],
    extraServerLines: [`access_log "${logFile}" tabs;`],
  })
  let version = 0
  return {
    nginx,
    async put(name, content) {
      const path = join(root, name)
      await writeFile(`${path}.new`, content.slice(0, content.size))
      // nginx makes its ETag of size and time, in whole seconds.
      version += 1
      await utimes(`${path}.new`, 1_700_000_000, 1_700_000_000 + version)
      await rename(`${path}.new`, path)
    },
    async log() {
      const lines = (await readFile(logFile, 'utf8')).split('\n').slice(0, -1)
      return lines.map((line) => {
        const [path = '', connection, status, bytes, range = '', ifRange = '', end, seconds] =
          line.split('\t')
        return {
          path,
          connection: Number(connection),
          status: Number(status),
          bytes: Number(bytes),
          range,
          ifRange,
          begin: Number(end) - Number(seconds),
          end: Number(end),
        }
      })
    },
    [Symbol.asyncDispose]: () => nginx.stop(),
  }
}

/** How many answers were under way at one time, at most. */
export function mostAtOnce(log: readonly Access[]): number {
  return Math.max(
    0,
    ...log.map(({ begin }) => log.filter((other) => other.begin <= begin && begin < other.end).length),
  )
}
