/** FAULTS.md row 25: the disk fails on a write or on a sync. strace makes it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { randomContent, type Content } from '../support/content.js'
import { describeWith, spawnUnder, strace, traceOnly } from '../support/machine.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { cliPath, root } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { arrives, expectInvariant, fastTuning, makeManager, MiB } from './harness.js'

const content = randomContent(4 * MiB)

/**
 * Runs Node with injected failures, of calls on one path if that is given. One thread of the pool, as strace counts
 * calls per thread.
 */
async function withFailing(inject: string, args: readonly string[], path?: string) {
  const log = join(tempDir('strace'), 'log')
  const only = path === undefined ? [] : ['-P', path]
  const wrapper = [
    ...traceOnly(inject.slice(0, inject.indexOf(':'))),
    '-o',
    log,
    ...only,
    '-e',
    `inject=${inject}`,
  ]
  const env = { UV_THREADPOOL_SIZE: '1' }
  const ended = await spawnUnder(wrapper, args, { env }).finished(30_000)
  expect(await readFile(log, 'utf8'), 'the failure was injected').toContain('(INJECTED)')
  return ended
}

/** The last line of NDJSON. */
const lastOf = (stdout: string) => JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown

interface Kept {
  written: [number, number][]
  synced: [number, number][]
}

/** The journal; every interval that it claims is compared with what lies in the part. */
async function honestJournal(directory: string): Promise<Kept> {
  const part = await readFile(join(directory, 'model.bin.part'))
  // Its shape is the engine's own; a wrong one fails below.
  const journal = JSON.parse(await readFile(join(directory, 'model.bin.part.json'), 'utf8')) as Kept
  for (const [start, end] of [...journal.written, ...journal.synced])
    expect(part.subarray(start, end).equals(content.slice(start, end)), `${start} to ${end}`).toBe(true)
  return journal
}

const bytesIn = (intervals: readonly [number, number][]) =>
  intervals.reduce((sum, [start, end]) => sum + end - start, 0)

/** The same request without any failure finishes the file; resolves to the number of bytes that it had to fetch. */
async function finishes(origin: Origin, directory: string, served: Content = content): Promise<number> {
  origin.clearRequests()
  await using manager = makeManager(directory)
  await arrives(await manager.download({ url: origin.url('/model.bin') }))
  await expectInvariant(directory, 'model.bin', 'done', { content: served })
  return origin.bytesSent()
}

/** Fetches the file with a manager of short intervals; prints the code of the error, or `done`. */
const managerScript = (url: string, directory: string, tuning: object) => `
import { DownloadManager } from ${JSON.stringify(join(root, 'dist/index.js'))}
const manager = new DownloadManager({
  directory: ${JSON.stringify(directory)}, defaultMode: null, store: 'memory', proxy: false,
  tuning: ${JSON.stringify(tuning)},
})
const download = await manager.download({ url: ${JSON.stringify(url)}, connections: 2 })
console.log(await download.finished.then(() => 'done', (error) => error.code))
await manager.close()
`

