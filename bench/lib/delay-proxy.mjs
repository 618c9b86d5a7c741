/**
 * A TCP proxy on loopback that makes the way to a server long: a round trip takes `--rtt` milliseconds, each connection
 * begins with a small window that grows with what arrives (slow start), and gets at most `--rate` bytes per second.
 *
 * A program of its own, so that its time is not that of the tool that is measured. It prints its port.
 */
import { createServer, connect } from 'node:net'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { target: { type: 'string' }, rtt: { type: 'string' }, rate: { type: 'string' } },
})
const target = Number(values.target)
const half = Number(values.rtt ?? 0) / 2
const rate = values.rate === undefined ? Infinity : Number(values.rate)

/** Ten segments, as Linux begins (RFC 6928). */
const firstWindow = 10 * 1460
/** What a connection may have under way at most, in bytes. */
const largestWindow = 8 * 1024 * 1024

createServer({ noDelay: true }, (client) => {
  // The handshake has taken a round trip before the first byte of a client can leave.
  const openAt = performance.now() + 2 * half
  const server = connect({ host: '127.0.0.1', port: target, noDelay: true })
  const end = () => {
    client.destroy()
    server.destroy()
  }
  client.on('error', end)
  server.on('error', end)
  client.on('close', end)
  client.on('data', (bytes) => {
    const wait = Math.max(half, openAt - performance.now() + half)
    setTimeout(() => server.writable && server.write(bytes), wait)
  })
  client.on('end', () => setTimeout(() => server.end(), half))

  let window = firstWindow
  let underWay = 0
  /** When the link is free to take the next byte. */
  let freeAt = 0
  const review = () => {
    if (underWay >= window) server.pause()
    else server.resume()
  }
  server.on('data', (bytes) => {
    const now = performance.now()
    underWay += bytes.length
    freeAt = Math.max(freeAt, now) + (bytes.length * 1000) / rate
    setTimeout(
      () => {
        if (client.writable) client.write(bytes)
        setTimeout(() => {
          underWay -= bytes.length
          window = Math.min(largestWindow, window + bytes.length)
          review()
        }, half)
      },
      freeAt - now + half,
    )
    review()
  })
  server.on('end', () => setTimeout(() => client.end(), Math.max(0, freeAt - performance.now()) + half))
}).listen(0, '127.0.0.1', function () {
  console.log(this.address().port)
})
