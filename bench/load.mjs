/**
 * The server under load: 8 downloads at full loopback speed, 100 clients that poll a status ten times a second, 50 that
 * listen to events. Aims: status p99 at most 50 ms; downloads lose at most 10 % of their speed. Then 10,000 known
 * downloads: the list within 100 ms, a single status within 5 ms. `npm run build` first; then `node bench/load.mjs`.
 *
 * Server, clients and nginx are processes of their own, on the same cores.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createFileStore } from '../dist/index.js'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { makeFile } from './lib/files.mjs'
import { startServer } from './lib/server.mjs'

const downloads = 8
const fileBytes = Number(process.argv[2] ?? 512) * 2 ** 20
const rounds = 3
const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url))
const clients = fileURLToPath(new URL('tools/clients.mjs', import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-load-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
chmodSync(home, 0o755)
const source = join(home, 'source')
mkdirSync(source)

/** A server over a folder, once it listens. */
async function serve(directory) {
  const child = spawn(
    process.execPath,
    [cli, 'serve', '--port', '0', '-d', directory, '--allow-private-network'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const forget = atExit(() => child.kill('SIGKILL'))
  const port = await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        const found = /127\.0\.0\.1:(\d+)/.exec(line)
        if (found !== null) resolve(Number(found[1]))
      })
    }
    child.once('exit', (code) => reject(new Error(`serve ended with ${code}`)))
    setTimeout(() => reject(new Error('serve does not listen')), 20_000).unref()
  })
  return {
    base: `http://127.0.0.1:${port}`,
    port,
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'exit')
      forget()
    },
  }
}

async function post(base, path, body) {
  const response = await fetch(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
}

async function statuses(base) {
  const response = await fetch(`${base}/api/models/download/status`)
  return Object.values((await response.json()).downloads)
}

/** Seconds that all downloads take together, and what the clients saw meanwhile. */
async function round(origin, names, withClients) {
  const directory = mkdtempSync(join(home, 'target-'))
  const server = await serve(directory)
  const urls = names.map((name) => `${origin}/${name}`)
  const load = withClients ? spawn(process.execPath, [clients, String(server.port), urls[0]]) : null
  let told = ''
  load?.stdout.on('data', (data) => (told += data))
  load?.stderr.pipe(process.stderr)
  if (load !== null) {
    await once(load.stdout, 'data')
    // A server that has been up for a moment.
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    load.kill('SIGUSR2')
  }
  const begin = performance.now()
  for (const url of urls) await post(server.base, '/api/models/download', { url })
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const all = await statuses(server.base)
    const failed = all.find(({ status }) => status === 'failed')
    if (failed !== undefined) throw new Error(failed.error)
    if (all.length === urls.length && all.every(({ status }) => status === 'completed')) break
  }
  const seconds = (performance.now() - begin) / 1000
  if (load !== null) {
    load.kill('SIGTERM')
    await once(load, 'close')
  }
  await server.stop()
  rmSync(directory, { recursive: true })
  return { seconds, seen: withClients ? JSON.parse(told.trim().split('\n').at(-1)) : null }
}

/** The time of one request over a connection of its own that is open already, in milliseconds: median and worst of 20. */
async function time(port, path) {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const times = []
  for (let i = 0; i < 21; i += 1) {
    const begin = performance.now()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    await new Promise((resolve) => {
      let head = ''
      let missing = Number.NaN
      const onData = (data) => {
        if (Number.isNaN(missing)) {
          head += data.toString('latin1')
          const end = head.indexOf('\r\n\r\n')
          if (end === -1) return
          missing = Number(/^content-length: (\d+)/im.exec(head)?.[1]) + end + 4 - head.length
        } else {
          missing -= data.length
        }
        if (missing > 0) return
        socket.off('data', onData)
        resolve()
      }
      socket.on('data', onData)
    })
    if (i > 0) times.push(performance.now() - begin)
  }
  socket.destroy()
  times.sort((a, b) => a - b)
  return { median: times[10], worst: times[19] }
}

const verdict = (good) => (good ? 'PASS' : 'MISS')
const middle = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

const nginx = await startServer({ home: join(home, 'nginx'), files: source })
const names = []
for (let i = 0; i < downloads; i += 1) {
  names.push(`model-${i}.bin`)
  await makeFile(source, `model-${i}.bin`, fileBytes)
}
const alone = []
const loaded = []
let p99 = 0
for (let i = 0; i < rounds; i += 1) {
  const quiet = await round(nginx.base.plain, names, false)
  const busy = await round(nginx.base.plain, names, true)
  alone.push(quiet.seconds)
  loaded.push(busy.seconds)
  p99 = Math.max(p99, busy.seen.p99Ms)
  console.log(
    `${downloads} × ${fileBytes / 2 ** 20} MiB: alone ${quiet.seconds.toFixed(2)} s, with clients ${busy.seconds.toFixed(2)} s; ` +
      `${busy.seen.polls} polls, p50 ${busy.seen.p50Ms.toFixed(1)} ms, p99 ${busy.seen.p99Ms.toFixed(1)} ms; ${busy.seen.events} events`,
  )
}
const loss = 1 - middle(alone) / middle(loaded)
console.log(`${verdict(p99 <= 50)}: status p99 ${p99.toFixed(1)} ms (aim: at most 50)`)
console.log(
  `${verdict(loss <= 0.1)}: downloads lose ${(loss * 100).toFixed(1)} % of their speed (aim: at most 10)`,
)
await nginx.stop()

const known = 10_000
const many = mkdtempSync(join(home, 'many-'))
const store = createFileStore(join(many, '.model-downloader'))
const url = (sequence) => `https://models.example/${sequence}.gguf`
for (let from = 0; from < known; from += 500) {
  await Promise.all(Array.from({ length: 500 }, (_, index) => store.save(recordOf(from + index))))
}
const server = await serve(many)
const list = await time(server.port, '/api/models/download/status')
const page = await time(server.port, '/api/models/download/status?limit=100')
const single = await time(server.port, `/api/models/download/status?url=${encodeURIComponent(url(7_777))}`)
await server.stop()
const shown = ({ median, worst }) => `${median.toFixed(1)} ms, at worst ${worst.toFixed(1)} ms`
console.log(
  `${verdict(list.median <= 100)}: the list of ${known} downloads: ${shown(list)} (aim: at most 100)`,
)
console.log(`a page of 100: ${shown(page)}`)
console.log(
  `${verdict(single.median <= 5)}: a single status among ${known}: ${shown(single)} (aim: at most 5)`,
)

/** A finished download. */
function recordOf(sequence) {
  return {
    ...{ version: 1, id: createHash('sha256').update(url(sequence)).digest('hex'), url: url(sequence) },
    ...{ filename: `${sequence}.gguf`, named: true, mode: 'llm', directory: null, state: 'completed' },
    ...{ sha256: null, size: null, headers: {}, priority: 0, connections: null, maxBytesPerSecond: null },
    ...{ remote: null, force: false, sequence, downloaded: 1, total: 1, error: null },
    ...{ resultSha256: '0'.repeat(64), verified: false, stamp: null },
    ...{ createdAt: '2026-01-01T00:00:00.000Z', startedAt: null, finishedAt: null },
  }
}
