import { rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { makeFolder } from '../../../src/disk/atomic.js'
import { tempDir } from '../../support/temp.js'

it('a folder is made while others delete the empty ones around it, however often', async () => {
  const path = join(tempDir('folders'), 'models', 'llm')
  const refusals: unknown[] = []
  const useAndTidy = async () => {
    for (let time = 0; time < 100; time += 1) {
      await makeFolder(path).catch((error: unknown) => refusals.push(error))
      for (const folder of [path, dirname(path)]) await rmdir(folder).catch(() => undefined)
    }
  }
  await Promise.all(Array.from({ length: 32 }, useAndTidy))
  expect(refusals).toEqual([])
})
