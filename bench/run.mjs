/** Compares whole download processes on loopback. See README.md beside this file. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { loadavg } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { findFault, makeFile, removeFiles } from './lib/files.mjs'
import { hostText, measureHosts } from './lib/host.mjs'
import { describeMachine, missingPrerequisites } from './lib/machine.mjs'
import { measure } from './lib/measure.mjs'
import { targetText, terminalTable, writeMarkdown } from './lib/report.mjs'
import { ScenarioResults } from './lib/results.mjs'
import { GROUPS, scenarios, sizeText } from './lib/scenarios.mjs'
import { Links } from './lib/links.mjs'
import { PROGRAMS } from './lib/programs.mjs'
import { startServer } from './lib/server.mjs'
import { judge } from './lib/targets.mjs'
import { installPackages, TOOLS } from './lib/tools.mjs'

const README = join(dirname(fileURLToPath(import.meta.url)), 'README.md')
const TIMEOUT_MS = 120_000
const WARM_UP_TIMEOUT_MS = 20_000
const DEFAULT_RUNS = 5
const SCENARIO_IDS = scenarios({ quick: false }).map(({ id }) => id)
/** A load above this before the start means that somebody else is at work. */
const BUSY_LOAD = 0.5

const HELP = `Usage: npm run bench -- [options]
  --quick         1 run, small files; to see that all works, not to judge
  --only LIST     of ${GROUPS.join(',')}, or single scenarios: ${SCENARIO_IDS.join(',')}
  --tools LIST    of ${TOOLS.map(({ id }) => id).join(',')}
  --runs N        rounds per scenario (default ${String(DEFAULT_RUNS)})
  --markdown      put the result into bench/README.md`

function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      tools: { type: 'string' },
      runs: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const runs = values.runs === undefined ? (values.quick ? 1 : DEFAULT_RUNS) : Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs takes a whole number from 1')
  return {
    help: values.help,
    quick: values.quick,
    markdown: values.markdown,
    runs,
    groups: readList(values.only, [...GROUPS, ...SCENARIO_IDS], '--only') ?? GROUPS,
    tools: readList(
      values.tools,
      TOOLS.map(({ id }) => id),
      '--tools',
    ),
  }
}

/** @returns {string[] | null} null when not given */
function readList(text, allowed, option) {
  if (text === undefined) return null
  const list = text.split(',').map((item) => item.trim())
  const strange = list.find((item) => !allowed.includes(item))
  if (strange !== undefined) throw new Error(`${option}: "${strange}" is none of ${allowed.join(', ')}`)
  return list
}

/** The tools of a scenario. Memory is a question about ours, unless others are asked for by name. */
function toolsFor(scenario, wanted) {
  return TOOLS.filter(({ id, several, special }) => {
    if (scenario.count > 1 && !several) return false
    if (scenario.tools?.includes(id) ?? false) return wanted?.includes(id) ?? true
    if (scenario.tools !== undefined || special === true) return false
    if (wanted !== null) return wanted.includes(id)
    return scenario.onlyOurs !== true || id === 'ours'
  })
}

/** Everything lies on tmpfs, so that no disk takes part in the race. */
function makeHome() {
  const home = mkdtempSync(join('/dev/shm', 'model-downloader-bench-'))
  atExit(() => rmSync(home, { recursive: true, force: true }))
  // nginx's workers run as another user when started by root.
  chmodSync(home, 0o755)
  const folders = {
    home,
    source: join(home, 'source'),
    target: join(home, 'target'),
    scratch: join(home, 'scratch'),
  }
  mkdirSync(folders.source)
  mkdirSync(folders.scratch)
  return folders
}

function checkSpace(home, plan) {
  // The sources of a scenario and the target of one tool, which may keep a second copy of some of it.
  const needed = Math.max(...plan.map(({ size, count }) => size * count)) * 2.6
  const { bavail, bsize } = statfsSync(home)
  if (bavail * bsize < needed) {
    throw new Error(
      `/dev/shm needs ${sizeText(Math.ceil(needed / 2 ** 20) * 2 ** 20)} free; use --quick or --only`,
    )
  }
}

