/** FAULTS.md row 25: a disk that takes less than it was given. The writes are real ones, cut short on the way. */
import type * as realFs from 'node:fs'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from '../support/properties.js'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { writeFully, writeFullySync } from '../../src/disk/write.js'
import { tempDir } from '../support/temp.js'

/** How many bytes each call may write at most, in order; then no limit. An Error fails the call. */
const limits: (number | Error)[] = []
let calls = 0

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof realFs>()
  type Done = (error: Error | null, count: number) => void
  const next = () => {
    calls += 1
    return limits.shift() ?? Infinity
  }
  return {
    ...fs,
    write(fd: number, data: Buffer, offset: number, length: number, position: number, done: Done) {
      const limit = next()
      if (limit instanceof Error) done(limit, 0)
      else if (limit === 0) done(null, 0)
      else fs.write(fd, data, offset, Math.min(length, limit), position, done)
    },
    writeSync(fd: number, data: Buffer, offset: number, length: number, position: number) {
      const limit = next()
      if (limit instanceof Error) throw limit
      return limit === 0 ? 0 : fs.writeSync(fd, data, offset, Math.min(length, limit), position)
    },
  }
})

const path = join(tempDir('short'), 'file')

beforeEach(() => {
  limits.length = 0
  calls = 0
})

const ways = {
  'handed over': writeFully,
  'on the spot': async (...args: Parameters<typeof writeFully>) => writeFullySync(...args),
}

describe.each(Object.entries(ways))('row 25: short writes, %s', (_name, way) => {
  async function write(data: Buffer, position: number): Promise<void> {
    const fd = openSync(path, 'w')
    try {
      await way(fd, data, position)
    } finally {
      closeSync(fd)
    }
  }

  it('row 25: however the disk cuts a write, every byte lands in its place', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 30 })
    const content = fc.uint8Array({ maxLength: 480 })
    const property = fc.asyncProperty(content, cuts, fc.nat(100), async (bytes, each, position) => {
      limits.splice(0, limits.length, ...each)
      const data = Buffer.from(bytes)
      await write(data, position)
      const expected = data.length === 0 ? data : Buffer.concat([Buffer.alloc(position), data])
      expect(readFileSync(path).equals(expected)).toBe(true)
    })
    await fc.assert(property, { numRuns: 200 })
  })

  it('row 25: a failure after a short write is told, once', async () => {
    const failure = Object.assign(new Error('no'), { code: 'ENOSPC' })
    limits.push(3, failure)
    await expect(write(Buffer.from('0123456789'), 0)).rejects.toBe(failure)
    expect(calls).toBe(2)
  })

  it('row 25: a disk that takes nothing is a failure, not an endless loop', async () => {
    limits.push(2, 0)
    await expect(write(Buffer.from('01234'), 0)).rejects.toMatchObject({ code: 'EIO' })
    expect(calls).toBe(2)
  })
})
