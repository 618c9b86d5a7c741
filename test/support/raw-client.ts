/** An HTTP client that validates nothing, and reports exactly what was received. */
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { caPem } from './certificate.js'

/** A request. */
export interface RawRequest {
  method?: string
  /** Headers in addition to Host. Default: `Connection: close`, so that the origin closes the connection. */
  headers?: Record<string, string>
  body?: string
  /** How long to read when the connection stays open, in milliseconds. Default: 5,000. */
  listenMs?: number
}

/** What was received. */
export interface RawResponse {
  /** Status of the response, or 0 when it is not an HTTP response. */
  status: number
  /** Header lines in the order received, with names in lower case. */
  headers: [name: string, value: string][]
  /** The first value of a header. */
  header: (name: string) => string | undefined
  /** Everything after the head, including framing. */
  body: Buffer
  /** All received bytes. */
  bytes: Buffer
  /** How the connection ended: FIN, an error code such as ECONNRESET, or `open` when the time was up. */
  end: string
  /** Time from connecting to the end, in milliseconds. */
  tookMs: number
}

/** Sends one request on a connection of its own and reads until the connection ends. */
export async function rawGet(url: string, request: RawRequest = {}): Promise<RawResponse> {
  const { method = 'GET', headers = {}, body = '', listenMs = 5_000 } = request
  const { protocol, hostname, port, pathname, search, host } = new URL(url)
  const all = {
    Host: host,
    Connection: 'close',
    ...(body === '' ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`
  return rawExchange(
    { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), tls: protocol === 'https:' },
    head + body,
    listenMs,
  )
}

/** Sends a text on a connection of its own and reads until the connection ends. */
export async function rawExchange(
  { host = '127.0.0.1', port, tls = false }: { host?: string; port: number; tls?: boolean },
  text: string,
  listenMs = 5_000,
): Promise<RawResponse> {
  const start = performance.now()
  const chunks: Buffer[] = []
  const end = await new Promise<string>((resolve) => {
    const socket = tls ? connectTls({ host, port, ca: caPem }) : connectTcp({ host, port })
    const timer = setTimeout(() => {
      resolve('open')
      socket.destroy()
    }, listenMs)
    socket.on('data', (data: Buffer) => chunks.push(data))
    socket.once('end', () => resolve('FIN'))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('close', () => {
      clearTimeout(timer)
      resolve('closed')
    })
    socket.write(text)
  })
  return parse(Buffer.concat(chunks), end, performance.now() - start)
}

function parse(bytes: Buffer, end: string, tookMs: number): RawResponse {
  const headEnd = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes.toString('latin1', 0, Math.max(headEnd, 0)).split('\r\n')
  const match = /^HTTP\/1\.1 (\d{3}) /.exec(first)
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  return {
    status: match === null ? 0 : Number(match[1]),
    headers,
    header: (name) => headers.find(([other]) => other === name.toLowerCase())?.[1],
    body: headEnd < 0 ? Buffer.alloc(0) : bytes.subarray(headEnd + 4),
    bytes,
    end,
    tookMs,
  }
}

/** The content of a chunked body as far as it was received, and whether the last chunk was received. */
export function dechunk(body: Buffer): { data: Buffer; complete: boolean } {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const lineEnd = body.indexOf('\r\n', at)
    if (lineEnd < 0) return { data: Buffer.concat(parts), complete: false }
    const length = parseInt(body.toString('latin1', at, lineEnd), 16)
    if (length === 0) return { data: Buffer.concat(parts), complete: true }
    parts.push(body.subarray(lineEnd + 2, lineEnd + 2 + length))
    at = lineEnd + 2 + length + 2
  }
}
