/** FAULTS.md rows 26 and 37: the folder of the files, while many come and go in it, and where there can be none. */
import { writeFileSync } from 'node:fs'
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

it.each(['/proc/models', '/proc/self/models/llm', '/sys/kernel/models'])(
  'is refused at once where the file system has no new folders: %s',
  async (directory) => {
    const error: unknown = await Target.take(directory, 'a.bin', systemClock).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'PERMISSION', retryable: false })
  },
)

it('cannot be made below a file', async () => {
  const root = tempDir('folder')
  writeFileSync(join(root, 'file'), '')
  for (const directory of [join(root, 'file'), join(root, 'file', 'a', 'b')]) {
    const error: unknown = await Target.take(directory, 'a.bin', systemClock).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'TARGET_NOT_REGULAR' })
  }
  expect(await listTree(root)).toEqual(['file'])
})
