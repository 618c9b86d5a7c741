/** FAULTS.md row 64: on Windows other programs have files open, for some milliseconds or for ever. */
import { chmodSync } from 'node:fs'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { type FaultyFs, type FsFault, spawnFaulty } from '../support/faulty-fs.js'
import { startOrigin } from '../support/origin.js'
import { dist, runCli } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { expectInvariant, MiB } from './harness.js'

const content = randomContent(2 * MiB, 'busy')
const name = 'model.bin'
const old = Buffer.from('an old file')
const windows = { platform: 'win32', speed: 10 } as const

const calls = ['open', 'rename', 'unlink'] as const

interface Given extends FaultyFs {
  /** Whether a file exists that is to be replaced. Default false. */
  replaces?: boolean
  directory?: string
  /** Default: 4 MiB. */
  bytesPerSecond?: number
}

/** Fetches the file with the command, some of it after there is a journal. */
async function get(given: Given) {
  const { replaces = false, directory = tempDir('busy'), bytesPerSecond = 4 * MiB, ...faulty } = given
  await using origin = await startOrigin()
  origin.serve(`/${name}`, { content, bytesPerSecond })
  if (replaces) await writeFile(join(directory, name), old)
  const args = ['get', origin.url(`/${name}`), '-d', directory, '-o', name, '--json']
  args.push('--sha256', content.sha256())
  const { code, stdout, stderr } = await spawnFaulty({ ...windows, ...faulty }, args).finished(60_000)
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; code?: string; message?: string })
  const warnings = events.filter(({ type }) => type === 'log').map(({ message }) => message)
  const last = events.at(-1)
  return { code, stderr, directory, last, warnings, requests: origin.requests().length }
}

const times = (count: number, code: string, path: string, which: FsFault['calls'] = calls): FsFault[] =>
  which.map((call) => ({ calls: [call], path, code, times: count }))

const files = [
  ...[String.raw`\.part\.json`, String.raw`\.part\.live`, String.raw`\.part$`, String.raw`\.part\.lock`],
  String.raw`/model\.bin$`,
]

describe('row 64: held for a moment', () => {
  it.each([
    [1, 'EPERM'],
    [3, 'EBUSY'],
    [3, 'EACCES'],
  ] as const)('journal, records, part, lock and target, %i times each with %s', async (count, code) => {
    const faults = files.flatMap((path) => times(count, code, path))
    const { directory, last, warnings } = await get({ faults, replaces: true })
    expect(last).toMatchObject({ type: 'completed' })
    expect(warnings).toEqual([])
    await expectInvariant(directory, name, 'done', { content })
  })

  it('on other systems, where it is a missing permission, nothing is repeated', async () => {
    const faults = times(1, 'EACCES', String.raw`\.part\.lock`, ['open'])
    const { last, requests } = await get({ faults, platform: 'linux' })
    expect({ ...last, requests }).toMatchObject({ type: 'failed', code: 'PERMISSION', requests: 0 })
  })
})

