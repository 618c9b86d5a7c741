/**
 * Shows three servers that act as one: `npm run demo:cluster`. They share their downloads through Redis; one of them is
 * killed while it downloads, and another one goes on from its bytes. On a terminal the servers and their dashboards keep
 * running until Ctrl-C, so that you can try it.
 *
 * Everything happens on this machine: a small server on loopback delivers the files at the speed of a slow network, and a
 * redis-server of the demo's own listens on a socket in a temporary folder.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fakeModel, sha256, startOrigin } from './origin.mjs'
import { check, children, cli, say, size, stays, temporaryFolder } from './stage.mjs'

const names = ['one', 'two', 'three']
const connections = 4
const bytesPerSecond = 400 * 1024
const fileBytes = 16_000_000
/** How long a download whose server has died waits, in seconds. */
const leaseTime = 3

const redisServer = findProgram('redis-server')
if (redisServer === null) {
  console.log('This demo needs redis-server, which is not installed: apt-get install redis-server')
  process.exit(0)
}

const home = temporaryFolder('model-downloader-cluster-')
const directory = path.join(home, 'models')
mkdirSync(directory)

const contents = Object.fromEntries(
  ['a', 'b', 'c', 'd'].map((letter) => [`model-${letter}.gguf`, fakeModel(fileBytes)]),
)
const origin = await startOrigin(
  Object.fromEntries(Object.entries(contents).map(([file, content]) => [`/${file}`, content])),
  { bytesPerSecond },
)
const urlOf = (file) => origin.url(`/${file}`)

say('Three servers over one folder and one Redis, as behind a load balancer. A server on this machine')
say(`delivers four files of ${size(fileBytes)}, at ${size(bytesPerSecond)}/s per connection.`)

title(1, 'Start them')
const socket = path.join(home, 'redis.sock')
const redis = start(redisServer, [
  ...['--port', '0', '--unixsocket', socket, '--dir', home, '--save', ''],
  ...['--appendonly', 'yes', '--daemonize', 'no'],
])
await until('redis-server', () => existsSync(socket) || redis.child.exitCode !== null)
check(redis.child.exitCode === null, `redis-server has ended.\n${redis.output()}`)

const servers = await Promise.all(names.map(startServer))
for (const { name, url } of servers) say(`  ${name.padEnd(5)}  ${url}/api/models/ui`)
let turn = 0
/** Asks the servers in turn, as a load balancer does. */
const balanced = (route, init) => {
  const alive = servers.filter(({ child }) => child.exitCode === null && child.signalCode === null)
  turn += 1
  return ask(`${alive[turn % alive.length].url}${route}`, init)
}

title(2, 'Ask for four files, each at another server')
for (const [file, content] of Object.entries(contents)) {
  const body = JSON.stringify({ url: urlOf(file), sha256: sha256(content), connections })
  const headers = { 'content-type': 'application/json' }
  const { message } = await balanced('/api/models/download', { method: 'POST', headers, body })
  say(`  ${file}: ${message}`)
}
say('\nEach server runs two at a time. Any server answers for all of them:')
const isWellOn = ({ state, downloaded }) => state === 'downloading' && downloaded > fileBytes * 0.6
const before = await watch((all) => all.some(isWellOn))

const victim = before.find(isWellOn)
title(3, `kill -9 of the server that downloads ${victim.filename}: ${victim.node}`)
const killed = servers.find(({ name }) => name === victim.node)
check(killed !== undefined, `${victim.filename} names the node ${victim.node}, which there is not.`)
const gone = once(killed.child, 'exit')
killed.child.kill('SIGKILL')
await gone
say(
  `It had ${size(victim.downloaded)} of ${size(victim.total)}. Its lease ends after ${leaseTime} s; then it goes on elsewhere:`,
)
const taken = await watch((all) => {
  const { node, state, downloaded } = all.find(({ url }) => url === victim.url)
  return state === 'completed' || (node !== undefined && node !== victim.node && downloaded > 1_000_000)
})
const heir = taken.find(({ url }) => url === victim.url)
check(heir.state === 'completed' || names.includes(heir.node), 'Nobody has taken it over.')
say(`${victim.filename} goes on at ${heir.node ?? 'another server'}, and is at ${size(heir.downloaded)}.`)

title(4, 'What the cluster says about itself: GET /api/models/cluster')
const isKnown = ({ instances }) => instances.some(({ node, absent }) => node === victim.node && absent)
let cluster = await balanced('/api/models/cluster')
// An instance is absent once nothing has been heard of it for five seconds.
for (let tries = 0; !isKnown(cluster); tries += 1) {
  check(tries < 300, 'Nobody notices that the server is gone.')
  await delay(200)
  cluster = await balanced('/api/models/cluster')
}
for (const { node, absent, running, bytes_per_second: speed } of cluster.instances)
  say(`  ${node.padEnd(5)}  ${absent ? 'absent' : `runs ${running}, ${size(speed)}/s`}`)
