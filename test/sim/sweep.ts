/** Every file call of a few plain worlds fails once, in every way: FAULTS row 65. */
import type { FileCall } from './file-system.js'
import { plainServer as server } from './plain.js'
import { Random } from './random.js'
import { simulate } from './simulate.js'
import type { CompiledPackage } from './process.js'
import type { DiskFault, Errno, FileSpec, WorldSpec } from './spec.js'

const file: FileSpec = {
  size: 600_000,
  digest: 'known',
  toldSize: 'right',
  existing: false,
  force: false,
  remote: false,
  spread: false,
  servers: [server],
}

const plain: WorldSpec = {
  seed: 1,
  disk: 'posix',
  freeBytes: null,
  diskFaults: [],
  deaths: [],
  outage: null,
  rivalAtMs: null,
  listenersThrow: false,
  slowness: 4,
  connections: 4,
  concurrency: 3,
  minSegmentBytes: 16_384,
  bodyReader: 'fast',
  isGroup: false,
  files: [file],
  calls: [],
}

const several = { isGroup: true, files: [file, { ...file, size: 5_000 }, { ...file, size: 80_000 }] }

/** What is done while the calls fail. */
export const scenarios: Readonly<Record<string, WorldSpec>> = {
  get: plain,
  'get without a digest': { ...plain, files: [{ ...file, digest: 'unknown' }] },
  resume: { ...plain, deaths: [{ call: 60, after: true, power: false }] },
  replace: { ...plain, files: [{ ...file, existing: true, force: true }] },
  'cancel and again': {
    ...plain,
    calls: [
      { atMs: 300, file: 0, what: 'cancel' },
      { atMs: 600, file: 0, what: 'retry' },
    ],
  },
  'pause and remove': {
    ...plain,
    calls: [
      { atMs: 300, file: 0, what: 'pause' },
      { atMs: 600, file: 0, what: 'remove' },
    ],
  },
  group: { ...plain, ...several },
  adopt: { ...plain, adopts: true },
  cache: { ...plain, ...several, inCache: true },
}

const errnos: readonly Errno[] = ['EIO', 'ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'EINTR', 'EMFILE', 'EBUSY']

/** Of a call that is made often, so many are tried, at equal distances. */
const maxPerCall = 8

/** One case: a scenario with one fault in it. */
export interface SweepCase {
  name: string
  world: WorldSpec
  fault: DiskFault | null
}

/** All cases of all scenarios, by what a run without a fault does. */
export async function sweepCases(compiled: CompiledPackage): Promise<SweepCase[]> {
  const cases: SweepCase[] = []
  for (const [scenario, world] of Object.entries(scenarios)) {
    const { diskCalls, violations } = await simulate(world, compiled)
    if (violations.length > 0) throw new Error(`${scenario}: ${violations.join('; ')}`)
    for (const [call, count] of diskCalls) {
      for (const nth of spread(count)) {
        for (const errno of [
          ...errnos,
          ...(call === 'read' || call === 'write' ? (['short'] as const) : []),
        ]) {
          for (const lasts of errno === 'EINTR' || errno === 'short' ? [false] : [false, true]) {
            const fault = { call, nth, errno, lasts }
            const name = `${scenario}: ${call} ${nth} of ${count} ${errno}${lasts ? ' and so on' : ''}`
            cases.push({ name, fault, world: { ...world, diskFaults: [fault] } })
          }
        }
      }
    }
    const total = [...diskCalls.values()].reduce((sum, count) => sum + count, 0)
    for (let call = 1; call <= total; call++) {
      for (const after of [false, true]) {
        const name = `${scenario}: killed ${after ? 'after' : 'before'} call ${call} of ${total}`
        cases.push({ name, fault: null, world: { ...world, deaths: [{ call, after, power: false }] } })
      }
    }
  }
  return cases
}

function spread(count: number): number[] {
  const step = Math.max(1, count / maxPerCall)
  return [
    ...new Set(Array.from({ length: Math.min(count, maxPerCall) }, (_, i) => Math.ceil((i + 1) * step))),
  ]
}

/** So many of the cases, the same each time. */
export function sample(cases: readonly SweepCase[], count: number): SweepCase[] {
  const random = new Random(65)
  const rest = [...cases]
  return Array.from({ length: Math.min(count, rest.length) }, () =>
    rest.splice(random.below(rest.length), 1),
  ).flat()
}

/** Only adopting makes these calls, and when they fail the file is fetched. */
const callsOfAdoption: readonly FileCall[] = ['copyFile', 'chmod']

/** Runs cases. Returns what was wrong with them, a line for each. */
export async function runCases(cases: readonly SweepCase[], compiled: CompiledPackage): Promise<string[]> {
  const wrong: string[] = []
  for (const { name, world, fault } of cases) {
    const { violations, states } = await simulate(world, compiled)
    for (const violation of violations) wrong.push(`${name}: ${violation}`)
    const mustComplete = world.adopts === true && fault !== null && callsOfAdoption.includes(fault.call)
    if (mustComplete && states.some((state) => state !== 'completed')) wrong.push(`${name}: ${states.join()}`)
  }
  return wrong
}