class Bench {
  #server
  #links
  #folders
  #runs
  #tiny
  /** Kept from scenario to scenario while the next one uses the same size. */
  #sources = { key: '', files: [] }

  constructor({ server, folders, runs, tiny }) {
    this.#server = server
    this.#links = new Links(server.base.plain)
    this.#folders = folders
    this.#runs = runs
    this.#tiny = tiny
  }

  /** @param {import('./lib/scenarios.mjs').Scenario} scenario */
  async run(scenario, tools) {
    const results = new ScenarioResults(scenario)
    const files = await this.#makeSources(scenario)
    this.#touch(files)
    for (const tool of tools) {
      results.add(tool)
      const why = tool.missing() ?? (await this.#warmUp(tool, scenario))
      if (why !== null) results.fail(tool.id, why)
    }
    await this.#takeMemory(files)
    for (let round = 1; round <= this.#runs; round++) {
      for (const tool of tools) {
        // A tool that failed once is out: its figures would not be comparable, and a timeout costs minutes.
        if (results.fault(tool.id) !== null) continue
        const outcome = await this.#once(tool, scenario, files, TIMEOUT_MS)
        if (outcome.ok) results.record(tool.id, round, outcome)
        else results.fail(tool.id, outcome.why)
        const told = outcome.ok ? `${outcome.wall.toFixed(2)} s` : outcome.why
        console.error(`${scenario.id} ${String(round)}/${String(this.#runs)}  ${tool.label}: ${told}`)
      }
    }
    return results
  }

  /** What a download does to its host. */
  async runHosts(size) {
    const files = await this.#makeSources({ size, count: 1 })
    this.#touch(files)
    const results = await measureHosts({
      url: `${this.#server.base.tls}/${files[0].name}`,
      ca: this.#server.ca,
      target: this.#folders.target,
      runs: this.#runs,
      timeoutMs: TIMEOUT_MS,
    })
    return hostText(results, `### The host's event loop, TLS, ${sizeText(size)}`)
  }

  async #once(tool, scenario, files, timeoutMs) {
    const { target, scratch } = this.#folders
    rmSync(target, { recursive: true, force: true })
    mkdirSync(target)
    const { link } = scenario
    const base = link === undefined ? this.#server.base[scenario.server] : await this.#links.base(link)
    const job = {
      urls: files.map(({ name }) => `${base}/${name}`),
      names: files.map(({ name }) => name),
      dir: target,
      connections: scenario.connections,
      size: files[0].size,
      sha256: files.length === 1 ? files[0].sha256 : undefined,
      ca: scenario.server === 'tls' ? this.#server.ca : undefined,
      scratch,
    }
    const outcome = await measure(tool.command(job), { scratch, timeoutMs })
    const fault = outcome.ok && tool.fetches !== false ? await findFault(target, files) : null
    rmSync(target, { recursive: true, force: true })
    return fault === null ? outcome : { ok: false, why: fault }
  }

