/**
 * A host with many: 8 downloads at full loopback speed, 200 clients that poll a status ten times a second, and 100 that listen
 * to events. Aims: status p99 at most 25 ms, the event loop busy at most half of the time, and downloads lose at most 10 % of
 * their speed. Then 100,000 known downloads: loaded within 2 s, at most 1 kB of heap each; a page of the list and a single
 * status are timed. `npm run build` first; then `node bench/host.mjs`.
 *
 * Server, clients and nginx are processes of their own, on the same cores.
 */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { makeFile } from './lib/files.mjs'
import { knownRecord, knownUrl } from './lib/records.mjs'
import { spread } from './lib/results.mjs'
import { startServer } from './lib/server.mjs'

const { values } = parseArgs({
  options: {
    /** Of each file, in MiB. */
    size: { type: 'string', default: '512' },
    known: { type: 'string', default: '100000' },
    /** 0 for the known downloads only. */
    runs: { type: 'string', default: '5' },
  },
})
const downloads = 8
const fileBytes = Number(values.size) * 2 ** 20
const known = Number(values.known)
const serving = fileURLToPath(new URL('tools/serving.mjs', import.meta.url))
const clients = fileURLToPath(new URL('tools/clients.mjs', import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-host-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
chmodSync(home, 0o755)
const source = join(home, 'source')
mkdirSync(source)

/** A host over a folder, once it listens. */
async function startHost(directory) {
  const child = fork(serving, [directory], { execArgv: ['--expose-gc'] })
  const forget = atExit(() => child.kill('SIGKILL'))
  child.once('exit', (code) => {
    if (code !== 0 && code !== null) throw new Error(`The host ended with ${String(code)}.`)
  })
  const [state] = await once(child, 'message')
  const ask = async (message) => {
    child.send(message)
    return (await once(child, 'message'))[0].utilization
  }
  return {
    ...state,
    base: `http://127.0.0.1:${String(state.port)}`,
    ask,
    async stop() {
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
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
  if (!response.ok) throw new Error(`${path}: ${String(response.status)} ${await response.text()}`)
}

async function statuses(base) {
  const response = await fetch(`${base}/api/models/download/status`)
  return Object.values((await response.json()).downloads)
}

/** Seconds that all downloads take together, and what the clients and the host saw meanwhile. */
async function round(origin, names, withClients) {
  const directory = mkdtempSync(join(home, 'target-'))
  const host = await startHost(directory)
  const urls = names.map((name) => `${origin}/${name}`)
  const crowd = withClients
    ? spawn(process.execPath, [clients, String(host.port), urls[0], '200', '100'])
    : null
  let told = ''
  crowd?.stdout.on('data', (data) => (told += data))
  crowd?.stderr.pipe(process.stderr)
  if (crowd !== null) {
    await once(crowd.stdout, 'data')
    // A host that has been up for a moment.
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    crowd.kill('SIGUSR2')
  }
  await host.ask('begin')
  const begin = performance.now()
  for (const url of urls) await post(host.base, '/api/models/download', { url })
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const all = await statuses(host.base)
    const failed = all.find(({ status }) => status === 'failed')
    if (failed !== undefined) throw new Error(failed.error)
    if (all.length === urls.length && all.every(({ status }) => status === 'completed')) break
  }
  const seconds = (performance.now() - begin) / 1000
  const utilization = await host.ask('end')
  if (crowd !== null) {
    crowd.kill('SIGTERM')
    await once(crowd, 'close')
  }
  await host.stop()
  rmSync(directory, { recursive: true })
  return { seconds, utilization, seen: withClients ? JSON.parse(told.trim().split('\n').at(-1)) : null }
}

/** The time of one request over a connection of its own that is open already, in milliseconds: median and worst of 20. */
async function time(port, path) {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const times = []
  for (let i = 0; i < 21; i += 1) {
    const begin = performance.now()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    await answered(socket)
    if (i > 0) times.push(performance.now() - begin)
  }
  socket.destroy()
  return spread(times)
}

/** Waits until an answer is all there. */
function answered(socket) {
  return new Promise((resolve) => {
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
}

const verdict = (good) => (good ? 'PASS' : 'MISS')

console.log(`load of the machine before: ${loadavg()[0].toFixed(1)}`)
/** Downloads and clients at the same time. */
async function measureCrowd() {
  const nginx = await startServer({ home: join(home, 'nginx'), files: source })
  const names = []
  for (let i = 0; i < downloads; i += 1) {
    names.push(`model-${String(i)}.bin`)
    await makeFile(source, `model-${String(i)}.bin`, fileBytes)
  }
  const losses = []
  const p99s = []
  const busy = []
  for (let i = 0; i < Number(values.runs); i += 1) {
    const alone = await round(nginx.base.plain, names, false)
    const loaded = await round(nginx.base.plain, names, true)
    const { polls, p50Ms, p99Ms, events } = loaded.seen
    losses.push(1 - alone.seconds / loaded.seconds)
    p99s.push(p99Ms)
    busy.push(loaded.utilization)
    console.log(
      `${String(downloads)} × ${values.size} MiB: alone ${alone.seconds.toFixed(2)} s, with clients ${loaded.seconds.toFixed(2)} s; ` +
        `${String(polls)} polls, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms; ${String(events)} events; ` +
        `utilisation ${alone.utilization.toFixed(2)} alone, ${loaded.utilization.toFixed(2)} with clients`,
    )
  }
  await nginx.stop()
  const p99 = spread(p99s).median
  const utilization = spread(busy).median
  const loss = spread(losses).median
  console.log(`${verdict(p99 <= 25)}: status p99 ${p99.toFixed(1)} ms (aim: at most 25)`)
  console.log(
    `${verdict(utilization <= 0.5)}: event-loop utilisation ${utilization.toFixed(2)} (aim: at most 0.5)`,
  )
  console.log(
    `${verdict(loss <= 0.1)}: downloads lose ${(loss * 100).toFixed(1)} % of their speed (aim: at most 10)`,
  )
}

/** A host that knows many downloads. */
async function measureKnown() {
  const many = mkdtempSync(join(home, 'many-'))
  mkdirSync(join(many, '.model-downloader'), { mode: 0o700 })
  for (let sequence = 0; sequence < known; sequence += 1) {
    const record = knownRecord(sequence)
    writeFileSync(join(many, '.model-downloader', `${record.id}.json`), JSON.stringify(record), {
      mode: 0o600,
    })
  }
  const loads = []
  let host = await startHost(many)
  for (let i = 0; i < 3; i += 1) {
    await host.stop()
    host = await startHost(many)
    loads.push(host.loadedMs)
  }
  if (host.known !== known) throw new Error(`${String(host.known)} of ${String(known)} downloads are known.`)
  const page = await time(host.port, '/api/models/download/status')
  const cursor = `s${Math.floor(known / 2).toString(36)}`
  const later = await time(host.port, `/api/models/download/status?cursor=${cursor}`)
  const single = await time(
    host.port,
    `/api/models/download/status?url=${encodeURIComponent(knownUrl(7_777))}`,
  )
  const each = host.heldBytes / known
  await host.stop()
  const shown = ({ median, max }) => `${median.toFixed(1)} ms, at worst ${max.toFixed(1)} ms`
  const seconds = spread(loads).median / 1000
  console.log(
    `${verdict(seconds <= 2)}: ${String(known)} known downloads load in ${seconds.toFixed(2)} s (aim: at most 2)`,
  )
  console.log(`${verdict(each <= 1_000)}: ${each.toFixed(0)} bytes of heap each (aim: at most 1000)`)
  console.log(`the first page of the list: ${shown(page)}; one in the middle: ${shown(later)}`)
  console.log(`${verdict(single.median <= 5)}: a single status among them: ${shown(single)} (aim: at most 5)`)
}

if (Number(values.runs) > 0) await measureCrowd()
await measureKnown()
