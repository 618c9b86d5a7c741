import { createHash, randomBytes } from 'node:crypto'
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from '../../support/properties.js'
import { blake3 } from 'hash-wasm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { stepBytes } from '../../../src/engine/hash/hash-job.js'
import { HashService, type HashServiceOptions } from '../../../src/engine/hash/hasher.js'
import type { DigestAlgorithm } from '../../../src/util/digests.js'
import { bundle } from '../../support/bundle.js'
import { withTimeout } from '../../support/wait.js'

const MiB = 1024 * 1024
const folder = mkdtempSync(join(tmpdir(), 'hasher-'))
const noise = randomBytes(9 * MiB + 12_345)
const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

let workerFile: URL
beforeAll(async () => {
  workerFile = pathToFileURL(await bundle('src/engine/hash/hash-worker.ts', folder))
})
afterAll(() => rmSync(folder, { recursive: true }))

const services: HashService[] = []
const fds: number[] = []
afterEach(async () => {
  await withTimeout(Promise.all(services.splice(0).map((service) => service.close())), 10_000, 'close()')
  for (const fd of fds.splice(0)) closeSync(fd)
})

let fallbacks: string[] = []
function start(options: HashServiceOptions = {}): HashService {
  fallbacks = []
  const service = new HashService({ workerFile, onFallback: (reason) => fallbacks.push(reason), ...options })
  services.push(service)
  return service
}

let count = 0
/** A file of its own, open for reading and writing. */
function file(content: Uint8Array = new Uint8Array()): number {
  const fd = openSync(join(folder, `file-${count++}`), 'w+')
  fds.push(fd)
  let written = 0
  while (written < content.length) written += writeSync(fd, content, written)
  return fd
}

/** A worker that runs the given body instead of hashing. */
async function strangeWorker(body: string): Promise<URL> {
  const path = join(folder, `strange-${count++}.mjs`)
  await writeFile(path, `import { parentPort } from 'node:worker_threads'\n${body}`)
  return pathToFileURL(path)
}

const lanes: [string, () => HashServiceOptions][] = [
  ['the worker', () => ({})],
  ['this thread', () => ({ workerFile: null })],
]

