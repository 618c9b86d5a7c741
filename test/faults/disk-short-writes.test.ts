/** FAULTS.md row 25: a disk that takes less than it was given. The writes are real ones, cut short on the way. */
import type * as realFs from 'node:fs'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { writeFully } from '../../src/transfer/write-all.js'
import { tempDir } from '../support/temp.js'

/** How many bytes each call may write at most, in order; then no limit. An Error fails the call. */
const limits: (number | Error)[] = []
let calls = 0

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof realFs>()
  type Done = (error: Error | null, count: number) => void
  return {
    ...fs,
    write(fd: number, data: Buffer, offset: number, length: number, position: number, done: Done) {
      calls += 1
      const limit = limits.shift() ?? Infinity
      if (limit instanceof Error) done(limit, 0)
      else if (limit === 0) done(null, 0)
      else fs.write(fd, data, offset, Math.min(length, limit), position, done)
    },
    writev(fd: number, buffers: Buffer[], position: number, done: Done) {
      calls += 1
      const limit = limits.shift() ?? Infinity
      if (limit instanceof Error) {
        done(limit, 0)
        return
      }
      if (limit === 0) {
        done(null, 0)
        return
      }
      let left = limit
      const cut: Buffer[] = []
      for (const buffer of buffers) {
        if (left > 0) cut.push(buffer.subarray(0, left))
        left -= buffer.length
      }
      fs.writev(fd, cut, position, done)
    },
  }
})

const path = join(tempDir('short'), 'file')

function write(buffers: Buffer[], position: number): Promise<void> {
  const fd = openSync(path, 'w')
  return new Promise<void>((resolve, reject) => {
    writeFully(fd, buffers, position, resolve, reject)
  }).finally(() => {
    closeSync(fd)
  })
}

beforeEach(() => {
  limits.length = 0
  calls = 0
})

describe('row 25: short writes', () => {
  it('row 25: however the disk cuts a write, every byte lands in its place', async () => {
    const buffers = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })
    const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 30 })
    const property = fc.asyncProperty(buffers, cuts, fc.nat(100), async (parts, each, position) => {
      limits.splice(0, limits.length, ...each)
      await write(
        parts.map((part) => Buffer.from(part)),
        position,
      )
      const data = Buffer.concat(parts)
      const expected = data.length === 0 ? data : Buffer.concat([Buffer.alloc(position), data])
      expect(readFileSync(path).equals(expected)).toBe(true)
    })
    await fc.assert(property, { numRuns: 200 })
  })

  it('row 25: more buffers than one system call takes', async () => {
    const buffers = Array.from({ length: 3000 }, (_, index) => Buffer.from(`${index},`))
    await write(buffers, 7)
    expect(readFileSync(path).subarray(7).equals(Buffer.concat(buffers))).toBe(true)
  })

  it('row 25: a failure after a short write is told, once', async () => {
    const failure = Object.assign(new Error('no'), { code: 'ENOSPC' })
    for (const parts of [['0123456789'], ['01234', '56789']]) {
      limits.splice(0, limits.length, 3, failure)
      calls = 0
      await expect(
        write(
          parts.map((part) => Buffer.from(part)),
          0,
        ),
      ).rejects.toBe(failure)
      expect(calls).toBe(2)
    }
  })

  it('row 25: a disk that takes nothing is a failure, not an endless loop', async () => {
    limits.push(2, 0)
    await expect(write([Buffer.from('01234')], 0)).rejects.toMatchObject({ code: 'EIO' })
    expect(calls).toBe(2)
  })
})
