/** What a run says of the tests that it did not run. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { diskNeeds } from '../faults/loop-disk.js'
import * as machine from './machine.js'
import { nginx } from './nginx.js'
import { ociRegistry } from './oci-registry.js'
import { root, spawnNode } from './process.js'
import { tempDir } from './temp.js'

/** Runs a file of tests with the summary alone. */
async function run(code: string, env: Record<string, string> = {}, args: readonly string[] = []) {
  const folder = tempDir('summary')
  const summary = join(folder, 'summary.json')
  const vitest = join(root, 'node_modules', 'vitest')
  writeFileSync(
    join(folder, 'x.test.mjs'),
    `import { beforeAll, describe, it } from ${JSON.stringify(join(vitest, 'dist', 'index.js'))}\n${code}`,
  )
  writeFileSync(join(folder, 'vitest.config.mjs'), 'export default { test: {} }')
  const reporter = `--reporter=${join(root, 'scripts', 'vitest-summary.ts')}`
  const result = await spawnNode(
    join(vitest, 'vitest.mjs'),
    ['run', '--root', folder, '--config', join(folder, 'vitest.config.mjs'), reporter, ...args],
    { cwd: folder, env: { CI: '', TEST_SUMMARY: summary, ...env } },
  ).finished()
  return { ...result, counts: JSON.parse(readFileSync(summary, 'utf8')) as unknown }
}

const skipping = `
  it('runs', () => undefined)
  it('lacks', (context) => context.skip('no strace here: apt-get install strace'))
`

describe('the summary of a run', () => {
  it('names what is missing, and the command that installs it', async () => {
    const { code, stdout, counts } = await run(skipping)
    expect(stdout).toContain('Skipped 1: no strace here: apt-get install strace\n')
    expect(stdout).toContain('1 passed, 0 failed, 1 skipped\n')
    expect(counts).toEqual({ passed: 1, failed: 0, skipped: 1 })
    expect(code).toBe(0)
  })

  it('takes a skip for a failure with CI=true', async () => {
    const { code, stdout, stderr, counts } = await run(skipping, { CI: 'true' })
    expect(stdout).toContain('Skipped 1: no strace here: apt-get install strace\n')
    expect(stderr).toContain('FAILED: with CI=true no test may be skipped.')
    expect(counts).toEqual({ passed: 1, failed: 1, skipped: 0 })
    expect(code).toBe(1)
  })

  it('says of tests below a hook that failed that it was the hook', async () => {
    const code = `describe('a', () => {
      beforeAll(() => { throw new Error('no') })
      it('one', () => undefined)
      describe('b', () => it('two', () => undefined))
    })`
    const { stdout, counts } = await run(code)
    expect(stdout).toContain('Skipped 2: a hook failed above it in x.test.mjs\n')
    expect(counts).toEqual({ passed: 0, failed: 1, skipped: 2 })
  })

  it('names a test that is left out without a reason', async () => {
    const { stdout } = await run(`it.skip('mute', () => undefined)\nit('runs', () => undefined)`)
    expect(stdout).toContain('Skipped 1: no reason given: "mute" in x.test.mjs\n')
  })

  it('does not count tests that nobody asked for', async () => {
    const { code, counts } = await run(skipping, { CI: 'true' }, ['-t', 'runs'])
    expect(counts).toEqual({ passed: 1, failed: 0, skipped: 0 })
    expect(code).toBe(0)
  })
})

it('every need names a command', () => {
  const needs = [...Object.values(machine), ...Object.values(diskNeeds), nginx, ociRegistry].filter(
    (each) => typeof each === 'object' && 'missing' in each,
  )
  expect(needs.length).toBeGreaterThan(8)
  // What Windows does not have, no command installs.
  const never = /^Windows |: on Windows, /
  const commands = needs.map(({ missing }) => missing).filter((missing) => !never.test(missing))
  expect(commands.length).toBeGreaterThan(8)
  for (const missing of commands) expect(missing).toMatch(/: (?:apt-get install|docker run) \S/)
})
