/**
 * A TCP proxy on loopback that makes the way to a server long: bytes take half of `--rtt` milliseconds in each direction.
 * That alone limits nothing. With `--rate`, each connection gets at most so many bytes per second, as the networks that
 * deliver models limit their clients; with `--slow-start`, it begins with a small window that grows with what arrives.
 *
 * A program of its own, so that its time is not that of the tool that is measured. It prints its port as JSON.
 */
import { createServer, connect } from 'node:net'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    rtt: { type: 'string' },
    rate: { type: 'string' },
    'slow-start': { type: 'boolean', default: false },
  },
})
const target = Number(values.target)
const half = Number(values.rtt ?? 0) / 2
const rate = values.rate === undefined ? Infinity : Number(values.rate)

/** Ten segments, as Linux begins (RFC 6928). */
const firstWindow = values['slow-start'] ? 10 * 1460 : Infinity
/** What may be under way in one direction of a connection. Without it a fast server would fill the memory. */
const largestWindow = 64 * 1024 * 1024

/** One direction of a connection. What comes first leaves first, however the timers of two chunks round. */
class Direction {
  #queue = []
  #timer = null
  #freeAt = 0
  #underWay = 0
  #window = Math.min(firstWindow, largestWindow)

  /** @param {number} openAt when the first byte may enter, on the clock of `performance.now()` */
  constructor(from, to, { openAt, bytesPerSecond }) {
    from.on('data', (bytes) => {
      this.#underWay += bytes.length
      this.#freeAt =
        Math.max(this.#freeAt, performance.now(), openAt) + (bytes.length * 1000) / bytesPerSecond
      this.#add(this.#freeAt + half, () => {
        if (to.writable) to.write(bytes)
        // The acknowledgement goes all the way back.
        this.#add(performance.now() + half, () => {
          this.#underWay -= bytes.length
          this.#window = Math.min(largestWindow, this.#window + bytes.length)
          if (this.#underWay < this.#window) from.resume()
        })
      })
      if (this.#underWay >= this.#window) from.pause()
    })
    from.on('end', () => {
      this.#add(Math.max(this.#freeAt, performance.now()) + half, () => to.end())
    })
  }

  #add(at, run) {
    let index = this.#queue.length
    while (index > 0 && this.#queue[index - 1].at > at) index -= 1
    this.#queue.splice(index, 0, { at, run })
    if (index === 0) this.#arm()
  }

  #arm() {
    clearTimeout(this.#timer)
    const [first] = this.#queue
    if (first !== undefined)
      this.#timer = setTimeout(() => this.#drain(), Math.max(0, first.at - performance.now()))
  }

  #drain() {
    while (this.#queue.length > 0 && this.#queue[0].at <= performance.now() + 0.5) this.#queue.shift().run()
    this.#arm()
  }
}

createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  // The handshake has taken a round trip before the first byte of a client can leave.
  const openAt = performance.now() + 2 * half
  const server = connect({ host: '127.0.0.1', port: target, noDelay: true, allowHalfOpen: true })
  const end = () => {
    client.destroy()
    server.destroy()
  }
  for (const socket of [client, server]) socket.on('error', end)
  client.on('close', () => server.destroy())
  new Direction(client, server, { openAt, bytesPerSecond: Infinity })
  new Direction(server, client, { openAt: 0, bytesPerSecond: rate })
}).listen(0, '127.0.0.1', 1024, function () {
  console.log(JSON.stringify(this.address().port))
})
