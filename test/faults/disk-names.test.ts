/** FAULTS.md row 27: names that are too long for the disk, suffixes included. */
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { arrives, expectInvariant, MiB, startBench } from './harness.js'

const content = randomContent(1 * MiB)
/** What is left of 255 bytes beside the longest suffix. */
const longest = 238

describe('row 27: a name of more than 255 bytes with its suffix', () => {
  it.each([
    { kind: 'ASCII', name: `${'a'.repeat(longest - 3)}.bin` },
    { kind: 'two bytes each', name: `${'ä'.repeat(118)}.bin` },
    { kind: 'three bytes each', name: `${'模'.repeat(79)}.bin` },
    { kind: 'four bytes each', name: `${'🤖'.repeat(59)}.bin` },
    { kind: '255 bytes without a suffix', name: `${'a'.repeat(251)}.bin` },
    { kind: 'far too long', name: `${'a'.repeat(5000)}.bin` },
  ])('row 27: $kind: UNSAFE_FILENAME at request time, nothing created', async ({ name }) => {
    expect(Buffer.byteLength(name)).toBeGreaterThan(longest)
    await using bench = await startBench()
    const { origin, manager, directory } = bench
    const asked = manager.download({ url: origin.url('/model.bin'), filename: name })
    await expect(asked).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
    const fromUrl = manager.download({ url: origin.url(`/${encodeURIComponent(name)}`) })
    await expect(fromUrl).rejects.toMatchObject({ code: 'UNSAFE_FILENAME' })
    expect(manager.list()).toEqual([])
    expect(origin.totalConnections).toBe(0)
    await expectInvariant(directory, 'model.bin', 'N')
  })

  it.each([
    { kind: 'ASCII', name: `${'a'.repeat(longest - 4)}.bin` },
    { kind: 'multi-byte', name: `${'模'.repeat(78)}.bin` },
  ])('row 27: the longest one that fits, $kind: journal, part and lock fit too', async ({ name }) => {
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(longest)
    await using bench = await startBench({ tuning: { journalIntervalMs: 20, syncIntervalMs: 40 } })
    const { origin, manager, directory } = bench
    origin.serve('/model.bin', { content, bytesPerSecond: 2 * MiB })
    const url = origin.url('/model.bin')
    const download = await manager.download({ url, filename: name })
    await origin.waitForBytes('/model.bin', 0.3 * MiB)
    await manager.pause(url)
    await expectInvariant(directory, name, 'K')
    await manager.resume(url)
    await arrives(download)
    await expectInvariant(directory, name, 'done', { content })
  })

  it.each([
    { kind: 'Content-Disposition', name: `${'a'.repeat(longest)}.bin` },
    { kind: 'multi-byte Content-Disposition', name: `${'模'.repeat(80)}.bin` },
  ])('row 27: from $kind: cut, with its extension', async ({ name }) => {
    await using bench = await startBench()
    const { origin, manager, directory } = bench
    const contentDisposition = `attachment; filename*=UTF-8''${encodeURIComponent(name)}`
    origin.serve('/download', { content, contentDisposition })
    const { filename } = await arrives(await manager.download({ url: origin.url('/download') }))
    expect(filename).toBe(`${name.slice(0, filename.length - 4)}.bin`)
    expect(Buffer.byteLength(filename)).toBeLessThanOrEqual(longest)
    await expectInvariant(directory, filename, 'done', { content })
  })

  it('row 27: from the address that a redirect leads to: cut, with its extension', async () => {
    await using bench = await startBench()
    const { origin, manager, directory } = bench
    const name = `/${'a'.repeat(longest)}.bin`
    origin.serve(name, { content })
    origin.serve('/download', { redirect: name })
    const { filename } = await arrives(await manager.download({ url: origin.url('/download') }))
    expect(filename).toBe(`${'a'.repeat(longest - 4)}.bin`)
    await expectInvariant(directory, filename, 'done', { content })
  })
})
