/**
 * The status of a download in a cluster of three servers that know 10,000 others, asked of those that do not run it. Aims:
 * p99 at most 20 ms, and at most 1 s old. Takes redis-server. `npm run build` first; then `node bench/cluster.mjs`.
 *
 * Redis, the servers and the origin are processes of their own, on the same cores. How old an answer is follows from what the
 * server that runs the download has said in the meantime.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { atExit, installCleanup } from './lib/cleanup.mjs'

const known = 10_000
const seconds = Number(process.argv[2] ?? 30)
const bytesPerSecond = 2 ** 20
const fileBytes = 2 ** 30
const prefix = '{model-downloader}'
const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-cluster-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
const socket = join(home, 'redis.sock')

/** Calls back until the result is true. */
async function until(what, look) {
  for (let round = 0; round < 1_200; round += 1) {
    if (await look().catch(() => false)) return
    await sleep(50)
  }
  throw new Error(`Waited a minute for ${what}.`)
}

function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  atExit(() => child.kill('SIGKILL'))
  return child
}

async function serve(node) {
  const args = ['serve', '--port', '0', '-d', join(home, 'models'), '--allow-private-network']
  const child = start(process.execPath, [cli, ...args, '--redis', `unix://${socket}`, '--node', node])
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (said += text))
  await until(`${node} to listen`, async () => /listening on \S+\n/.test(said))
  return { node, base: /listening on (\S+)/.exec(said)[1] }
}

const statusOf = async ({ base }, url) => {
  const response = await fetch(`${base}/api/models/download/status?url=${encodeURIComponent(url)}`)
  return (await response.json()).download
}

/** A file that takes a quarter of an hour, and a small one. */
const origin = createServer(async (req, res) => {
  const size = req.url === '/large.bin' ? fileBytes : 1_000
  res.writeHead(200, { 'content-length': size, etag: '"1"' })
  const chunk = Buffer.alloc(bytesPerSecond / 20)
  for (let sent = 0; sent < size && !res.destroyed; sent += chunk.length) {
    res.write(chunk.subarray(0, size - sent))
    await sleep(50)
  }
  res.end()
})
origin.listen(0, '127.0.0.1')
await until('the origin', async () => origin.listening)
const urlOf = (path) => `http://127.0.0.1:${origin.address().port}${path}`

start('redis-server', ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', home])
const redis = new Redis(socket, { retryStrategy: () => 50 })
redis.on('error', () => undefined)
await until('Redis', async () => (await redis.ping()) === 'PONG')

const first = await serve('one')
const post = ({ base }, url) =>
  fetch(`${base}/api/models/download`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ url }),
  })
await post(first, urlOf('/small.bin'))
await until('a file', async () => (await statusOf(first, urlOf('/small.bin'))).state === 'completed')
const [sample] = await redis.smembers(`${prefix}:ids`)
const record = JSON.parse(await redis.hget(`${prefix}:r:${sample}`, 'record'))
const pipeline = redis.pipeline()
for (let index = 0; index < known; index += 1) {
  const url = `http://127.0.0.1/known-${index}.bin`
  const id = createHash('sha256').update(url).digest('hex')
  const text = JSON.stringify({ ...record, id, url, filename: `known-${index}.bin`, sequence: index + 2 })
  pipeline.hset(`${prefix}:r:${id}`, 'record', text, 'revision', 1, 'generation', 1, 'epoch', 0, 'owner', '')
  pipeline.sadd(`${prefix}:ids`, id)
}
await pipeline.exec()
const servers = [await serve('two'), await serve('three')]
const url = urlOf('/large.bin')
await post(servers[0], url)
const id = createHash('sha256').update(url).digest('hex')
for (const server of [first, ...servers])
  await until('all to know it', async () => (await statusOf(server, url)).downloaded > 0)
const owner = ((await redis.hget(`${prefix}:r:${id}`, 'owner')) ?? '').split(':')[0]
const all = [first, ...servers]
const runs = all.find(({ node }) => node === owner)
if (runs === undefined) throw new Error(`Nobody runs it: ${owner}`)
const others = all.filter((one) => one !== runs)

/** What the one that runs it has said, and when. */
const history = []
let isOver = false
const watching = (async () => {
  while (!isOver) {
    history.push({ downloaded: (await statusOf(runs, url)).downloaded, at: performance.now() })
    await sleep(25)
  }
})()
const answers = []
const end = performance.now() + seconds * 1_000
for (let index = 0; performance.now() < end; index += 1) {
  const begin = performance.now()
  const { downloaded } = await statusOf(others[index % others.length], url)
  answers.push({ downloaded, begin, ms: performance.now() - begin })
  await sleep(10)
}
isOver = true
await watching
const ages = answers.map(({ downloaded, begin }) => {
  // Something newer was known from then on.
  const newer = history.find((said) => said.downloaded > downloaded)
  return newer === undefined ? 0 : Math.max(0, begin - newer.at)
})
const at = (numbers, part) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * part)] ?? NaN
const times = answers.map(({ ms }) => ms)
const known3 = (await redis.scard(`${prefix}:ids`)) - 1
console.log(
  `${cpus().length} cores, ${known3} downloads known besides, ${answers.length} questions to ${others.length} servers`,
)
console.log(
  `answered after ${at(times, 0.5).toFixed(1)} ms (median), ${at(times, 0.99).toFixed(1)} ms (p99); aim: 20 ms`,
)
console.log(
  `${Math.round(at(ages, 0.5))} ms old (median), ${Math.round(Math.max(...ages))} ms (oldest); aim: 1,000 ms`,
)
process.exit(0)
