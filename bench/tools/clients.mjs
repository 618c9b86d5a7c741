/**
 * Clients that poll a status ten times a second, and others that listen to events: `node clients.mjs PORT URL POLLERS
 * LISTENERS`. Says `ready`, forgets what it saw on SIGUSR2, goes on until SIGTERM, then prints JSON. Raw sockets, so that the clients cost little beside what they measure.
 */
import { connect } from 'node:net'

const pollers = Number(process.argv[4])
const listeners = Number(process.argv[5])
const everyMs = 100
const [port, url] = [Number(process.argv[2]), process.argv[3]]
const request = Buffer.from(
  `GET /api/models/download/status?url=${encodeURIComponent(url)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
)
const times = []
let events = 0
const sockets = []

/** A server limits the streams of one caller, so these are several, as far as the machine lets them be. */
function callerOf(index) {
  return process.platform === 'linux' ? { localAddress: `127.0.0.${String(2 + (index % 8))}` } : {}
}

function open(index) {
  const socket = connect({ port, host: '127.0.0.1', ...callerOf(index) })
  socket.setNoDelay(true)
  socket.on('error', (error) => {
    console.error(`client: ${error.message}`)
    process.exit(1)
  })
  sockets.push(socket)
  return socket
}

for (let i = 0; i < listeners; i += 1) {
  const socket = open(i)
  socket.write(
    'GET /api/models/download/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n',
  )
  socket.on('data', (data) => {
    for (let at = data.indexOf('\nid:'); at !== -1; at = data.indexOf('\nid:', at + 1)) events += 1
  })
}

for (let i = 0; i < pollers; i += 1) {
  const socket = open(i)
  let sent = 0
  let answer = ''
  const poll = () => {
    sent = performance.now()
    answer = ''
    socket.write(request)
  }
  socket.on('data', (data) => {
    answer += data.toString('latin1')
    if (!isWhole(answer)) return
    const took = performance.now() - sent
    times.push(took)
    setTimeout(poll, Math.max(0, everyMs - took))
  })
  setTimeout(poll, (i * everyMs) / pollers)
}

/** Whether an answer is all there. */
function isWhole(text) {
  const head = text.indexOf('\r\n\r\n')
  const length = /^content-length: (\d+)/im.exec(text)?.[1]
  return head !== -1 && length !== undefined && text.length >= head + 4 + Number(length)
}

// What came before was warming up.
process.on('SIGUSR2', () => {
  times.length = 0
  events = 0
})

process.on('SIGTERM', () => {
  times.sort((a, b) => a - b)
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))]
  console.log(
    JSON.stringify({ polls: times.length, p50Ms: at(0.5), p99Ms: at(0.99), worstMs: at(1), events }),
  )
  process.exit(0)
})
console.log('ready')
