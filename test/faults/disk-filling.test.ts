/** A file system that fills gaps with zeros: exFAT, as on sticks and cards. What is far ahead costs twice. */
import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { describeFuse, fuseKinds, mountExfat } from '../support/fuse.js'
import { waitFor } from '../support/wait.js'
import { arrives, expectInvariant, MiB, startBench } from './harness.js'

const exfat = fuseKinds.filter(({ name }) => name === 'exFAT')

const tests = () => {
  it('gets each byte once, or nearly so, also after a pause', async () => {
    const content = randomContent(48 * MiB)
    await using mount = await mountExfat(256 * MiB)
    await using bench = await startBench({ directory: join(mount.path, 'models') })
    const { manager, origin, directory } = bench
    origin.serve('/model.bin', { content, bytesPerSecond: 3 * MiB })
    const url = origin.url('/model.bin')
    const part = join(directory, 'model.bin.part')
    const download = await manager.download({ url })
    await waitFor(() => download.current.downloaded > 1 * MiB && download.current.connections === 4, {
      what: 'four connections',
      timeoutMs: 20_000,
    })

    // Zeros that have left the page cache are those between the segments, not those up to the end of the file.
    const written = mount.writtenBytes()
    const { downloaded } = download.current
    expect(downloaded).toBeLessThan(16 * MiB)
    expect(written).toBeLessThan(downloaded + 24 * MiB)
    expect((await stat(part)).size).toBeLessThan(downloaded + 24 * MiB)

    await manager.pause(url)
    const free = await statfs(mount.path)
    expect((free.blocks - free.bfree) * free.bsize).toBeLessThan(40 * MiB)
    origin.serve('/model.bin', { content })
    await manager.resume(url)
    await arrives(download, 30_000)
    await expectInvariant(directory, 'model.bin', 'done', { content })
    // All of it, what was zeros at the first look, the metadata, and what a sync of a slow machine may catch.
    expect(mount.writtenBytes()).toBeLessThan(1.75 * content.size)
  })
}

describeFuse('a disk that fills gaps', tests, exfat)
