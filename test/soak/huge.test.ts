/**
 * FAULTS row 20: a file of 5 GiB, all of it fetched and written. On a busy machine of two cores it takes half a minute,
 * so it is no part of every run; `test/faults/server-huge.test.ts` meets the same offsets with fewer bytes.
 */
import { statfsSync } from 'node:fs'
import { open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { sparseContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { runCli } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'

const GiB = 1024 ** 3
const size = 5 * GiB
/** Marks around the places where 31, 32 and 33 bits are not enough, and at both ends. */
const marks = [0, 2 ** 31 - 8, 2 ** 32 - 8, 2 ** 32 + 4096, size - 16].map((at) => {
  return { at, data: `mark ${String(at).padStart(11, '0')}` }
})
const content = sparseContent(size, marks)
/** What `content.sha256()` gives, which takes too long to compute each time. */
const sha256 = '8e3f2056aff64058f495a49c1a561a74817f5705d8c81a846f3a2f7aa1708126'

it('row 20: 5 GiB over several connections: success, every byte in its place', async () => {
  const directory = tempDir('huge')
  const { bavail, bsize } = statfsSync(directory)
  expect(bavail * bsize, 'free bytes for temporary files').toBeGreaterThan(size + GiB)
  await using origin = await startOrigin()
  origin.serve('/huge.bin', { content, chunkBytes: 1024 * 1024 })
  const args = ['get', origin.url('/huge.bin'), '-d', directory, '--json']
  const { code, stdout } = await runCli(args, { timeoutMs: 300_000 })
  const last: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  expect(code).toBe(0)
  expect(last).toMatchObject({ type: 'completed', size, sha256 })
  expect(origin.requests().some(({ range }) => (range?.start ?? 0) > 2 ** 32)).toBe(true)
  const path = join(directory, 'huge.bin')
  expect(await listTree(directory)).toEqual(['huge.bin'])
  // Really written, not left as holes.
  const { size: length, blocks } = await stat(path)
  expect(length).toBe(size)
  expect(blocks * 512).toBeGreaterThanOrEqual(size)
  const file = await open(path)
  for (const { at, data } of marks) {
    const { buffer } = await file.read(Buffer.alloc(16), 0, 16, at)
    expect(buffer.toString()).toBe(data)
  }
  await file.close()
  await rm(path)
})
