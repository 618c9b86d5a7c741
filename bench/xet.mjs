/**
 * A file of bf16 weights over Xet: `get --xet prefer` against the hub's own client, in turn, from the same store. Aim: at
 * most half of its wall time, with the digest checked, and at most 160 MB. `npm run build` first; then
 * `node bench/xet.mjs [--runs N] [--mib N]`.
 *
 * Store and tools are processes of their own, on the same cores; source and target lie in memory.
 */
import { createReadStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startChild } from './lib/child-server.mjs'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { measure } from './lib/measure.mjs'
import { spread } from './lib/results.mjs'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '3' }, mib: { type: 'string', default: '2048' } },
})
const aims = { wall: 0.5, peakBytes: 160e6 }
const timeoutMs = 600_000
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-xet-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
const target = join(home, 'target')

const hub = await startHub()
const tools = [
  {
    name: 'model-downloader',
    file: process.execPath,
    args: [
      path('../dist/cli.js'),
      'get',
      '--quiet',
      '--xet',
      'prefer',
      '-d',
      target,
      'hf:bench/xet/model.safetensors',
    ],
    env: { HF_ENDPOINT: hub.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
  },
  {
    name: '@huggingface/hub',
    file: process.execPath,
    args: [path('tools/xet-client.mjs'), '--hub', hub.url, '--dir', target],
  },
]
const results = new Map(tools.map(({ name }) => [name, []]))
for (let round = 0; round <= Number(values.runs); round += 1) {
  for (const { name, ...command } of tools) {
    rmSync(target, { recursive: true, force: true })
    mkdirSync(target)
    const run = await measure(command, { scratch: home, timeoutMs })
    if (!run.ok) throw new Error(`${name}: ${run.why}`)
    if ((await digestOf(join(target, 'model.safetensors'))) !== hub.sha256)
      throw new Error(`${name}: a wrong file`)
    // The first round brings programs and sources into memory.
    if (round === 0) continue
    results.get(name).push(run)
    const perGb = (run.cpu / (hub.size / 1e9)).toFixed(1)
    console.log(
      `${name}: ${run.wall.toFixed(2)} s, CPU ${run.cpu.toFixed(2)} s (${perGb} s/GB), peak ${(run.peak / 1e6).toFixed(0)} MB`,
    )
  }
}
rmSync(target, { recursive: true, force: true })
const [ours, theirs] = tools.map(({ name }) => results.get(name))
const ratio = spread(ours.map((run, round) => run.wall / theirs[round].wall)).median
const peak = Math.max(...ours.map((run) => run.peak))
verdict(
  ratio <= aims.wall,
  `${ratio.toFixed(2)} × the wall time of @huggingface/hub (aim: at most ${aims.wall} ×)`,
)
verdict(
  peak <= aims.peakBytes,
  `peak ${(peak / 1e6).toFixed(0)} MB (aim: at most ${aims.peakBytes / 1e6} MB)`,
)
process.exit(0)

function verdict(passes, what) {
  console.log(`${passes ? 'PASS' : 'MISS'}: ${values.mib} MiB of bf16 over Xet: ${what}`)
}

async function digestOf(file) {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

function startHub() {
  return startChild(path('tools/xet.mjs'), ['--mib', values.mib])
}
