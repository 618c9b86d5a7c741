/**
 * Whole repositories of a hub: `get hf:…` against `snapshotDownload` of the hub's own client, in turn, from the imitation of
 * the hub that the tests use. Aim: at least 3 times as fast, with digests checked. `npm run build` first; then
 * `node bench/sources.mjs [--runs N] [--mib N] [--rate BYTES]`.
 *
 * Hub and tools are processes of their own, on the same cores; source and target lie in memory.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { findFault } from './lib/files.mjs'
import { measure } from './lib/measure.mjs'
import { spread } from './lib/results.mjs'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    mib: { type: 'string', default: '512' },
    rate: { type: 'string' },
  },
})
const aim = 3
const timeoutMs = 180_000
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-sources-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
const target = join(home, 'target')

const hub = await startHub()
const tools = {
  'model-downloader': (repo) => ({
    file: process.execPath,
    args: [path('../dist/cli.js'), 'get', '--quiet', '-d', target, `hf:${repo}`],
    env: { HF_ENDPOINT: hub.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
  }),
  '@huggingface/hub': (repo) => ({
    file: process.execPath,
    args: [path('tools/snapshot.mjs'), '--hub', hub.url, '--dir', target, repo],
  }),
}
const titles = { 'bench/small': '400 × 64 KiB', 'bench/large': `4 × ${values.mib} MiB` }

for (const [repo, sources] of Object.entries(hub.repos)) {
  const walls = Object.fromEntries(Object.keys(tools).map((name) => [name, []]))
  const ratios = []
  for (let round = 0; round <= Number(values.runs); round += 1) {
    const of = {}
    for (const [name, command] of Object.entries(tools)) {
      const run = await once(command(repo), sources)
      // The first round brings programs and sources into memory.
      if (round === 0) continue
      of[name] = run.wall
      walls[name].push(run.wall)
      console.log(
        `${titles[repo]}, ${name}: ${run.wall.toFixed(2)} s, CPU ${run.cpu.toFixed(2)} s, peak ${(run.peak / 1e6).toFixed(0)} MB`,
      )
    }
    if (round > 0) ratios.push(of['@huggingface/hub'] / of['model-downloader'])
  }
  const ratio = spread(ratios).median
  const [ours, theirs] = Object.values(walls).map((all) => spread(all).median.toFixed(2))
  const verdict = ratio >= aim ? 'PASS' : 'MISS'
  console.log(
    `${verdict}: ${titles[repo]}: ours ${ours} s, @huggingface/hub ${theirs} s = ${ratio.toFixed(2)} × as fast (aim: at least ${aim} ×)\n`,
  )
}
process.exit(0)

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

async function startHub() {
  const options = [...['--mib', values.mib], ...(values.rate === undefined ? [] : ['--rate', values.rate])]
  const child = spawn(process.execPath, [path('tools/hub.mjs'), ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  atExit(() => child.kill())
  const timer = setTimeout(() => child.kill(), 60_000)
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(timer)
    return JSON.parse(line)
  }
  throw new Error('The hub did not start.')
}
