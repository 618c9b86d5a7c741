/**
 * `npm run mutation`: changes the pure files of `src` in small ways, one at a time, and runs the unit tests of the changed
 * file against each change. It fails when the tests of a file notice too few of them, or when a change that they do not
 * notice is not listed with a reason in test/mutation/survivors.json.
 *
 * `npm run mutation -- src/net/retry.ts` looks at that file only, and `npm run mutation -- src/net/retry.ts:40-60` at these
 * lines of it, without judging the share that is noticed.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Stryker } from '@stryker-mutator/core'

const root = path.resolve(import.meta.dirname, '..')

/** The least share of the mutants that are not equivalent, in percent, that the unit tests of each file must notice. */
const leastScore = 92

const files = [
  'src/catalog/tip.ts',
  'src/disk/config-names.ts',
  'src/disk/lock-owner.ts',
  'src/disk/model-formats.ts',
  'src/disk/names.ts',
  'src/disk/substitutes.ts',
  'src/download/progress.ts',
  'src/download/request.ts',
  'src/download/states.ts',
  'src/engine/fetch/change-evidence.ts',
  'src/engine/fetch/connection-ramp.ts',
  'src/engine/fetch/failure-rules.ts',
  'src/engine/fetch/mirror-choice.ts',
  'src/engine/fetch/pool-size.ts',
  'src/engine/fetch/request-form.ts',
  'src/engine/fetch/response-rules.ts',
  'src/engine/fetch/retry-budget.ts',
  'src/engine/fetch/segments.ts',
  'src/engine/part/allocation.ts',
  'src/engine/part/identity.ts',
  'src/engine/part/intervals.ts',
  'src/engine/part/journal.ts',
  'src/engine/part/live-journal.ts',
  'src/files/stored.ts',
  'src/http/problem.ts',
  'src/job/connection-budget.ts',
  'src/job/group-rules.ts',
  'src/layouts/hf-usage.ts',
  'src/manager/interest.ts',
  'src/manager/queue.ts',
  'src/manager/space/ledger.ts',
  'src/manager/space/victims.ts',
  'src/net/address-policy.ts',
  'src/net/content-coding.ts',
  'src/net/content-range.ts',
  'src/net/cookies.ts',
  'src/net/direct/plain-head.ts',
  'src/net/host-gate.ts',
  'src/net/proxies.ts',
  'src/net/redirects.ts',
  'src/net/requested-wait.ts',
  'src/net/retry.ts',
  'src/net/server-digests.ts',
  'src/sources/globs.ts',
  'src/sources/identify.ts',
  'src/sources/quantisation.ts',
  'src/util/format.ts',
  'src/util/redact.ts',
]

/**
 * The mutants of each file that no test notices, with the reason. They are equivalent: they change nothing that a caller
 * can see. One with `equivalent: false` does, and counts against the score.
 */
const accepted = JSON.parse(readFileSync(path.join(root, 'test/mutation/survivors.json'), 'utf8'))

const wanted = process.argv.slice(2).map((argument) => {
  const [file, lines] = argument.split(':')
  return { file, lines }
})
const unknown = wanted.map(({ file }) => file).filter((file) => !files.includes(file))
if (unknown.length > 0) {
  console.error(`Not in the list of scripts/mutation.mjs: ${unknown.join(', ')}.`)
  process.exit(2)
}

/** Identifies a mutant by what stays the same when lines move: its first line, and which code replaces which. */
function describe(mutant, lines) {
  const { start, end } = mutant.location
  const code = lines.slice(start.line - 1, end.line).join('\n')
  const tail = lines[end.line - 1].length - (end.column - 1)
  const original = code.slice(start.column - 1, code.length - tail)
  const flat = (text) => text.replace(/\s+/g, ' ').trim()
  return { line: flat(lines[start.line - 1]), from: flat(original), to: flat(mutant.replacement) }
}

