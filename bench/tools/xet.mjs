/**
 * The tests' imitation of the hub and its Xet store as a process of its own, with one file of bf16 weights: `bench/xet`,
 * `model.safetensors` of `--mib N` (2,048). Prints its address and the file's digest as JSON, and lives until it is killed.
 *
 * A xorb holds 64 MiB, and all of them hold the same: the file is 64 MiB of weights over and over, each time from a xorb of
 * its own, so that as much is sent and unpacked as for a file without repetitions, while little memory is needed here.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const { values } = parseArgs({ options: { mib: { type: 'string', default: '2048' } } })
const MiB = 1024 * 1024
const size = Number(values.mib) * MiB
const xorbBytes = 64 * MiB
const folder = mkdtempSync(join(tmpdir(), 'model-downloader-xet-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
const outfile = join(folder, 'pack.mjs')
const support = fileURLToPath(new URL('../../test/support/xet-pack.ts', import.meta.url))
await build({
  entryPoints: [support],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  logLevel: 'error',
})
const { packChunk } = await import(pathToFileURL(outfile).href)

// Weights are normally distributed, so that their exponents pack well and their other bits don't.
const block = Buffer.alloc(xorbBytes)
let seed = 1
const random = () => (seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
const word = Buffer.alloc(4)
for (let at = 0; at < block.length; at += 2) {
  word.writeFloatBE(0.02 * Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random()))
  block[at] = word[1]
  block[at + 1] = word[0]
}
const chunkBytes = 64 * 1024
const packed = []
const offsets = [0]
for (let at = 0; at < block.length; at += chunkBytes) {
  packed.push(packChunk(2, block.subarray(at, at + chunkBytes)))
  offsets.push(offsets.at(-1) + packed.at(-1).length)
}
const xorb = Buffer.concat(packed)
const perXorb = packed.length
const hash = createHash('sha256')
for (let at = 0; at < size; at += xorbBytes) hash.update(block.subarray(0, Math.min(xorbBytes, size - at)))
const sha256 = hash.digest('hex')
const xetHash = sha256
const commit = 'a'.repeat(40)
const nameOf = (index) => String(index).padStart(64, '0')

const server = createServer((request, response) => {
  const url = new URL(request.url, base)
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const json = (value, headers = {}) => {
    const text = JSON.stringify(value)
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      ...headers,
    })
    response.end(text)
  }
  if (url.pathname.includes('/xet-read-token/'))
    json({ accessToken: 'token', exp: Math.floor(Date.now() / 1000) + 900, casUrl: base })
  else if (url.pathname.includes('/resolve/')) {
    const token = `${base}/api/models/bench/xet/xet-read-token/${commit}`
    json(null, {
      'content-type': 'application/vnd.xet-fileinfo+json',
      'x-repo-commit': commit,
      'x-linked-size': size,
      'x-linked-etag': `"${sha256}"`,
      etag: `"${sha256}"`,
      'x-xet-hash': xetHash,
      link: `<${token}>; rel="xet-auth", <${base}/v1/reconstructions/${xetHash}>; rel="xet-reconstruction-info"`,
    })
  } else if (url.pathname.startsWith('/v2/reconstructions/')) {
    const start = Number(range?.[1] ?? 0)
    const end = Math.min(size, Number(range?.[2] || size - 1) + 1)
    const terms = []
    const xorbs = {}
    for (let index = Math.floor(start / xorbBytes); index * xorbBytes < end; index += 1) {
      const from = Math.max(0, Math.floor((start - index * xorbBytes) / chunkBytes))
      const to = Math.min(perXorb, Math.ceil((end - index * xorbBytes) / chunkBytes))
      const name = nameOf(index)
      terms.push({ hash: name, unpacked_length: (to - from) * chunkBytes, range: { start: from, end: to } })
      const bytes = { start: offsets[from], end: offsets[to] - 1 }
      xorbs[name] = [{ url: `${base}/xorbs/${name}`, ranges: [{ chunks: { start: from, end: to }, bytes }] }]
    }
    json({ offset_into_first_range: start % chunkBytes, terms, xorbs })
  } else if (url.pathname.startsWith('/xorbs/') && range !== null) {
    const [first, last] = [Number(range[1]), Number(range[2])]
    response.writeHead(206, {
      'content-length': last - first + 1,
      'content-range': `bytes ${first}-${last}/${xorb.length}`,
    })
    response.end(xorb.subarray(first, last + 1))
  } else response.writeHead(404).end()
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const base = `http://127.0.0.1:${server.address().port}`
console.log(JSON.stringify({ url: base, sha256, size, packed: xorb.length / block.length }))
