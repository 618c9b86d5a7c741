/**
 * FAULTS row 20: a file of 5 GiB, so that offsets beyond 2^32 are met. Most of it is there already, as holes; only what
 * lies around 2^32 and a part of the end is fetched, since reading all of it for its digest takes half a minute.
 * `test/soak/huge.test.ts` and `test/soak/huge-resume.test.ts` complete such a file.
 */
import { open, readFile, writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { sparseContent } from '../support/content.js'
import { deadline, waitFor } from '../support/wait.js'
import { expectInvariant, MiB } from './harness.js'
import { keepBytes, openScene, rangesOf } from './scene.js'

const size = 5 * 1024 ** 3
/** Marks where 31, 32 and 33 bits are not enough, and at both ends. */
const marks = [0, 2 ** 31 - 8, 2 ** 32 - 8, 2 ** 32 + 4096, size - 16].map((at) => {
  return { at, data: `mark ${String(at).padStart(11, '0')}` }
})
const content = sparseContent(size, marks)
/** Bytes that are there. */
const written: [number, number][] = [
  [0, 2 ** 32 - 1 * MiB],
  [2 ** 32 + 8 * MiB, size - 16 * MiB],
]
const fetched = 10 * MiB

it('row 20: 5 GiB: what lies beyond 2^32 comes into its place', { timeout: deadline(120_000) }, async () => {
  const scene = await openScene()
  const part = `${scene.directory}/huge.bin.part`
  await keepBytes(scene, '/huge.bin', { content }, 'a new manager', 100_000)
  // As if a run had got most of it.
  const before = JSON.parse(await readFile(`${part}.json`, 'utf8'))
  await writeFile(`${part}.json`, JSON.stringify({ ...before, written }))

  // The end of the file stalls, so that it is never complete.
  scene.origin.serve('/huge.bin', { content, faults: [{ type: 'stallBody', afterBytes: 1 * MiB, after: 1 }] })
  const manager = scene.manager({ connections: 1, tuning: { bodyTimeoutMs: 60_000 } })
  const download = await manager.download({ url: scene.origin.url('/huge.bin') })
  await waitFor(() => download.current.downloaded === size - 25 * MiB + fetched, {
    timeoutMs: 30_000,
    what: 'the bytes around 2^32, and the first ones of the end',
  })
  await download.pause()

  expect(rangesOf(scene.origin, '/huge.bin')).toEqual([
    `${2 ** 32 - 1 * MiB}-${2 ** 32 + 8 * MiB - 1}`,
    `${size - 16 * MiB}-${size - 1}`,
  ])
  await expectInvariant(scene.directory, 'huge.bin', 'K')
  const after = JSON.parse(await readFile(`${part}.json`, 'utf8'))
  expect(after).toMatchObject({ written: [[0, size - 15 * MiB]] })
  const file = await open(part)
  const around = Buffer.alloc(9 * MiB)
  await file.read(around, 0, around.length, 2 ** 32 - 1 * MiB)
  await file.close()
  expect(around.equals(content.slice(2 ** 32 - 1 * MiB, 2 ** 32 + 8 * MiB))).toBe(true)
})
