/** FAULTS.md row 28: somebody tampers with the part while it is being filled. */
import { appendFileSync, renameSync, rmSync, truncateSync } from 'node:fs'
import { appendFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Download } from '../../src/index.js'
import { partPaths } from '../../src/disk/part-paths.js'
import { PartFile } from '../../src/engine/part/part-file.js'
import { randomContent, type Content } from '../support/content.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { arrives, expectInvariant, fails, MiB, startBench, type Bench } from './harness.js'

const content = randomContent(3 * MiB)
const partOf = ({ directory }: Bench) => join(directory, 'model.bin.part')

/** Messages of downloads that started over. */
function restartsOf({ manager }: Bench): string[] {
  const messages: string[] = []
  manager.on('log', ({ message }) => {
    if (message.startsWith('Starting over')) messages.push(message)
  })
  return messages
}

interface Given {
  /** Whether the caller knows the digest. */
  digest?: boolean
  bytesPerSecond?: number
  /** Whether the origin tells the size. */
  sized?: boolean
  connections?: number
}

/** A throttled download, some of it there. */
async function underWay(
  { origin, manager }: Bench,
  { digest = false, bytesPerSecond = 1 * MiB, sized = true, connections = 4 }: Given = {},
): Promise<Download> {
  const faults = sized ? [] : [{ type: 'wrongTotal', total: '*' } as const]
  origin.serve('/model.bin', { content, bytesPerSecond, faults })
  const url = origin.url('/model.bin')
  const download = await manager.download({
    url,
    connections,
    ...(digest ? { sha256: content.sha256() } : {}),
  })
  await waitFor(() => download.current.downloaded > 0.5 * MiB, { what: 'the first bytes' })
  return download
}

async function expectRight({ directory }: Bench, served: Content = content): Promise<void> {
  await expectInvariant(directory, 'model.bin', 'done', { content: served })
}

describe('row 28: somebody tampers with the part', () => {
  it.each([
    { how: 'truncated to nothing', cut: 0, digest: false, sized: true },
    { how: 'truncated to nothing, digest known', cut: 0, digest: true, sized: true },
    { how: 'truncated to nothing, size unknown', cut: 0, digest: false, sized: false },
    { how: 'cut by a few bytes', cut: -5000, digest: false, sized: true },
  ])('row 28: $how, seen, started over, right in the end', async ({ cut, digest, sized }) => {
    await using bench = await startBench()
    const restarts = restartsOf(bench)
    const download = await underWay(bench, { digest, sized })
    const { size } = await stat(partOf(bench))
    await truncate(partOf(bench), cut < 0 ? size + cut : cut)
    await arrives(download)
    expect(restarts).toHaveLength(1)
    await expectRight(bench)
  })

  // The last bytes of the file make it as long as it was: the hole before them must not go unseen.
  it.each([
    { how: 'size known', sized: true },
    { how: 'size unknown', sized: false },
  ])('row 28: truncated right before the last write, $how: no hole is published', async ({ sized }) => {
    await using bench = await startBench({ tuning: { journalIntervalMs: 60_000, syncIntervalMs: 60_000 } })
    const restarts = restartsOf(bench)
    const download = await underWay(bench, { connections: 1, bytesPerSecond: 2 * MiB, sized })
    await waitFor(() => download.current.downloaded > 2.5 * MiB, { what: 'the last bytes but some' })
    await truncate(partOf(bench), 0)
    await arrives(download)
    expect(restarts).toHaveLength(1)
    await expectRight(bench)
  })

  it.each([{ digest: false }, { digest: true }])(
    'row 28: deleted (digest known: $digest): seen, started over, right in the end',
    async ({ digest }) => {
      await using bench = await startBench()
      const restarts = restartsOf(bench)
      const download = await underWay(bench, { digest })
      await rm(partOf(bench))
      await arrives(download)
      expect(restarts).toHaveLength(1)
      await expectRight(bench)
    },
  )

  it('row 28: deleted with its journal: seen, started over, right in the end', async () => {
    await using bench = await startBench()
    const restarts = restartsOf(bench)
    const download = await underWay(bench)
    await rm(partOf(bench))
    await rm(`${partOf(bench)}.json`, { force: true })
    await arrives(download)
    expect(restarts).toHaveLength(1)
    await expectRight(bench)
  })

  it('row 28: replaced by another file of the same size: never published', async () => {
    await using bench = await startBench()
    const restarts = restartsOf(bench)
    const download = await underWay(bench)
    const other = join(bench.directory, 'other')
    await writeFile(other, Buffer.alloc(content.size, 'x'))
    await rename(other, partOf(bench))
    await arrives(download)
    expect(restarts).toHaveLength(1)
    await expectRight(bench)
  })

  it('row 28: again and again: DISK_IO in the end, no hang', async () => {
    await using bench = await startBench()
    const download = await underWay(bench)
    const saboteur = setInterval(() => {
      rm(partOf(bench), { force: true }).catch(() => undefined)
    }, 20)
    try {
      expect(await fails(download)).toMatchObject({ code: 'DISK_IO', retryable: true })
    } finally {
      clearInterval(saboteur)
    }
    expect(download.file).toBeNull()
    await bench.manager.retry(download.url)
    await arrives(download)
    await expectRight(bench)
  })

  it.each(['truncated', 'lengthened', 'deleted', 'replaced'])(
    'row 28: %s while it is verified: seen, started over, right in the end',
    async (how) => {
      await using bench = await startBench({ tuning: { journalIntervalMs: 60_000 } })
      const restarts = restartsOf(bench)
      const { manager, origin, directory } = bench
      origin.serve('/model.bin', { content })
      const part = partOf(bench)
      const other = join(dirname(directory), 'other')
      await writeFile(other, Buffer.alloc(content.size))
      const tamper = {
        truncated: () => truncateSync(part, 1000),
        lengthened: () => appendFileSync(part, 'more'),
        deleted: () => rmSync(part),
        replaced: () => renameSync(other, part),
      }[how]
      manager.once('verifying', () => {
        tamper?.()
      })
      const download = await manager.download({ url: origin.url('/model.bin') })
      await arrives(download)
      expect(restarts).toHaveLength(1)
      await expectRight(bench)
    },
  )

  it('row 28: deleted or replaced between the checks and the rename: not published', async () => {
    const directory = tempDir('part')
    const paths = partPaths(directory, 'model.bin')
    const identity = { total: 5, etag: '"1"', lastModified: null, lastModifiedStrong: false }
    for (const tamper of [
      () => rm(paths.part),
      () => rm(paths.part).then(() => writeFile(paths.part, 'other')),
      () => truncate(paths.part, 3),
      () => appendFile(paths.part, '!'),
    ]) {
      const part = await PartFile.open({ paths, url: 'http://x/', sha256: null, identity, resume: null })
      await part.write(Buffer.from('right'), 0)
      await tamper()
      const published = part.publish({ size: 5, sha256: '', mode: 0o644, replaces: false })
      await expect(published).rejects.toMatchObject({ trigger: 'part-lost' })
      await part.discard()
      expect(await listTree(directory)).not.toContain('model.bin')
      await rm(paths.part, { force: true })
    }
  })
})
