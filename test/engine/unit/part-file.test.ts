import { readFileSync } from 'node:fs'
import { truncate } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { io } from '../../../src/disk/io.js'
import { partPaths } from '../../../src/disk/part-paths.js'
import { parseJournal, peekLeftover } from '../../../src/engine/part/journal.js'
import type { Identity } from '../../../src/engine/part/identity.js'
import { PartFile } from '../../../src/engine/part/part-file.js'
import { listTree, tempDir } from '../../support/temp.js'
import { waitFor } from '../../support/wait.js'

const identity = { total: 30, etag: '"1"', lastModified: null, lastModifiedStrong: false }

const MiB = 1024 * 1024

async function open(of: Identity = identity) {
  const directory = tempDir('part')
  const paths = partPaths(directory, 'a')
  const part = await PartFile.open({
    paths,
    url: 'https://host/a',
    sha256: null,
    identity: of,
    resume: null,
  })
  return { directory, paths, part, journal: () => parseJournal(readFileSync(paths.journal, 'utf8')) }
}

const ten = Buffer.alloc(10, 'x')

describe('the journal of a part', () => {
  it('that is saved during a save holds what was written until then', async () => {
    const { part, journal } = await open()
    part.writeNow(ten, 0)
    const first = part.saveJournal()
    part.writeNow(ten, 20)
    // The first one may have been put together before these bytes came.
    await Promise.all([first, part.saveJournal()])
    expect(journal()?.written).toEqual([
      [0, 10],
      [20, 30],
    ])
    await part.close()
  })

  it('that is forced during a save says what is on the disk', async () => {
    const { part, journal } = await open()
    part.writeNow(ten, 0)
    await Promise.all([part.saveJournal(), part.sync(), part.saveJournal()])
    expect(journal()).toMatchObject({ written: [[0, 10]], synced: [[0, 10]], publishing: null })
    await part.close()
  })

  it('is not written again when nothing is new, nor after the end', async () => {
    const { part, paths, journal } = await open()
    part.writeNow(ten, 0)
    await part.saveJournal()
    const { inode, writer } = journal() ?? {}
    const before = readFileSync(paths.journal, 'utf8')
    await part.saveJournal()
    part.writeNow(ten, 10)
    await part.close()
    await part.saveJournal()
    expect(readFileSync(paths.journal, 'utf8')).toBe(before)
    expect(journal()).toMatchObject({ inode, writer })
  })

  it('that was forced is not replaced by one that was not, but goes on beside it', async () => {
    const { directory, paths, part, journal } = await open()
    part.writeNow(ten, 0)
    await part.saveJournal()
    await part.sync()
    part.writeNow(ten, 10)
    await part.saveJournal()
    expect(journal()?.written).toEqual([[0, 10]])
    expect(await listTree(directory)).toEqual(['a.part', 'a.part.json', 'a.part.live'])
    const found = async () => (await peekLeftover(paths, ['https://host/a'], null)).resume
    expect(await found()).toMatchObject({ done: [[0, 20]], synced: [[0, 10]] })
    await part.sync()
    expect(journal()?.written).toEqual([[0, 20]])
    part.writeNow(ten, 20)
    await part.saveJournal()
    await part.keep()
    expect(await listTree(directory)).toEqual(['a.part', 'a.part.json'])
    expect(await found()).toMatchObject({ done: [[0, 30]], synced: [[0, 20]] })
  })

  it('is the forced one when the older one still lies beside it', async () => {
    const { paths, part } = await open()
    part.writeNow(ten, 0)
    await part.sync()
    part.writeNow(ten, 10)
    await part.saveJournal()
    await part.sync()
    await part.close()
    const { resume } = await peekLeftover(paths, ['https://host/a'], null)
    expect(resume).toMatchObject({ done: [[0, 20]], synced: [[0, 20]] })
  })

  it('is not replaced, but recorded beside it, by the next run until that syncs', async () => {
    const { directory, paths, part, journal } = await open()
    const found = async () => (await peekLeftover(paths, ['https://host/a'], null)).resume
    const goOn = async () =>
      PartFile.open({ paths, url: 'https://host/a', sha256: null, identity, resume: await found() })
    part.writeNow(ten, 0)
    await part.sync()
    await part.keep()
    const first = readFileSync(paths.journal, 'utf8')
    for (const from of [10, 20]) {
      // Killed, with neither a last journal nor a synced one.
      const next = await goOn()
      next.writeNow(ten, from)
      await next.saveJournal()
      await next.close()
      expect(await next.isIntact().catch(() => 'closed')).toBe('closed')
      expect(readFileSync(paths.journal, 'utf8')).toBe(first)
      expect(await found()).toMatchObject({ done: [[0, from + 10]], synced: [[0, 10]] })
    }
    const last = await goOn()
    expect(await last.isIntact()).toBe(true)
    await last.sync()
    expect(journal()).toMatchObject({ written: [[0, 30]], synced: [[0, 30]] })
    expect(await found()).toMatchObject({ done: [[0, 30]], synced: [[0, 30]] })
    await last.publish({ size: 30, sha256: 'a'.repeat(64), mode: 0o644, replaces: false })
    expect(await listTree(directory)).toEqual(['a'])
  })

  it('knows of all but a few hundred kilobytes without being saved', async () => {
    const total = 4 * MiB
    const { paths, part } = await open({ ...identity, total })
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const known = async () => (await peekLeftover(paths, ['https://host/a'], null)).resume?.done[0]?.[1] ?? 0
    for (const written of [512 * 1024, 768 * 1024, MiB, 3 * MiB]) {
      while (part.writtenBytes < written) part.writeNow(chunk, part.writtenBytes)
      await waitFor(async () => (await known()) === written, { what: `a record of ${written} bytes` })
    }
    expect(parseJournal(readFileSync(paths.journal, 'utf8'))?.written).toEqual([[0, 512 * 1024]])
    await part.close()
  })

  it('is whole when the part is closed during a save', async () => {
    const { part, journal } = await open()
    part.writeNow(ten, 0)
    const saving = part.saveJournal()
    await part.close()
    await saving
    expect(journal()?.written).toEqual([[0, 10]])
  })

  it('goes with the part that is thrown away during a save', async () => {
    const { directory, part } = await open()
    part.writeNow(ten, 0)
    await Promise.all([part.saveJournal(), part.sync(), part.discard()])
    expect(await listTree(directory)).toEqual([])
  })

  it('that is on its way when the part is published does not arrive afterwards', async () => {
    const { directory, paths, part } = await open()
    const rename = io.rename.bind(io)
    let publish: () => void = () => undefined
    const published = new Promise<void>((resolve) => (publish = resolve))
    const held = vi.spyOn(io, 'rename').mockImplementation(async (from, to) => {
      if (to === paths.journal) {
        await published
        // Publishing must wait for it, however long this takes.
        await sleep(200)
      }
      await rename(from, to)
      if (to === paths.target) publish()
    })
    try {
      for (const position of [0, 10, 20]) part.writeNow(ten, position)
      const saved = part.saveJournal()
      await part.publish({ size: 30, sha256: '0'.repeat(64), mode: 0o600, replaces: false })
      await saved
    } finally {
      held.mockRestore()
    }
    expect(await listTree(directory)).toEqual(['a'])
  })

  it('says what replaces a file, and no more when that fails', async () => {
    const { part, journal } = await open()
    part.writeNow(ten, 0)
    const publishing = { size: 30, sha256: 'a'.repeat(64) }
    const saving = part.saveJournal()
    const failing = part.publish({ ...publishing, size: 29, mode: 0o644, replaces: true })
    await saving
    await expect(failing).rejects.toMatchObject({ trigger: 'part-lost' })
    expect(journal()?.publishing).toEqual({ ...publishing, size: 29 })
    await part.keep()
    expect(journal()?.publishing).toBeNull()
  })
})

describe('a part of unknown length', () => {
  it.each(['write', 'writeNow'] as const)(
    'is not taken for truncated because a %s ends while another write looks at its length',
    async (how) => {
      const { part } = await open({ ...identity, total: null })
      part.writeNow(ten, 0)
      const fstat = io.fstat.bind(io)
      // What the first write sees is older than the second write.
      const spy = vi.spyOn(io, 'fstat').mockImplementationOnce(async (fd) => {
        const stats = await fstat(fd)
        await part[how](ten, 20)
        return stats
      })
      await part.write(ten, 10)
      spy.mockRestore()
      expect(await part.isIntact()).toBe(true)
      await part.close()
    },
  )

  it('is taken for truncated when it was, even if a later write makes it long again', async () => {
    const { part, paths } = await open({ ...identity, total: null })
    part.writeNow(Buffer.alloc(100, 'x'), 0)
    await truncate(paths.part, 5)
    await part.write(ten, 100)
    expect(await part.isIntact()).toBe(false)
    await part.close()
  })
})
