/**
 * A small file server for the demo and the examples. It listens on loopback only, and supports ranges, entity tags and a
 * speed limit per connection, so that it behaves like a distant model hub.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

const ticksPerSecond = 20

/**
 * Starts the server.
 *
 * @param {Record<string, Uint8Array>} files content by path.
 * @param {{ bytesPerSecond?: number }} [options] speed limit of each connection; none by default.
 */
export async function startOrigin(files, { bytesPerSecond = Infinity } = {}) {
  let limit = bytesPerSecond
  // The server is on this machine, which a proxy can't reach.
  process.env.NO_PROXY = process.env.no_proxy = '127.0.0.1'
  const etags = new Map(
    Object.entries(files).map(([path, content]) => [path, `"${sha256(content).slice(0, 32)}"`]),
  )
  let sent = 0

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://127.0.0.1')
    const content = files[pathname]
    if (content === undefined) {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('No such file.\n')
      return
    }
    const etag = etags.get(pathname)
    const headers = { 'Accept-Ranges': 'bytes', ETag: etag, 'Content-Type': 'application/octet-stream' }
    const ifRange = request.headers['if-range']
    const asked =
      ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, content.length) : null
    if (asked === 'unsatisfiable') {
      response.writeHead(416, { ...headers, 'Content-Range': `bytes */${content.length}` }).end()
      return
    }
    const { start, end } = asked ?? { start: 0, end: content.length }
    response.writeHead(asked === null ? 200 : 206, {
      ...headers,
      'Content-Length': end - start,
      ...(asked === null ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${content.length}` }),
    })
    send(response, content.subarray(start, end)).catch(() => response.destroy())
  })

  async function send(response, bytes) {
    if (limit === Infinity) {
      sent += bytes.length
      response.end(bytes)
      return
    }
    const gone = once(response, 'close').catch(() => undefined)
    for (let at = 0; at < bytes.length && !response.destroyed;) {
      const part = bytes.subarray(at, at + Math.max(1, Math.round(limit / ticksPerSecond)))
      at += part.length
      const roomLeft = response.write(part)
      sent += part.length
      // A client that has disconnected never drains.
      if (!roomLeft) await Promise.race([once(response, 'drain'), gone])
      await delay(1000 / ticksPerSecond)
    }
    response.end()
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${server.address().port}`

  return {
    /** Returns the URL of a path. */
    url: (path) => base + path,
    /** Number of body bytes sent so far. */
    get bytesSent() {
      return sent
    },
    /** Changes the speed limit of each connection, including those that are open. */
    limit(bytesPerSecond) {
      limit = bytesPerSecond
    },
    /** Closes every connection and the server. */
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Parses `bytes=a-b`, `bytes=a-` or `bytes=-n` to a range with an exclusive end; null if none was requested. */
function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return null
  const start = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1])
  const end = match[1] === '' || match[2] === '' ? size : Math.min(size, Number(match[2]) + 1)
  return start < end ? { start, end } : 'unsatisfiable'
}

/** Returns the SHA-256 as lower-case hexadecimal digits. */
export function sha256(content) {
  return createHash('sha256').update(content).digest('hex')
}

/** Returns bytes that are accepted as a GGUF model: a header without tensors and metadata, followed by random bytes. */
export function fakeModel(size) {
  const content = randomBytes(size)
  content.fill(0, 0, 24)
  content.write('GGUF')
  content.writeUInt32LE(3, 4)
  return content
}
