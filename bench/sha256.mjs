/**
 * SHA-256 by OpenSSL, as the engine computes it, against WebAssembly (`hash-wasm`), whose state could be kept in a journal so that
 * a resume need not read again what is on disk. It would have to keep 70 % of the speed. CPU time, medians of 5 interleaved
 * rounds. `node bench/sha256.mjs`.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createSHA256 } from 'hash-wasm'
import { spread } from './lib/results.mjs'

const block = randomBytes(1024 * 1024)
const blocks = 64
const rounds = 5

function seconds(hash) {
  const before = process.cpuUsage()
  for (let index = 0; index < blocks; index += 1) hash.update(block)
  hash.digest('hex')
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

const speeds = new Map([
  ['OpenSSL', []],
  ['WebAssembly', []],
])
const wasm = await createSHA256()
for (let round = 0; round < rounds; round += 1) {
  speeds.get('OpenSSL').push(blocks / seconds(createHash('sha256')))
  speeds.get('WebAssembly').push(blocks / seconds(wasm.init()))
}
const [openssl, webAssembly] = [...speeds.values()].map((all) => spread(all).median)
const share = webAssembly / openssl
console.log(
  `OpenSSL ${openssl.toFixed(0)} MiB/s, WebAssembly ${webAssembly.toFixed(0)} MiB/s: ${(share * 100).toFixed(0)} %`,
)
console.log(`${share >= 0.7 ? 'fast enough' : 'too slow'} (at least 70 % are needed)`)