/** What the reference programs `b3sum`, `rhash` and `cksum` print for these texts. */
const vectors: readonly [DigestAlgorithm, text: string, hex: string][] = [
  ['blake3', '', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  ['crc32c', '123456789', 'e3069283'],
  ['crc32', '123456789', 'cbf43926'],
  ['crc64nvme', '123456789', 'ae8b14860a799888'],
  ['md5', '', 'd41d8cd98f00b204e9800998ecf8427e'],
  ['sha1', 'abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
]

describe.each(lanes)('other digests in %s', (_name, options) => {
  it.each(vectors)('%s of %j', async (algorithm, text, hex) => {
    const hash = start(options()).open(file(Buffer.from(text)), text.length, null, [algorithm])
    expect(await hash.digests(text.length)).toEqual({ [algorithm]: hex })
    // As when more bytes turn up, and when the file has to be read again.
    expect(await hash.digests(text.length)).toEqual({ [algorithm]: hex })
    await hash.dispose()
  })

  it('are computed together with one reading, and go on where they were', async () => {
    const all: DigestAlgorithm[] = ['sha256', 'sha512', 'blake3', 'crc32c']
    const fd = file(noise.subarray(0, 5 * MiB))
    const hash = start(options()).open(fd, 5 * MiB, null, all)
    hash.advance(5 * MiB)
    const first = await hash.digests(5 * MiB)
    expect(first.sha256).toBe(sha256(noise.subarray(0, 5 * MiB)))
    writeSync(fd, noise, 5 * MiB, MiB, 5 * MiB)
    const second = await hash.digests(6 * MiB)
    expect(second.sha256).toBe(sha256(noise.subarray(0, 6 * MiB)))
    expect(second.sha512).toBe(
      createHash('sha512')
        .update(noise.subarray(0, 6 * MiB))
        .digest('hex'),
    )
    expect(second.blake3).toBe(await blake3(noise.subarray(0, 6 * MiB)))
    expect(second.crc32c).toMatch(/^[0-9a-f]{8}$/)
    expect(second.crc32c).not.toBe(first.crc32c)
    await hash.dispose()
  })
})

describe.each(lanes)('large files in %s', (_name, options) => {
  it('have the digest that crypto tells, whatever the steps of the frontier', async () => {
    const service = start(options())
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 4 * MiB, max: noise.length }),
        fc.array(fc.integer({ min: 0, max: noise.length }), { maxLength: 8 }),
        fc.boolean(),
        async (size, frontiers, announced) => {
          const fd = file()
          const hash = service.open(fd, announced ? size : null)
          let written = 0
          for (const frontier of frontiers.map((at) => Math.min(at, size)).sort((a, b) => a - b)) {
            writeSync(fd, noise, written, frontier - written, written)
            written = frontier
            hash.advance(frontier)
            await new Promise(setImmediate)
          }
          writeSync(fd, noise, written, size - written, written)
          expect(await hash.digest(size)).toBe(sha256(noise.subarray(0, size)))
          await hash.dispose()
        },
      ),
      { numRuns: 12 },
    )
  })

  it('take turns, many at once', async () => {
    const service = start(options())
    const hashes = Array.from({ length: 12 }, (_, i) => {
      const content = noise.subarray(i * 1_000, 5 * MiB + i * 1_000)
      const hash = service.open(file(content), content.length)
      hash.advance(MiB * (i % 6))
      return { hash, content }
    })
    await Promise.all(
      hashes.map(async ({ hash, content }) => {
        expect(await hash.digest(content.length)).toBe(sha256(content))
        await hash.dispose()
      }),
    )
    expect(fallbacks).toHaveLength(options().workerFile === null ? 1 : 0)
  })

  it('may be asked again, for less and for more', async () => {
    const hash = start(options()).open(file(noise), noise.length)
    const sizes = [5 * MiB, 5 * MiB, 8 * MiB, 4 * MiB, 0, 17, noise.length]
    const digests = await Promise.all(sizes.map((size) => hash.digest(size)))
    expect(digests).toEqual(sizes.map((size) => sha256(noise.subarray(0, size))))
  })

  it('that are shorter than said fail (FAULTS row 28), and are right once they are whole', async () => {
    const fd = file(noise.subarray(0, 5 * MiB))
    const hash = start(options()).open(fd, 6 * MiB)
    hash.advance(6 * MiB)
    await expect(hash.digest(6 * MiB)).rejects.toMatchObject({ code: 'TRUNCATED', retryable: true })
    writeSync(fd, noise, 5 * MiB, MiB, 5 * MiB)
    expect(await hash.digest(6 * MiB)).toBe(sha256(noise.subarray(0, 6 * MiB)))
  })

  it('that are truncated meanwhile fail; extended again, their current bytes count (FAULTS row 28)', async () => {
    const fd = file(noise)
    const hash = start(options()).open(fd, noise.length)
    hash.advance(noise.length)
    await hash.digest(noise.length)
    ftruncateSync(fd, MiB)
    await expect(hash.digest(noise.length)).rejects.toMatchObject({ code: 'TRUNCATED' })
    ftruncateSync(fd, noise.length)
    const now = Buffer.alloc(noise.length)
    noise.copy(now, 0, 0, MiB)
    expect(await hash.digest(noise.length)).toBe(sha256(now))
  })

  it('can be left alone mid-way: the digest fails and the descriptor is free', async () => {
    const service = start(options())
    for (let i = 0; i < 20; i++) {
      const fd = openSync(join(folder, 'left'), 'w+')
      writeSync(fd, noise)
      const hash = service.open(fd, noise.length)
      hash.advance(noise.length)
      const digest = hash.digest(noise.length).catch((error: unknown) => error)
      for (let turn = 0; turn < i % 5; turn++) await new Promise(setImmediate)
      await withTimeout(Promise.all([hash.dispose(), hash.dispose()]), 5_000, 'dispose()')
      closeSync(fd)
      const outcome = await digest
      // With a turn or more in between it may have been done before.
      if (i % 5 === 0 || outcome !== sha256(noise)) expect(outcome).toMatchObject({ code: 'CANCELED' })
      hash.advance(1)
      await expect(hash.digest(0)).rejects.toMatchObject({ code: 'CANCELED' })
    }
    const hash = service.open(file(noise), noise.length)
    expect(await hash.digest(noise.length)).toBe(sha256(noise))
  })

  it('that cannot be read fail, also when that happens before anybody asks', async () => {
    const fd = openSync(join(folder, 'unreadable'), 'w')
    fds.push(fd)
    writeSync(fd, noise)
    const hash = start(options()).open(fd, noise.length)
    hash.advance(noise.length)
    await expect(hash.digest(noise.length)).rejects.toMatchObject({ code: 'DISK_IO' })
  })

  it('fail with CLOSED when the service is closed', async () => {
    const service = start(options())
    const hash = service.open(file(noise), noise.length)
    hash.advance(noise.length)
    const digest = expect(hash.digest(noise.length)).rejects.toMatchObject({ code: 'CLOSED' })
    await withTimeout(Promise.all([service.close(), service.close()]), 5_000, 'close()')
    await digest
    await hash.dispose()
    expect(() => service.open(0, 1)).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })
})

