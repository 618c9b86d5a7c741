/** FAULTS.md row 25: the kernel reports a failed sync only once. */
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

it('row 25: after a failed sync nothing is published, though the next sync would succeed', async () => {
  const directory = tempDir('sync')
  const paths = partPaths(directory, 'model.bin')
  const identity = { total: 10, etag: '"1"', lastModified: null, lastModifiedStrong: false }
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
