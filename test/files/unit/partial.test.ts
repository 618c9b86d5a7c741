import { expect, it } from 'vitest'
import { partPaths } from '../../../src/disk/part-paths.js'
import { PartFile } from '../../../src/engine/part/part-file.js'
import { partialOf } from '../../../src/files/partial.js'
import { tempDir } from '../../support/temp.js'
import { waitFor } from '../../support/wait.js'

const total = 4_000_000

async function open() {
  const paths = partPaths(tempDir('partial'), 'a')
  const identity = { total, etag: '"1"', lastModified: null, lastModifiedStrong: false }
  const part = await PartFile.open({ paths, url: 'https://host/a', sha256: null, identity, resume: null })
  return { paths, part }
}

it('of a part that goes on beside its journal, the newest record counts', async () => {
  const { paths, part } = await open()
  try {
    part.writeNow(Buffer.alloc(700_000, 'x'), 0)
    await part.saveJournal()
    await part.sync()
    part.writeNow(Buffer.alloc(400_000, 'x'), 700_000)
    await waitFor(async () => (await partialOf(paths.target))?.size === 1_100_000)
    expect(await partialOf(paths.target)).toMatchObject({ total, url: 'https://host/a', sha256: null })
  } finally {
    await part.close()
  }
})

it('of a part without a journal, the full length that it has from the start does not count', async () => {
  const { paths, part } = await open()
  try {
    part.writeNow(Buffer.alloc(8_192, 'x'), 0)
    expect((await partialOf(paths.target))?.size).toBeLessThan(total / 10)
  } finally {
    await part.close()
  }
})

it('of a file that is not being downloaded there is none', async () => {
  expect(await partialOf('/nowhere/a')).toBeNull()
})
