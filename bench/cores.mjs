/**
 * What more cores bring: `verify` of 8 files with 1, 2, 4 … `--jobs`, and `get` of one file over TLS with the engine's threads on
 * 1, 2, 4 … cores (`taskset`), while the server has cores of its own where there are enough. On a machine with few cores the
 * curve is short. `npm run build` first; then `node bench/cores.mjs [--size MiB]`.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { makeFile } from './lib/files.mjs'
import { measure } from './lib/measure.mjs'
import { spread } from './lib/results.mjs'
import { startServer } from './lib/server.mjs'

const { values } = parseArgs({ options: { size: { type: 'string', default: '1024' } } })
const bytes = Number(values.size) * 2 ** 20
const count = 8
const rounds = 5
const timeoutMs = 300_000
const cores = availableParallelism()
const steps = [1, 2, 4, 8, 16].filter((step) => step <= cores)
const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-cores-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
chmodSync(home, 0o755)
const [source, models, scratch] = ['source', 'models', 'scratch'].map((name) => join(home, name))
for (const folder of [source, models, scratch]) mkdirSync(folder)

const nginx = await startServer({ home: join(home, 'nginx'), files: source })
const large = await makeFile(source, 'large.bin', bytes)
const parts = []
for (let index = 0; index < count; index += 1) {
  parts.push(await makeFile(source, `part-${String(index)}.bin`, Math.floor(bytes / count)))
}
const env = { NODE_EXTRA_CA_CERTS: nginx.ca }
execFileSync(process.execPath, [
  ...[cli, 'get', '-d', models, '--quiet'],
  ...parts.map(({ name }) => `${nginx.base.plain}/${name}`),
])

/** The cores of the tool; those of the server are the other ones if there are enough. */
function pinned(step, args) {
  return {
    file: 'taskset',
    args: ['-c', step === 1 ? '0' : `0-${String(step - 1)}`, process.execPath, ...args],
    env,
  }
}

async function timed(command) {
  const outcome = await measure(command, { scratch, timeoutMs })
  if (!outcome.ok) throw new Error(outcome.why)
  return outcome.wall
}

const rows = [
  ...steps.map((step) => ({
    label: `verify --jobs ${String(step)}`,
    all: [],
    run: () =>
      timed({ file: process.execPath, args: [cli, 'verify', models, '--quiet', '--jobs', String(step)] }),
  })),
  ...steps.map((step) => ({
    label: `get over TLS on ${String(step)} ${step === 1 ? 'core' : 'cores'}`,
    all: [],
    run: async () => {
      const target = mkdtempSync(join(home, 'target-'))
      const args = [
        'get',
        '-d',
        target,
        '--quiet',
        '--sha256',
        large.sha256,
        `${nginx.base.tls}/${large.name}`,
      ]
      const seconds = await timed(pinned(step, [cli, ...args]))
      rmSync(target, { recursive: true })
      return seconds
    },
  })),
]
console.log(`${String(cores)} cores, load before: ${loadavg()[0].toFixed(1)}`)
for (let round = 0; round < rounds; round += 1) for (const { all, run } of rows) all.push(await run())
for (const { label, all } of rows) {
  const { min, median, max } = spread(all)
  const speed = bytes / median / 1e6
  console.log(
    `${label}: ${median.toFixed(2)} s (${min.toFixed(2)}–${max.toFixed(2)}), ${speed.toFixed(0)} MB/s`,
  )
}
await nginx.stop()
