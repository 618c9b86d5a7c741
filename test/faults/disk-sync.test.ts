/** FAULTS.md rows 25 and 63: the kernel reports a failed sync only once, and some file systems sync nothing. */
import { readFile } from 'node:fs/promises'
import type * as realFs from 'node:fs'
import { expect, it, vi } from 'vitest'
import { parseJournal } from '../../src/engine/part/journal.js'
import { partPaths } from '../../src/disk/part-paths.js'
import { PartFile } from '../../src/engine/part/part-file.js'
import { listTree, tempDir } from '../support/temp.js'

/** What the next syncs end with; then they are real. */
const failures: Error[] = []

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof realFs>()
  return {
    ...fs,
    fdatasync(fd: number, done: (error: Error | null) => void) {
      const failure = failures.shift()
      if (failure === undefined) fs.fdatasync(fd, done)
      else done(failure)
    },
  }
})

const identity = { total: 10, etag: '"1"', lastModified: null, lastModifiedStrong: false }

it('row 25: after a failed sync nothing is published, though the next sync would succeed', async () => {
  const directory = tempDir('sync')
  const paths = partPaths(directory, 'model.bin')
  const part = await PartFile.open({ paths, url: 'http://x/', sha256: null, identity, resume: null })
  await part.write(Buffer.from('01234'), 0)
  await part.sync()
  await part.write(Buffer.from('56789'), 5)
  failures.push(Object.assign(new Error('no'), { code: 'EIO' }))
  await expect(part.sync()).rejects.toMatchObject({ code: 'DISK_IO' })
  await part.write(Buffer.from('89'), 8)
  const published = part.publish({ size: 10, sha256: '', mode: 0o644, replaces: false })
  await expect(published).rejects.toMatchObject({ code: 'DISK_IO' })
  await part.keep()
  expect(await listTree(directory)).toEqual(['model.bin.part', 'model.bin.part.json'])
  const journal = parseJournal(await readFile(paths.journal, 'utf8'))
  expect(journal).toMatchObject({ written: [[0, 5]], synced: [[0, 5]] })
})

it.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'])(
  'row 63: syncs refused with %s: published, but nothing is claimed to be on the disk',
  async (code) => {
    const directory = tempDir('sync')
    const paths = partPaths(directory, 'model.bin')
    const part = await PartFile.open({ paths, url: 'http://x/', sha256: null, identity, resume: null })
    await part.write(Buffer.from('01234'), 0)
    const refuse = (times: number) => {
      for (let time = 0; time < times; time += 1) failures.push(Object.assign(new Error('no'), { code }))
    }
    refuse(1)
    await part.sync()
    await part.saveJournal()
    const journal = parseJournal(await readFile(paths.journal, 'utf8'))
    expect(journal).toMatchObject({ written: [[0, 5]], synced: [] })
    await part.write(Buffer.from('56789'), 5)
    refuse(1)
    const published = await part.publish({ size: 10, sha256: '', mode: 0o644, replaces: false })
    expect(published.refusal?.message).toBe('The file system refuses to sync files.')
    expect(await listTree(directory)).toEqual(['model.bin'])
    expect(failures).toEqual([])
  },
)