describe('small files', () => {
  it('have the digest that crypto tells, and need no worker', async () => {
    const service = start({ workerFile: await strangeWorker('process.exit(1)') })
    const sizes = [0, 1, 65_536, stepBytes, stepBytes + 1, 4 * MiB - 1]
    await Promise.all(
      sizes.map(async (size) => {
        const hash = service.open(file(noise.subarray(0, size)), size)
        hash.advance(size)
        expect(await hash.digest(size)).toBe(sha256(noise.subarray(0, size)))
        await hash.dispose()
      }),
    )
    expect(fallbacks).toEqual([])
  })

  it('that are shorter than said fail', async () => {
    const hash = start().open(file(noise.subarray(0, 10)), 11)
    await expect(hash.digest(11)).rejects.toMatchObject({ code: 'TRUNCATED' })
  })
})

describe('a worker that fails', () => {
  const digestAnyway = async (options: HashServiceOptions) => {
    const service = start(options)
    const hashes = [0, 1].map((i) => {
      const content = noise.subarray(i)
      const hash = service.open(file(content), content.length)
      hash.advance(2 * MiB)
      return { hash, content }
    })
    for (const { hash, content } of hashes) {
      expect(await withTimeout(hash.digest(content.length), 10_000, 'the digest')).toBe(sha256(content))
      await withTimeout(hash.dispose(), 5_000, 'dispose()')
    }
    expect(fallbacks).toHaveLength(1)
    return fallbacks[0]
  }

  it('because its file is missing is told once', async () => {
    expect(await digestAnyway({ workerFile: new URL('file:///no/such/worker.js') })).toContain(
      'its file is missing',
    )
  })

  it('because it does not start is told once', async () => {
    const broken = await strangeWorker("throw new Error('will not start')")
    expect(await digestAnyway({ workerFile: broken })).toContain('will not start')
  })

  it.each([
    ['crashes', "throw new Error('crash')", 'crash'],
    ['ends', 'process.exit(0)', 'it exited unexpectedly'],
    ['runs out of memory', 'const all = []; for (;;) all.push(new Array(1e5).fill(all.length))', 'memory'],
  ])('because it %s mid-way is replaced by this thread, from byte 0', async (_name, fault, reason) => {
    const crashing = await strangeWorker(
      `parentPort.on('message', (m) => { if (m.type === 'digest') { ${fault} } })`,
    )
    expect(await digestAnyway({ workerFile: crashing })).toContain(reason)
  })

  it('because no other thread has its descriptors is told to nobody, and no worker starts', async () => {
    const broken = await strangeWorker("throw new Error('will not start')")
    const service = start({ workerFile: broken, sharesDescriptors: false })
    const hash = service.open(file(noise), noise.length)
    expect(await withTimeout(hash.digest(noise.length), 10_000, 'the digest')).toBe(sha256(noise))
    await withTimeout(hash.dispose(), 5_000, 'dispose()')
    expect(fallbacks).toEqual([])
  })

  it('does not keep dispose() waiting', async () => {
    const crashing = await strangeWorker(
      "parentPort.on('message', (m) => { if (m.type === 'dispose') process.exit(1) })",
    )
    const hash = start({ workerFile: crashing }).open(file(noise), noise.length)
    hash.advance(noise.length)
    const digest = expect(hash.digest(noise.length)).rejects.toMatchObject({ code: 'CANCELED' })
    await withTimeout(hash.dispose(), 5_000, 'dispose()')
    await digest
  })

  it('because it is stuck does not keep close() waiting', async () => {
    const stuck = await strangeWorker("parentPort.on('message', () => { for (;;); })")
    const service = start({ workerFile: stuck })
    const hash = service.open(file(noise), noise.length)
    hash.advance(noise.length)
    const digest = expect(hash.digest(noise.length)).rejects.toMatchObject({ code: 'CLOSED' })
    await withTimeout(service.close(), 5_000, 'close()')
    await digest
    expect(fallbacks).toEqual([])
  })
})
