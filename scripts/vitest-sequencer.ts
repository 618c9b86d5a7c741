import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Test files that take longest, by their paths below `test`. Those that mostly wait are here as well. */
const longest = [
  'faults/death-power-cut',
  'sim/sim',
  'engine/worker',
  'manager/rate',
  'catalog/restart',
  'faults/disk-handles',
  'faults/server-body',
  'faults/mirrors-identity',
  'faults/disk-part',
  'http/ssrf',
  'frontends/bindings',
  'elements/dashboard',
  'frontends/examples',
]

/** Starts the longest files first, so that none of them is still running when all others are done. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.sort((a, b) => rank(a) - rank(b))
  }
}

function rank({ moduleId }: TestSpecification): number {
  const index = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
  return index === -1 ? longest.length : index
}