describe('row 64: held for ever', () => {
  it('the target is seen before the first byte: FILE_BUSY, the old file untouched', async () => {
    const faults = times(Infinity, 'EBUSY', String.raw`/model\.bin$`, ['rename'])
    const { directory, last, requests, code } = await get({ faults, replaces: true })
    expect({ code, requests }).toEqual({ code: 1, requests: 0 })
    expect(last).toMatchObject({ type: 'failed', code: 'FILE_BUSY' })
    await expectInvariant(directory, name, 'X', { old })
  })

  it('the name of the target: FILE_BUSY, and the next run only publishes', async () => {
    const faults = times(Infinity, 'EPERM', String.raw`/model\.bin$`, ['rename'])
    const first = await get({ faults })
    expect(first.last).toMatchObject({ type: 'failed', code: 'FILE_BUSY' })
    await expectInvariant(first.directory, name, 'K')
    const second = await get({ directory: first.directory })
    expect(second.last).toMatchObject({ type: 'completed' })
    expect(second.requests).toBe(0)
  })

  it('the lock: FILE_BUSY before anything is requested', async () => {
    const faults = times(Infinity, 'EPERM', String.raw`\.part\.lock`, ['open'])
    const { last, requests, directory } = await get({ faults })
    expect(last).toMatchObject({ type: 'failed', code: 'FILE_BUSY' })
    expect(requests).toBe(0)
    await expectInvariant(directory, name, 'X')
  })

  it('the journal never ends a transfer', async () => {
    const faults = times(Infinity, 'EPERM', String.raw`\.part\.(?:json|live)`, ['rename'])
    // It lasts longer than one call is repeated.
    const { directory, last, warnings } = await get({ faults, bytesPerSecond: MiB })
    expect(last).toMatchObject({ type: 'completed' })
    expect(warnings).toEqual([expect.stringContaining('The journal is written later')])
    await expectInvariant(directory, name, 'done', { content })
  })

  it('a journal that nobody may delete stays beside the complete file', async () => {
    const faults = times(Infinity, 'EBUSY', String.raw`\.part\.json$`, ['unlink'])
    const { directory, last, warnings } = await get({ faults })
    expect(last).toMatchObject({ type: 'completed' })
    expect(warnings).toEqual([expect.stringContaining('The file is complete.')])
    await expectInvariant(directory, name, 'done', { content, others: [`${name}.part.json`] })
  })

  it('the records of the store', async () => {
    await using origin = await startOrigin()
    origin.serve(`/${name}`, { content })
    const directory = tempDir('busy')
    const script = `
      import { DownloadManager } from ${JSON.stringify(`${dist}/index.js`)}
      const manager = new DownloadManager({ directory: ${JSON.stringify(directory)}, defaultMode: null, proxy: false })
      const download = await manager.download({ url: ${JSON.stringify(origin.url(`/${name}`))} })
      console.log((await download.finished).sha256)
      await manager.close()`
    // The first record was written, and is held from then on.
    const faults = [
      { calls: ['rename'], path: String.raw`\.model-downloader/`, code: 'EPERM', times: 3 },
    ] as const
    const run = spawnFaulty({ ...windows, faults }, ['--input-type=module', '-e', script], { script: [] })
    const { code, stdout, stderr } = await run.finished(60_000)
    expect({ code, stdout: stdout.trim(), stderr }).toEqual({ code: 0, stdout: content.sha256(), stderr: '' })
  })
})

describe('row 64: what Windows does otherwise', () => {
  it('lstat and fstat report different devices', async () => {
    const { directory, last, warnings } = await get({ otherDevice: true, replaces: true })
    expect(last).toMatchObject({ type: 'completed' })
    expect(warnings).toEqual([])
    await expectInvariant(directory, name, 'done', { content })
  })

  it('a read-only file is replaced, and the part is never read-only', async () => {
    const directory = tempDir('busy')
    await writeFile(join(directory, name), old)
    chmodSync(join(directory, name), 0o444)
    const faults = times(1, 'EIO', String.raw`/model\.bin$`, ['rename'])
    const failed = await get({ directory, faults, keepsReadOnly: true })
    expect(failed.last).toMatchObject({ type: 'failed', code: 'DISK_IO' })
    await expectInvariant(directory, name, 'K', { old })
    expect((await stat(join(directory, `${name}.part`))).mode & 0o200).toBe(0o200)
    expect((await get({ directory, keepsReadOnly: true })).last).toMatchObject({ type: 'completed' })
    expect((await stat(join(directory, name))).mode & 0o777).toBe(0o444)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('a part that an earlier version left read-only is gone on with', async () => {
    const faults = times(Infinity, 'EBUSY', String.raw`/model\.bin$`, ['rename'])
    const { directory } = await get({ faults })
    chmodSync(join(directory, `${name}.part`), 0o444)
    const again = await get({ directory })
    expect({ ...again.last, requests: again.requests }).toMatchObject({ type: 'completed', requests: 0 })
  })

  it('a folder in the way is refused with EPERM', async () => {
    const directory = tempDir('busy')
    await mkdir(join(directory, `${name}.part`))
    const faults = times(Infinity, 'EPERM', String.raw`\.part$`)
    const { last } = await get({ directory, faults })
    expect(last).toMatchObject({ type: 'failed', code: 'TARGET_NOT_REGULAR' })
    expect(await listTree(directory)).toEqual([`${name}.part/`])
  })

  it('a part that another program has deleted starts over', async () => {
    const faults: FsFault[] = times(1, 'ENOENT', String.raw`/model\.bin$`, ['rename'])
    const { directory, last, warnings } = await get({ faults })
    expect(last).toMatchObject({ type: 'completed' })
    expect(warnings).toEqual([expect.stringContaining('Starting over')])
    await expectInvariant(directory, name, 'done', { content })
    expect((await readFile(join(directory, name))).length).toBe(content.size)
    expect((await runCli(['ls', '-d', directory])).code).toBe(0)
  })
})
