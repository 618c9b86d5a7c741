/** FAULTS.md row 29: no free file handle. The limit is a real one, of the command line's own process. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { describeWith, prlimit } from '../support/machine.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { openFds, spawnCli } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { deadline, waitFor } from '../support/wait.js'

/** Handles that the command line has open while it fetches one file over one connection. */
async function handlesOfOne(origin: Origin): Promise<number> {
  origin.serve('/one.bin', { content: randomContent(400_000), bytesPerSecond: 400_000 })
  await using cli = spawnCli(['get', origin.url('/one.bin'), '-d', tempDir('one'), '--connections', '1'])
  await origin.waitForBytes('/one.bin', 50_000)
  let most = 0
  await waitFor(
    async () => {
      most = Math.max(most, (await openFds(cli.pid)).length)
      return !cli.running || origin.bytesSent('/one.bin') > 300_000
    },
    { what: 'most of the file' },
  )
  return most
}

/** Fetches files with `spare` handles more than one file needs. */
async function fetches(files: number, size: number, spare: number, args: readonly string[]): Promise<void> {
  await using origin = await startOrigin()
  const limit = (await handlesOfOne(origin)) + spare
  const contents = new Map(
    Array.from({ length: files }, (_, index) => [`f${index}.bin`, randomContent(size, index)]),
  )
  for (const [name, content] of contents) origin.serve(`/${name}`, { content, bytesPerSecond: size * 2 })
  const directory = tempDir('handles')
  const urls = [...contents.keys()].map((name) => origin.url(`/${name}`))
  const command = ['get', '-i', '-', '-d', directory, '--json', ...args]
  await using cli = spawnCli(command, { hasInput: true })
  // Only a program that is loaded, for which more files are opened than for a transfer, reads more than a pipe holds.
  const { input } = cli
  await new Promise((resolve) => input?.write('#\n'.repeat(500_000), resolve))
  execFileSync('prlimit', [`--nofile=${limit}:${limit}`, '--pid', String(cli.pid)])
  input?.end(urls.join('\n'))
  const { code, stdout, stderr } = await cli.finished(commandMs)
  const failures = stdout.split('\n').filter((line) => line.includes('"failed"'))
  expect({ code, failures, stderr }).toEqual({ code: 0, failures: [], stderr: '' })
  expect(await listTree(directory)).toEqual([...contents.keys()].sort())
  for (const [name, content] of contents)
    expect(await sha256File(join(directory, name))).toBe(content.sha256())
}

/**
 * Handles get free when idle connections end, which takes seconds, and what finds none waits longer each time. The command
 * ends before the test does, so that a failure shows what it said.
 */
const commandMs = 100_000
const testMs = deadline(2 * commandMs)

describeWith(prlimit, 'row 29: no free file handle', () => {
  it(
    'row 29: many files at a time wait for each other’s handles and arrive',
    async () => {
      await fetches(10, 200_000, 8, ['--concurrency', '10', '--connections', '1'])
    },
    testMs,
  )

  it(
    'row 29: one file with more connections than there are handles arrives over fewer',
    async () => {
      await fetches(1, 8_000_000, 4, ['--connections', '32'])
    },
    testMs,
  )

  it(
    'row 29: several files with several connections each arrive',
    async () => {
      await fetches(6, 3_000_000, 8, ['--concurrency', '6', '--connections', '8'])
    },
    testMs,
  )
})
