/** FAULTS.md row 24: no room on the disk. The disk is a small tmpfs. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import type { Download, DownloadManagerOptions } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { describeWith, mounting } from '../support/machine.js'
import { listTree, smallTmpfs } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { arrives, expectInvariant, fails, MiB, startBench, type Bench } from './harness.js'

function disk(bytes: number): string {
  const folder = smallTmpfs(bytes)
  if (folder === null) throw new Error('This machine does not let us mount.')
  return folder
}

/** A bench whose folder is to be made on a disk of its own. */
function onDisk(bytes: number, options: DownloadManagerOptions = {}): Promise<Bench> {
  return startBench({ directory: join(disk(bytes), 'models'), ...options })
}

/** How many bytes the origin has been asked for since its log was cleared. */
const sent = ({ origin }: Bench) => origin.bytesSent('/model.bin')

/**
 * Every interval that the journal claims holds the right bytes.
 *
 * @returns how many bytes it claims, and how many of them before the first gap. Writes run side by side, so on a full
 * disk a later one may be the last that fits.
 */
async function expectHonestJournal(
  directory: string,
  content: ReturnType<typeof randomContent>,
): Promise<{ kept: number; inOrder: number }> {
  const part = await readFile(join(directory, 'model.bin.part'))
  // Its shape is the engine's own; a wrong one fails below.
  const journal = JSON.parse(await readFile(join(directory, 'model.bin.part.json'), 'utf8')) as {
    written: [number, number][]
  }
  for (const [start, end] of journal.written)
    expect(part.subarray(start, end).equals(content.slice(start, end)), `${start} to ${end}`).toBe(true)
  const kept = journal.written.reduce((sum, [start, end]) => sum + end - start, 0)
  const [start, end] = journal.written[0] ?? [0, 0]
  return { kept, inOrder: start === 0 ? end : 0 }
}