/** Further unit tests of some files, by the names of the tests; those that have the name of the file count anyway. */
const furtherTests = {
  'src/download/request.ts': ['requested-again'],
  'src/engine/part/journal.ts': ['leftover'],
  'src/job/group-rules.ts': ['group-merge', 'group-plan'],
  'src/manager/space/ledger.ts': ['space-ledger'],
  'src/net/address-policy.ts': ['hosts'],
}

/**
 * The unit tests of a file: those in the `unit/` folder of its room whose names begin with its name, such as
 * `retry.test.ts` and `retry-properties.test.ts` for `retry.ts`, and the further ones. All others of the room would
 * notice a few more changes, mostly by chance, and take most of the time.
 */
function testsOf(file) {
  const folder = `test/${file.split('/')[1]}/unit`
  const names = [path.basename(file, '.ts'), ...(furtherTests[file] ?? [])]
  return readdirSync(path.join(root, folder))
    .filter((test) => names.some((name) => test === `${name}.test.ts` || test.startsWith(`${name}-`)))
    .map((test) => `${folder}/${test}`)
}

async function survivorsOf(file, range) {
  process.env.MUTATION_TESTS = testsOf(file).join(',')
  const mutants = await new Stryker({
    mutate: [range === undefined ? file : `${file}:${range}`],
    testRunner: 'vitest',
    plugins: ['@stryker-mutator/vitest-runner'],
    vitest: { configFile: 'vitest.mutation.config.ts', related: false },
    coverageAnalysis: 'perTest',
    concurrency: 1,
    reporters: [],
    logLevel: 'error',
    allowConsoleColors: false,
    tempDirName: '.cache/mutation',
    // What the unit tests do not need is not copied.
    ignorePatterns: [
      '/*',
      '!/src',
      '!/test',
      '!/package.json',
      '!/tsconfig.json',
      '!/vitest.mutation.config.ts',
    ],
    disableTypeChecks: false,
    cleanTempDir: 'always',
    timeoutMS: 10_000,
  }).runMutationTest()
  const lines = readFileSync(path.join(root, file), 'utf8').split('\n')
  const valid = mutants.filter(({ status }) => status !== 'Ignored' && status !== 'CompileError')
  // A module that throws while it is loaded fails all tests, although none of them has been run.
  const breaksModule = ({ status, testsCompleted }) => status === 'Survived' && testsCompleted === 0
  const survived = valid.filter(
    (mutant) => mutant.status !== 'Killed' && mutant.status !== 'Timeout' && !breaksModule(mutant),
  )
  return {
    all: valid.length,
    survived: survived.map((mutant) => ({
      ...describe(mutant, lines),
      at: `${file}:${mutant.location.start.line}:${mutant.location.start.column}`,
      status: mutant.status,
    })),
  }
}

const rows = {}
let failed = false
for (const { file, lines } of wanted.length > 0 ? wanted : files.map((file) => ({ file }))) {
  const list = [...(accepted[file] ?? [])]
  let equivalent = 0
  const { all, survived } = await survivorsOf(file, lines)
  const news = survived.filter((mutant) => {
    const index = list.findIndex(
      ({ line, from, to }) => line === mutant.line && from === mutant.from && to === mutant.to,
    )
    if (index < 0) return true
    const [entry] = list.splice(index, 1)
    if (entry.equivalent !== false) equivalent += 1
    return false
  })
  const score = ((all - survived.length) / (all - equivalent)) * 100
  rows[file] = {
    mutants: all,
    equivalent,
    survived: survived.length - equivalent,
    'score in %': Number(score.toFixed(1)),
  }
  console.log(`${file}: ${score.toFixed(1)} % of ${all} mutants`)
  for (const { at, status, ...entry } of news) console.log(`  ${status} ${at}\n    ${JSON.stringify(entry)}`)
  if (news.length > 0 || (lines === undefined && score < leastScore)) failed = true
  if (lines === undefined)
    for (const { from, to } of list) console.log(`  Listed, but noticed by a test: ${from} → ${to}`)
}
console.table(rows)
process.exitCode = failed ? 1 : 0
