/** The command `npm run sim`: runs worlds by their seeds, on all cores, and explains those that break a promise. */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { bundlePackage } from './bundle.js'
import { describeWorld } from './describe.js'
import { compilePackage, type CompiledPackage } from './process.js'
import { kindOf, shrink, worldOf } from './seeds.js'
import { simulate } from './simulate.js'

interface Report {
  worlds: number
  broken: { seed: number; violations: readonly string[] }[]
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1..1000' },
    mutants: { type: 'boolean', default: false },
    /** A part of the names of the mutants that are wanted. */
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
})

/** A known bug must be found within so many worlds. */
const mutantWorlds = 5_000

/** Worlds that a child runs before it asks for more. */
const batch = 100

if (process.send !== undefined) await serveAsChild()
else if (values.mutants) await findMutants()
else if (values.seed !== undefined) await explain(Number(values.seed))
else await runAll(values.seeds, Number(values.jobs))

async function compiled(): Promise<CompiledPackage> {
  return compilePackage(await bundlePackage())
}

/** Replays one world, and a smaller one when it breaks a promise. */
async function explain(seed: number): Promise<void> {
  const subject = await compiled()
  const world = worldOf(seed)
  const outcome = await simulate(world, subject)
  const [first] = outcome.violations
  if (first === undefined) {
    console.log(`${describeWorld(world)}\n\n${outcome.timeline.join('\n')}\n\nEvery promise was kept.`)
    return
  }
  console.log(`World ${seed} breaks a promise: ${first}\nLooking for a smaller one ...\n`)
  const smaller = await shrink(seed, kindOf(first), subject)
  console.log(describeWorld(smaller.world))
  console.log(`\n${smaller.outcome.timeline.join('\n')}\n`)
  for (const violation of smaller.outcome.violations) console.log(`Broken: ${violation}`)
  console.log(`\nAs a regression:\n${JSON.stringify(smaller.world)}`)
  process.exitCode = 1
}

/** Puts each known bug back, and counts the worlds until it is found. */
async function findMutants(): Promise<void> {
  const { mutants } = await import('./mutants.js')
  for (const [name, mutation] of Object.entries(mutants)) {
    if (!name.includes(values.only)) continue
    const found = await worldsUntilFound(compilePackage(await bundlePackage(mutation)))
    console.log(found === null ? `NOT FOUND in ${mutantWorlds} worlds: ${name}` : `${name}: ${found}`)
    if (found === null) process.exitCode = 1
  }
}

async function worldsUntilFound(subject: CompiledPackage): Promise<string | null> {
  for (let seed = 1; seed <= mutantWorlds; seed++) {
    const [violation] = (await simulate(worldOf(seed), subject)).violations
    if (violation !== undefined) return `world ${seed}: ${violation}`
  }
  return null
}

async function serveAsChild(): Promise<void> {
  const subject = await compiled()
  process.on('message', ([from, to]: [number, number]) => {
    void runRange(from, to, subject).then((report) => process.send?.(report))
  })
  process.send?.({ worlds: 0, broken: [] } satisfies Report)
}

async function runRange(from: number, to: number, subject: CompiledPackage): Promise<Report> {
  const report: Report = { worlds: 0, broken: [] }
  for (let seed = from; seed <= to; seed++) {
    const { violations } = await simulate(worldOf(seed), subject)
    report.worlds++
    if (violations.length > 0) report.broken.push({ seed, violations })
  }
  return report
}

async function runAll(range: string, jobs: number): Promise<void> {
  const [from = 1, to = from] = range.split('..').map(Number)
  const begin = performance.now()
  let next = from
  let done = 0
  const kinds = new Map<string, number[]>()
  const take = (report: Report) => {
    done += report.worlds
    for (const { seed, violations } of report.broken)
      for (const kind of new Set(violations.map(kindOf))) kinds.set(kind, [...(kinds.get(kind) ?? []), seed])
    const seconds = (performance.now() - begin) / 1000
    const line = `${done} of ${to - from + 1} worlds, ${(done / seconds).toFixed(0)} a second, ${kinds.size} kinds of broken promises`
    if (process.stderr.isTTY) process.stderr.write(`\r${line}`)
  }
  const one = (child: ChildProcess) =>
    new Promise<void>((resolve, reject) => {
      child.on('message', (report: Report) => {
        take(report)
        if (next > to) child.kill()
        else {
          child.send([next, Math.min(to, next + batch - 1)])
          next += batch
        }
      })
      child.on('exit', (code) => {
        if (code === null || code === 0) resolve()
        else reject(new Error(`A child has ended with ${code}.`))
      })
    })
  const entry = process.argv[1]
  if (entry === undefined) throw new Error('The script has no name.')
  const execArgv = ['--max-semi-space-size=32']
  await Promise.all(Array.from({ length: jobs }, () => one(fork(entry, [], { execArgv }))))
  const seconds = (performance.now() - begin) / 1000
  console.log(`\n${done} worlds in ${seconds.toFixed(0)} s, ${(done / seconds).toFixed(0)} a second.`)
  for (const [kind, seeds] of [...kinds].sort(([, a], [, b]) => b.length - a.length))
    console.log(`${String(seeds.length).padStart(6)}  ${kind}\n        seeds ${seeds.slice(0, 8).join(', ')}`)
  if (kinds.size === 0) console.log('Every promise was kept.')
  else process.exitCode = 1
}