describeWith(mounting, 'row 24: no room on the disk', () => {
  it('row 24: known ahead: NO_SPACE after one request, before any byte is written', async () => {
    await using bench = await onDisk(2 * MiB)
    const { origin, manager, directory } = bench
    origin.serve('/model.bin', { content: randomContent(3 * MiB) })
    const retries: string[] = []
    manager.on('retrying', ({ error }) => retries.push(error.code))
    const error = await fails(await manager.download({ url: origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'NO_SPACE', retryable: true })
    expect(retries).toEqual([])
    expect(origin.requests()).toHaveLength(1)
    await expectInvariant(directory, 'model.bin', 'N')
    expect(await listTree(dirname(directory))).toEqual([])
  })

  it('row 24: known ahead, an old file is in the way: it stays', async () => {
    await using bench = await startBench({ directory: disk(2 * MiB) })
    const { origin, manager, directory } = bench
    const old = Buffer.alloc(1 * MiB, 'old')
    await writeFile(join(directory, 'model.bin'), old)
    origin.serve('/model.bin', { content: randomContent(1.5 * MiB) })
    const error = await fails(await manager.download({ url: origin.url('/model.bin'), force: true }))
    expect(error.code).toBe('NO_SPACE')
    await expectInvariant(directory, 'model.bin', 'N', { old })
  })

  it('row 24: what lies there already counts: the rest fits, so it goes on', async () => {
    await using bench = await onDisk(4 * MiB)
    const { origin, manager, directory } = bench
    const content = randomContent(3 * MiB)
    origin.serve('/model.bin', { content, bytesPerSecond: 1.5 * MiB })
    const download = await manager.download({ url: origin.url('/model.bin') })
    await waitFor(() => download.current.downloaded > 1.5 * MiB, { what: 'the first half' })
    await manager.pause(download.url)
    await manager.resume(download.url)
    await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 24: kept bytes whose rest does not fit any more: NO_SPACE without a request, K', async () => {
    await using bench = await onDisk(4 * MiB)
    const { origin, manager, directory } = bench
    const content = randomContent(3 * MiB)
    origin.serve('/model.bin', { content, bytesPerSecond: 1 * MiB })
    const download = await manager.download({ url: origin.url('/model.bin') })
    await waitFor(() => download.current.downloaded > 0.5 * MiB, { what: 'some bytes' })
    await manager.pause(download.url)
    await writeFile(join(dirname(directory), 'filler'), Buffer.alloc(2 * MiB))
    origin.clearRequests()
    await manager.resume(download.url)
    expect((await fails(download)).code).toBe('NO_SPACE')
    expect(origin.requests()).toEqual([])
    await expectInvariant(directory, 'model.bin', 'K')
    await rm(join(dirname(directory), 'filler'))
    await manager.retry(download.url)
    await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  /** The disk fills up while bytes come; then there is room again. A file of unknown size is fetched in order. */
  async function fillsUp(
    bench: Bench,
    download: Download,
    content: ReturnType<typeof randomContent>,
    size: 'known' | 'unknown',
  ): Promise<void> {
    const { origin, manager, directory } = bench
    const filler = join(dirname(directory), 'filler')
    const error = await fails(download)
    expect(error).toMatchObject({ code: 'NO_SPACE', retryable: true })
    await expectInvariant(directory, 'model.bin', 'K')
    const journal = await expectHonestJournal(directory, content)
    const kept = size === 'known' ? journal.kept : journal.inOrder
    expect(kept).toBeGreaterThan(1 * MiB)
    expect(download.file).toBeNull()

    await rm(filler)
    origin.clearRequests()
    await manager.retry(download.url)
    const file = await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
    expect(file.fetchedBytes).toBeLessThanOrEqual(content.size - kept)
    expect(sent(bench)).toBeLessThan(content.size - kept + 256 * 1024)
  }

  it('row 24: known size, somebody else fills the disk mid-way: NO_SPACE, K, and the rest after room is made', async () => {
    await using bench = await onDisk(6 * MiB)
    const { origin, manager, directory } = bench
    const content = randomContent(5 * MiB)
    origin.serve('/model.bin', { content, bytesPerSecond: 1 * MiB })
    const download = await manager.download({ url: origin.url('/model.bin') })
    await waitFor(() => download.current.downloaded > 1.5 * MiB, { what: 'some bytes' })
    await writeFile(join(dirname(directory), 'filler'), Buffer.alloc(2.5 * MiB))
    await fillsUp(bench, download, content, 'known')
  })

  it('row 24: unknown size: ENOSPC mid-way, K, and the rest after room is made', async () => {
    await using bench = await onDisk(6 * MiB)
    const { origin, manager, directory } = bench
    const content = randomContent(5 * MiB)
    origin.serve('/model.bin', {
      content,
      bytesPerSecond: 4 * MiB,
      faults: [{ type: 'wrongTotal', total: '*' }],
    })
    await writeFile(join(dirname(directory), 'filler'), Buffer.alloc(3 * MiB))
    const download = await manager.download({ url: origin.url('/model.bin') })
    await fillsUp(bench, download, content, 'unknown')
  })

  it('row 24: a stream without length or ranges: ENOSPC, K; after room is made it starts over and arrives', async () => {
    await using bench = await onDisk(6 * MiB)
    const { origin, manager, directory } = bench
    const content = randomContent(5 * MiB)
    const filler = join(dirname(directory), 'filler')
    await writeFile(filler, Buffer.alloc(3 * MiB))
    origin.serve('/model.bin', { content, ranges: false, contentLength: false, bytesPerSecond: 8 * MiB })
    const download = await manager.download({ url: origin.url('/model.bin') })
    expect((await fails(download)).code).toBe('NO_SPACE')
    await expectInvariant(directory, 'model.bin', 'K')
    await expectHonestJournal(directory, content)
    await rm(filler)
    await manager.retry(download.url)
    await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 24: at full speed, before the journal was ever due, the bytes are still of use', async () => {
    await using bench = await onDisk(6 * MiB, { tuning: { journalIntervalMs: 60_000 } })
    const { origin, manager, directory } = bench
    const content = randomContent(5 * MiB)
    origin.serve('/model.bin', { content, faults: [{ type: 'wrongTotal', total: '*' }] })
    await writeFile(join(dirname(directory), 'filler'), Buffer.alloc(3 * MiB))
    const download = await manager.download({ url: origin.url('/model.bin') })
    await fillsUp(bench, download, content, 'unknown')
  })
})
