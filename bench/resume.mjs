/**
 * How long `get` takes to go on with a part of 100 GiB, half of which is there in pieces of 1 MiB: from the start of the process
 * until the server is asked for missing bytes. The aim is at most a second, with and without a digest to check. The part has
 * holes instead of bytes, but as much must be free on the disk, since `get` checks that the holes fit, too. `npm run build`
 * first; then `node bench/resume.mjs [--size GiB]`.
 */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir, loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { spread } from './lib/results.mjs'

const { values } = parseArgs({ options: { size: { type: 'string', default: '100' } } })
const MiB = 2 ** 20
const size = Number(values.size) * 1024 * MiB
const rounds = 5
const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url))

installCleanup()
const home = mkdtempSync(join(tmpdir(), 'model-downloader-resume-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
const origin = fork(fileURLToPath(new URL('tools/sparse-origin.mjs', import.meta.url)), [String(1024 * MiB)])
atExit(() => origin.kill())
const [{ port }] = await once(origin, 'message')
const url = `http://127.0.0.1:${String(port)}/huge.bin`
const part = join(home, 'huge.bin.part')

function get(args) {
  const child = spawn(process.execPath, [cli, 'get', url, '-d', home, '--quiet', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const forget = atExit(() => child.kill('SIGKILL'))
  return async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
    forget()
  }
}

/** Leaves a part with a journal, and then makes it one of many pieces. */
async function prepare() {
  const stop = get(['--limit-rate', '1M'])
  const deadline = Date.now() + 60_000
  while (!existsSync(`${part}.json`)) {
    if (Date.now() > deadline) throw new Error('There is no journal after a minute.')
    await sleep(20)
  }
  await stop()
  truncateSync(part, size)
  origin.send(size)
  const journal = JSON.parse(readFileSync(`${part}.json`, 'utf8'))
  const identity = { ...journal.identity, total: size }
  const withPieces = (written) => JSON.stringify({ ...journal, identity, written, synced: written })
  const written = Array.from({ length: size / (2 * MiB) }, (_, index) => [
    2 * index * MiB,
    (2 * index + 1) * MiB,
  ])
  return {
    pieces: { count: written.length, journal: withPieces(written) },
    whole: withPieces([[0, size / 2]]),
  }
}

/** Milliseconds until missing bytes are asked for. */
async function resume(args, journal) {
  writeFileSync(`${part}.json`, journal)
  rmSync(`${part}.live`, { force: true })
  rmSync(`${part}.lock`, { recursive: true, force: true })
  const asked = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('Nothing was asked for within a minute.')), 60_000)
    const onAsked = ({ start, atMs }) => {
      // The first megabyte is there.
      if (start < MiB) return
      clearTimeout(timer)
      origin.off('message', onAsked)
      resolve(atMs)
    }
    origin.on('message', onAsked)
  })
  const begin = Date.now()
  const stop = get(args)
  const at = await asked
  await stop()
  return at - begin
}

console.log(`load of the machine before: ${loadavg()[0].toFixed(1)}`)
const { pieces, whole } = await prepare()
const times = new Map([
  ['without a digest', { args: [], all: [], journal: pieces.journal }],
  ['with a digest', { args: ['--sha256', 'ab'.repeat(32)], all: [], journal: pieces.journal }],
  ['in one piece instead', { args: [], all: [], journal: whole }],
])
const start = []
for (let round = 0; round < rounds; round += 1) {
  const begin = Date.now()
  await once(spawn(process.execPath, [cli, '--version'], { stdio: 'ignore' }), 'exit')
  start.push(Date.now() - begin)
  for (const { args, all, journal } of times.values()) all.push(await resume(args, journal))
}
const what = `${values.size} GiB in ${String(pieces.count)} pieces, a journal of ${(pieces.journal.length / 1e6).toFixed(1)} MB`
for (const [name, { all }] of times) {
  const { min, median, max } = spread(all)
  console.log(
    `${median <= 1_000 ? 'PASS' : 'MISS'}: ${what}, ${name}: asks for more after ${String(median)} ms (${String(min)}–${String(max)}; aim: at most 1000)`,
  )
}
console.log(`the command alone (--version) takes ${String(spread(start).median)} ms`)
origin.disconnect()
