/**
 * Whole repositories of a hub: `get hf:…` against `snapshotDownload` of the hub's own client, in turn, from the imitation of
 * the hub that the tests use. Aim: at least 3 times as fast, with digests checked. `npm run build` first; then
 * `node bench/sources.mjs [--runs N] [--mib N] [--rate BYTES]`.
 *
 * Hub and tools are processes of their own, on the same cores; source and target lie in memory. The large files come twice:
 * as fast as each connection brings `--rate` bytes a second, as the networks that deliver models limit them, and as fast as
 * the machine can. There `curl` with all files at once and no digest shows what can be had at all.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startChild } from './lib/child-server.mjs'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { findFault } from './lib/files.mjs'
import { measure } from './lib/measure.mjs'
import { spread } from './lib/results.mjs'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    mib: { type: 'string', default: '512' },
    rate: { type: 'string', default: '100000000' },
  },
})
const aim = 3
const timeoutMs = 180_000
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-sources-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
const target = join(home, 'target')

const ours = {
  name: 'model-downloader',
  command: (hub, repo) => ({
    file: process.execPath,
    args: [path('../dist/cli.js'), 'get', '--quiet', '-d', target, `hf:${repo}`],
    env: { HF_ENDPOINT: hub.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
  }),
}
const theirs = {
  name: '@huggingface/hub',
  command: (hub, repo) => ({
    file: process.execPath,
    args: [path('tools/snapshot.mjs'), '--hub', hub.url, '--dir', target, repo],
  }),
}
const curl = {
  name: 'curl, without digests',
  command: (hub, repo, sources) => ({
    file: 'curl',
    args: [
      ...['-q', '-f', '-sS', '-L', '-Z', '--parallel-immediate', '--output-dir', target],
      ...sources.flatMap(({ name }) => ['-o', name, `${hub.url}/${repo}/resolve/main/${name}`]),
    ],
  }),
}

const fast = await startHub([])
const slow = await startHub(['--rate', values.rate])
const rateText = `${String(Number(values.rate) / 1e6)} MB/s per connection`
await race(fast, 'bench/small', '400 × 64 KiB', [ours, theirs])
await race(slow, 'bench/large', `4 × ${values.mib} MiB, ${rateText}`, [ours, theirs])
await race(fast, 'bench/large', `4 × ${values.mib} MiB, no limit`, [ours, theirs, curl])
process.exit(0)

async function race(hub, repo, title, tools) {
  const sources = hub.repos[repo]
  const walls = new Map(tools.map(({ name }) => [name, []]))
  for (let round = 0; round <= Number(values.runs); round += 1) {
    for (const { name, command } of tools) {
      const run = await once(command(hub, repo, sources), sources)
      // The first round brings programs and sources into memory.
      if (round === 0) continue
      walls.get(name).push(run.wall)
      console.log(
        `${title}, ${name}: ${run.wall.toFixed(2)} s, CPU ${run.cpu.toFixed(2)} s, peak ${(run.peak / 1e6).toFixed(0)} MB`,
      )
    }
  }
  const ratios = walls.get(theirs.name).map((wall, round) => wall / walls.get(ours.name)[round])
  const ratio = spread(ratios).median
  const told = [...walls].map(([name, all]) => `${name} ${spread(all).median.toFixed(2)} s`)
  const verdict = ratio >= aim ? 'PASS' : 'MISS'
  console.log(
    `${verdict}: ${title}: ${told.join(', ')}; ${ratio.toFixed(2)} × as fast as ${theirs.name} (aim: at least ${aim} ×)\n`,
  )
}

/** Runs a tool into an empty folder, and looks at what it brought. */
async function once(command, sources) {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target)
  const run = await measure(command, { scratch: home, timeoutMs })
  if (!run.ok) throw new Error(`${command.args[0]}: ${run.why}`)
  const fault = await findFault(folderOf(sources[0].name), sources)
  if (fault !== null) throw new Error(`${command.args[0]}: ${fault}`)
  rmSync(target, { recursive: true, force: true })
  return run
}

/** Where a tool put the files. */
function folderOf(name) {
  const found = readdirSync(target, { recursive: true, withFileTypes: true }).find(
    (entry) => entry.name === name,
  )
  if (found === undefined) throw new Error(`${name} did not come.`)
  return found.parentPath
}

function startHub(options) {
  return startChild(path('tools/hub.mjs'), ['--mib', values.mib, ...options])
}
