/**
 * FAULTS row 20: a file of 5 GiB, so that offsets beyond 2^32 are met. Most of it is there already, as holes; only what
 * lies around 2^32 and the end is fetched. `test/soak/huge.test.ts` fetches all of it.
 */
import { open, readFile, stat, writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { sparseContent } from '../support/content.js'
import { runCli } from '../support/process.js'
import { listTree } from '../support/temp.js'
import { MiB } from '../faults/harness.js'
import { keepBytes, openScene } from '../faults/scene.js'
import { deadline } from '../support/wait.js'

const size = 5 * 1024 ** 3
/** Marks where 31, 32 and 33 bits are not enough, and at both ends. */
const marks = [0, 2 ** 31 - 8, 2 ** 32 - 8, 2 ** 32 + 4096, size - 16].map((at) => {
  return { at, data: `mark ${String(at).padStart(11, '0')}` }
})
const content = sparseContent(size, marks)
/** What `content.sha256()` gives, which takes too long to compute each time. */
const sha256 = '8e3f2056aff64058f495a49c1a561a74817f5705d8c81a846f3a2f7aa1708126'
/** Bytes that are there. */
const written: [number, number][] = [
  [0, 2 ** 32 - 1 * MiB],
  [2 ** 32 + 8 * MiB, size - 16 * MiB],
]
const missing = 25 * MiB

it(
  'row 20: 5 GiB: goes on with bytes beyond 2^32, and the digest is right',
  { timeout: deadline(120_000) },
  async () => {
    const scene = await openScene()
    const part = `${scene.directory}/huge.bin.part`
    await keepBytes(scene, '/huge.bin', { content }, 'a new manager', 100_000)
    // As if a run had got most of it.
    const file = await open(part, 'r+')
    for (const { at, data } of marks.slice(0, 2)) await file.write(data, at)
    await file.close()
    const journal = JSON.parse(await readFile(`${part}.json`, 'utf8'))
    await writeFile(`${part}.json`, JSON.stringify({ ...journal, written }))

    scene.origin.serve('/huge.bin', { content })
    const args = ['get', scene.origin.url('/huge.bin'), '-d', scene.directory, '--sha256', sha256, '--json']
    const { code, stdout } = await runCli(args, { timeoutMs: 90_000 })
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'completed',
      size,
      sha256,
      verified: true,
      fetchedBytes: missing,
    })
    expect(code).toBe(0)
    const requests = scene.origin.requests()
    expect(requests.every(({ range }) => range !== null && range.start >= 2 ** 32 - 1 * MiB)).toBe(true)
    expect(requests.some(({ range }) => range !== null && range.start > 2 ** 32)).toBe(true)
    expect(await listTree(scene.directory)).toEqual(['huge.bin'])
    expect((await stat(`${scene.directory}/huge.bin`)).size).toBe(size)
  },
)