for (const { filename, node, epoch } of cluster.leases) say(`  ${filename}: ${node}, lease ${epoch}`)
say(`  ${cluster.waiting} waiting`)

title(5, 'Wait for the rest')
origin.limit(bytesPerSecond * 4)
const done = await watch((all) => all.every(({ status }) => status !== 'downloading'))
for (const { filename, state, error } of done)
  check(state === 'completed', `${filename}: ${state} (${error})`)

title(6, 'Check the result')
for (const { filename, mode, verified } of done) {
  const digest = sha256(readFileSync(path.join(directory, mode ?? '', filename)))
  check(digest === sha256(contents[filename]) && verified, `${filename} is wrong: ${digest}`)
  say(`  ${filename}  sha256 ${digest.slice(0, 16)}…, as expected`)
}
const twice = Math.max(0, origin.bytesSent - fileBytes * done.length)
const atKilled = before.filter(({ node }) => node === victim.node)
const had = atKilled.reduce((sum, { downloaded }) => sum + downloaded, 0)
say()
say(`  size of the files  ${size(fileBytes * done.length).padStart(9)}`)
say(`  sent for them      ${size(origin.bytesSent).padStart(9)}`)
say(`  fetched twice      ${size(twice).padStart(9)}`)
say()
say('Another server believes only what was certainly on the disk, where it is put several times a second.')
check(twice < had * 0.9, `The killed server had ${size(had)}, and nearly all of it was fetched again.`)

if (stays) {
  say('\nThe other servers and their dashboards keep running until Ctrl-C:')
  for (const { name, url, child } of servers)
    if (child !== killed.child) say(`  ${name.padEnd(5)}  ${url}/api/models/ui`)
  // The terminal sends the signal to the servers as well.
  process.removeAllListeners('SIGINT').on('SIGINT', () => undefined)
}
const left = servers.filter(({ child }) => child !== killed.child)
const ends = left.map(({ child }) => (child.exitCode === null ? once(child, 'exit') : [child.exitCode]))
if (!stays) for (const { child } of left) child.kill('SIGTERM')
const codes = (await Promise.all(ends)).map(([code]) => code)
if (!stays) {
  check(
    codes.every((code) => code === 0),
    `The servers ended with ${codes.join(', ')}.\n${left.map(({ output }) => output()).join('\n')}`,
  )
  say('\nOn a terminal, the servers and their dashboards keep running until Ctrl-C.')
}
redis.child.kill()
await origin.close()
process.exit(0)

/** Starts a program, and keeps what it writes. */
function start(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part) => (text += part))
  return { child, output: () => text }
}

/** Starts a server of the cluster, and waits until it listens. */
async function startServer(name) {
  const args = [
    ...['serve', '--port', '0', '--directory', directory, '--redis', `unix://${socket}`, '--node', name],
    ...['--lease-time', String(leaseTime), '--concurrency', '2', '--connections', String(connections)],
    ...['--allow-host', new URL(origin.url('/')).host],
  ]
  const server = start(process.execPath, [cli, ...args])
  const listening = () => /^listening on (\S+)$/m.exec(server.output())?.[1]
  await until(`the server ${name}`, () => listening() !== undefined || server.child.exitCode !== null)
  check(listening() !== undefined, `The server ${name} has ended.\n${server.output()}`)
  return { name, url: listening(), ...server }
}

/** Shows all downloads until they fulfil a condition, and returns them. */
async function watch(isEnough) {
  let shown = ''
  for (;;) {
    const { downloads } = await balanced('/api/models/download/status')
    const all = Object.values(downloads)
    const line = `  ${all.map(drawn).join('   ')}`
    if (line !== shown) say(line)
    shown = line
    if (isEnough(all)) return all
    await delay(1_000)
  }
}

function drawn({ filename, state, progress, node }) {
  const name = filename.replace(/^model-(.*)\.gguf$/, '$1')
  if (state === 'completed') return `${name}: done`
  return `${name}: ${progress.toFixed(0).padStart(2)} % ${node === undefined ? 'waits' : `on ${node}`}`
}

async function ask(url, init) {
  const response = await fetch(url, init)
  const body = await response.json()
  if (!response.ok) throw new Error(`${url}: ${body.detail}`)
  return body
}

async function until(what, holds) {
  for (let tries = 0; !holds(); tries += 1) {
    check(tries < 1_200, `${what} takes too long.`)
    await delay(50)
  }
}

function findProgram(program) {
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  return folders.map((folder) => path.join(folder, program)).find((file) => existsSync(file)) ?? null
}

function title(number, text) {
  console.log(`\n${number}. ${text}`)
}
