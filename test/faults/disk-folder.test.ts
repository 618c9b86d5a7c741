/** FAULTS.md row 37: the folder of the files, while many come and go in it and none leaves anything behind. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Target } from '../../src/engine/target.js'
import { systemClock } from '../../src/util/clock.js'
import { listTree, tempDir } from '../support/temp.js'

it('is made for each of them, though others take it away as soon as it is empty', async () => {
  const root = tempDir('folder')
  const directory = join(root, 'models', 'llm')
  const come = async (name: string) => {
    for (let round = 0; round < 40; round += 1) {
      const target = await Target.take(directory, name, systemClock)
      // A moment in between, so that they meet in every order.
      if (round % 3 === 0) await listTree(root)
      await target.release({ empty: true })
    }
  }
  await Promise.all(Array.from({ length: 16 }, (_, index) => come(`${index}.bin`)))
  expect(await listTree(root)).toEqual([])
})