describeWith(strace, 'row 25: the disk fails', () => {
  it.each([
    { calls: 'pwrite64,pwritev', when: '8' },
    { calls: 'pwrite64,pwritev', when: '12..14' },
    { calls: 'pwrite64,pwritev', when: '9+' },
  ])(
    'row 25: EIO on $calls, call $when: DISK_IO, K, nothing claimed that is not there',
    async ({ calls, when }) => {
      await using origin = await startOrigin()
      const directory = tempDir('eio')
      origin.serve('/model.bin', { content, bytesPerSecond: 2 * MiB })
      const args = [cliPath, 'get', origin.url('/model.bin'), '-d', directory, '--json', '--connections', '4']
      const { code, stdout } = await withFailing(`${calls}:error=EIO:when=${when}`, args)
      expect(code).toBe(1)
      expect(lastOf(stdout)).toMatchObject({ type: 'failed', code: 'DISK_IO' })
      expect(stdout).not.toContain('"retrying"')
      await expectInvariant(directory, 'model.bin', 'K')
      const kept = bytesIn((await honestJournal(directory)).written)
      expect(kept).toBeGreaterThan(0)
      expect(kept).toBeLessThan(content.size)
      // Only what the journal does not claim is asked for again, but for what the sockets held.
      expect(await finishes(origin, directory)).toBeLessThan(content.size - kept + 256 * 1024)
    },
  )

  it('row 25: EIO on the very first write: DISK_IO, nothing left', async () => {
    await using origin = await startOrigin()
    const directory = join(tempDir('eio'), 'models')
    origin.serve('/model.bin', { content })
    const args = [cliPath, 'get', origin.url('/model.bin'), '-d', directory, '--json', '--connections', '1']
    const { stdout } = await withFailing('pwrite64,pwritev:error=EIO', args)
    expect(lastOf(stdout)).toMatchObject({ type: 'failed', code: 'DISK_IO' })
    expect(await listTree(directory)).toEqual([])
    await finishes(origin, directory)
  })

  it('row 25: ENOSPC and EDQUOT on a write are NO_SPACE', async () => {
    await using origin = await startOrigin()
    origin.serve('/model.bin', { content, bytesPerSecond: 4 * MiB })
    for (const error of ['ENOSPC', 'EDQUOT']) {
      const directory = tempDir('quota')
      const args = [cliPath, 'get', origin.url('/model.bin'), '-d', directory, '--json']
      const { stdout } = await withFailing(`pwrite64,pwritev:error=${error}:when=9`, args)
      expect(lastOf(stdout)).toMatchObject({ type: 'failed', code: 'NO_SPACE' })
      await expectInvariant(directory, 'model.bin', 'K')
      await finishes(origin, directory)
    }
  })

  it('row 25: EIO on the sync before publishing: DISK_IO, never published, nothing of it trusted', async () => {
    await using origin = await startOrigin()
    const directory = join(tempDir('eio'), 'models')
    origin.serve('/model.bin', { content })
    const args = [cliPath, 'get', origin.url('/model.bin'), '-d', directory, '--json']
    const { code, stdout } = await withFailing('fdatasync:error=EIO:when=1', args)
    expect(code).toBe(1)
    expect(lastOf(stdout)).toMatchObject({ type: 'failed', code: 'DISK_IO' })
    // No byte was known to be on the disk, so there is nothing to keep.
    await expectInvariant(directory, 'model.bin', 'N')
    expect(await finishes(origin, directory)).toBeGreaterThanOrEqual(content.size)
  })

  it('row 25: EIO on a sync mid-way: DISK_IO, K, only what was synced before is claimed', async () => {
    await using origin = await startOrigin()
    const directory = tempDir('eio')
    origin.serve('/model.bin', { content, bytesPerSecond: 1 * MiB })
    const tuning = { ...fastTuning, syncIntervalMs: 200 }
    const script = managerScript(origin.url('/model.bin'), directory, tuning)
    // Calls alternate: the part, its journal. The fifth is the part's third.
    const args = ['--input-type=module', '-e', script]
    const { stdout } = await withFailing('fdatasync:error=EIO:when=5', args)
    expect(stdout).toBe('DISK_IO\n')
    await expectInvariant(directory, 'model.bin', 'K')
    const { written, synced } = await honestJournal(directory)
    expect(bytesIn(synced)).toBeGreaterThan(0)
    expect(written).toEqual(synced)
    expect(await finishes(origin, directory)).toBeGreaterThanOrEqual(content.size - bytesIn(synced))
  })

  it('row 25: EIO on syncing the journal: DISK_IO, K, the one before it stays', async () => {
    await using origin = await startOrigin()
    const directory = tempDir('eio')
    origin.serve('/model.bin', { content, bytesPerSecond: 1 * MiB })
    const tuning = { ...fastTuning, syncIntervalMs: 200 }
    const script = managerScript(origin.url('/model.bin'), directory, tuning)
    const args = ['--input-type=module', '-e', script]
    const { stdout } = await withFailing('fdatasync:error=EIO:when=4', args)
    expect(stdout).toBe('DISK_IO\n')
    await expectInvariant(directory, 'model.bin', 'K')
    await honestJournal(directory)
    await finishes(origin, directory)
  })

  it.each([
    ['rename', { type: 'failed', code: 'DISK_IO' }],
    // Only the folder is synced this way, after the rename: the file is complete.
    ['fsync', { type: 'completed' }],
  ])('row 25: EIO on %s while publishing: never torn', async (call, last) => {
    await using origin = await startOrigin()
    const directory = tempDir('eio')
    // Fast and small, so that there is no journal to rename before.
    const small = randomContent(100_000)
    origin.serve('/model.bin', { content: small })
    const args = [cliPath, 'get', origin.url('/model.bin'), '-d', directory, '--json']
    const { code, stdout } = await withFailing(`${call}:error=EIO`, args)
    expect(code).toBe(last.type === 'failed' ? 1 : 0)
    expect(lastOf(stdout)).toMatchObject(last)
    expect((await listTree(directory)).filter((name) => name.endsWith('.lock'))).toEqual([])
    await finishes(origin, directory, small)
  })

  it('row 25: EIO on reading back what was written: DISK_IO, not published', async () => {
    await using origin = await startOrigin()
    const directory = tempDir('eio')
    origin.serve('/model.bin', { content })
    const args = [cliPath, 'get', origin.url('/model.bin'), '-d', directory, '--json']
    const { stdout } = await withFailing('pread64:error=EIO', args, join(directory, 'model.bin.part'))
    expect(lastOf(stdout)).toMatchObject({ type: 'failed', code: 'DISK_IO' })
    expect(await listTree(directory)).not.toContain('model.bin')
    await finishes(origin, directory)
  })
})