  /** One tiny download per tool: its program comes into the page cache, and a broken set-up shows at once. */
  async #warmUp(tool, scenario) {
    const outcome = await this.#once(tool, scenario, [this.#tiny], WARM_UP_TIMEOUT_MS)
    return outcome.ok ? null : outcome.why
  }

  async #makeSources({ size, count }) {
    const key = `${String(count)}x${String(size)}`
    if (this.#sources.key !== key) {
      await removeFiles(this.#folders.source, this.#sources.files)
      const files = []
      for (let i = 0; i < count; i++) {
        files.push(await makeFile(this.#folders.source, `${key}-${String(i)}.bin`, size))
      }
      this.#sources = { key, files }
    }
    return this.#sources.files
  }

  /**
   * Fills the target once: a virtual machine is given its memory when it is first used, which would be the first tool's loss.
   */
  async #takeMemory(files) {
    const { target } = this.#folders
    mkdirSync(target, { recursive: true })
    const filled = await makeFile(
      target,
      'memory',
      files.reduce((sum, { size }) => sum + size, 0),
    )
    await removeFiles(target, [filled])
  }

  /** Has the server read its source once, without the throttle. */
  #touch(files) {
    const urls = files.flatMap(({ name }) => ['-o', '/dev/null', `${this.#server.base.plain}/${name}`])
    execFileSync('curl', ['-q', '-f', '-sS', '--noproxy', '*', ...urls], { timeout: TIMEOUT_MS })
  }
}

/** Runs a measurement that is a program of its own, which prints its result. */
function runProgram(file, args) {
  console.log(`\n${basename(file, '.mjs')}`)
  execFileSync(process.execPath, [file, ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
}

async function main() {
  const options = readOptions()
  if (options.help) {
    console.log(HELP)
    return
  }
  const lacking = missingPrerequisites()
  if (process.platform !== 'linux' || lacking.length > 0) {
    const list = lacking.length > 0 ? `; missing: ${lacking.join(', ')}` : ''
    throw new Error(`needs Linux with nginx, openssl, curl and GNU time${list}`)
  }
  installCleanup()
  const plan = scenarios(options)
    .filter(({ id, group }) => options.groups.includes(group) || options.groups.includes(id))
    .map((scenario) => ({ scenario, tools: toolsFor(scenario, options.tools) }))
    .filter(({ tools }) => tools.length > 0)
  const used = TOOLS.filter((tool) => plan.some(({ tools }) => tools.includes(tool)))
  const wantsHost =
    options.groups.includes('host') && (options.tools === null || options.tools.includes('ours'))
  const programs =
    options.tools === null ? PROGRAMS.filter(({ group }) => options.groups.includes(group)) : []
  if (used.length === 0 && !wantsHost && programs.length === 0)
    throw new Error('none of these tools takes part in these scenarios')
  installPackages(used)

  if (plan.length === 0 && !wantsHost) {
    for (const { file, args } of programs) runProgram(file, args(options))
    return
  }
  const folders = makeHome()
  checkSpace(
    folders.home,
    plan.map(({ scenario }) => scenario),
  )
  const [load] = loadavg()
  if (load > BUSY_LOAD) {
    console.error(`Warning: the load is ${load.toFixed(1)}; other work on this machine blurs the figures.`)
  }
  const server = await startServer({ home: join(folders.home, 'nginx'), files: folders.source })
  const tiny = await makeFile(folders.source, 'tiny.bin', 64 * 1024)
  const bench = new Bench({ server, folders, runs: options.runs, tiny })
  const all = new Map()
  for (const { scenario, tools } of plan) {
    const results = await bench.run(scenario, tools)
    all.set(scenario.id, results)
    console.log(`${terminalTable(results)}\n`)
  }
  const host = wantsHost ? await bench.runHosts(options.quick ? 2 ** 28 : 2 ** 31) : null
  await server.stop()
  for (const { file, args } of programs) runProgram(file, args(options))

  const machine = describeMachine(used)
  const otherNodeTools = new Set(TOOLS.filter(({ id, node }) => node && id !== 'ours').map(({ id }) => id))
  const targets = judge(all, otherNodeTools)
  console.log(machine)
  if (host !== null) console.log(`\n${host}`)
  if (targets.length > 0) console.log(`\n${targets.map(targetText).join('\n')}`)
  if (options.quick)
    console.log('\nShort form: start-up weighs too much in files this small to judge by them.')
  if (options.markdown) {
    const { runs, quick } = options
    writeMarkdown({ readme: README, machine, runs, quick, all: [...all.values()], targets, host })
  }
}

try {
  await main()
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
