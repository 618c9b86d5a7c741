/** Digests that callers give and servers state: right, wrong, malformed, of a part, contradictory. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { join } from 'node:path'
import { blake3, crc32 } from 'hash-wasm'
import { describe, expect, it } from 'vitest'
import { bufferContent, patchedContent, randomContent } from '../support/content.js'
import type { HeaderValues, Resource } from '../support/origin-types.js'
import { KiB } from './harness.js'
import { failure, keepBytes, openScene, success } from './scene.js'

const content = randomContent(300 * KiB, 'verified')
const bytes = content.slice(0, content.size)
const wrong = patchedContent(content, [{ at: 200 * KiB, data: Buffer.from('damage') }])
const hex = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex')
const base64 = (algorithm: string) => createHash(algorithm).update(bytes).digest('base64')
const path = '/model.bin'
const name = 'model.bin'

/** CRC-32C, which is in hash-wasm by its polynomial. */
const castagnoli = await crc32(bytes, 0x82f63b78)

const given: [string, string][] = [
  ['sha512', hex('sha512')],
  ['sha384', hex('sha384')],
  ['sha1', hex('sha1')],
  ['md5', hex('md5')],
  ['blake3', await blake3(bytes)],
  ['crc32c', castagnoli],
]

describe('a digest of the caller', () => {
  it.each(given)('%s: right', async (algorithm, value) => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    const digest = `${algorithm}:${value.toUpperCase()}`
    const manager = scene.manager()
    const first = success(await scene.fetch(path, { digest }, manager))
    expect(first).toMatchObject({ verified: true, verification: { algorithm, value, from: 'caller' } })
    expect(first.sha256).toBe(content.sha256())
    const again = success(await scene.fetch(path, { digest }, manager))
    expect(again).toMatchObject({ existed: true, verification: { algorithm, value, from: 'caller' } })
    await scene.expectFile(name, content)
  })

  it.each(given)('%s: wrong', async (algorithm, value) => {
    const scene = await openScene()
    scene.origin.serve(path, { content: wrong })
    const end = await scene.fetch(path, { digest: `${algorithm}:${value}` })
    expect(failure(end, 'CHECKSUM_MISMATCH').message).toContain(value)
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectDropped(name)
  })

  it('beside a SHA-256: both must be right', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    const sha256 = content.sha256()
    failure(await scene.fetch(path, { sha256, digest: `md5:${'0'.repeat(32)}` }), 'CHECKSUM_MISMATCH')
    const { verification } = success(await scene.fetch(path, { sha256, digest: `md5:${hex('md5')}` }))
    expect(verification).toEqual({ algorithm: 'sha256', value: sha256, from: 'caller' })
  })

  it.each(['md5:', 'md5:abc', 'sha3:00', hex('sha512'), `sha256:${'0'.repeat(64)}`])(
    'malformed or contradictory: %s is refused',
    async (digest) => {
      const scene = await openScene()
      await expect(scene.fetch(path, { digest, sha256: content.sha256() })).rejects.toMatchObject({
        code: 'INVALID_OPTIONS',
        issues: [{ path: 'digest' }],
      })
    },
  )

  it('decides about a file that exists', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    await mkdir(scene.directory)
    await writeFile(join(scene.directory, name), wrong.slice(0, wrong.size))
    const file = success(await scene.fetch(path, { digest: `sha512:${hex('sha512')}` }))
    expect(file).toMatchObject({ existed: false, verification: { algorithm: 'sha512' } })
    await scene.expectFile(name, content)
  })
})

const sha256 = { algorithm: 'sha256', value: content.sha256(), from: 'server' }
const md5 = { algorithm: 'md5', value: hex('md5'), from: 'server' }
const goog = Buffer.from(castagnoli, 'hex').toString('base64')

/** What a server states, and what is made of it. */
const stated: [string, HeaderValues, object | null][] = [
  ['Repr-Digest', { 'Repr-Digest': `sha-256=:${base64('sha256')}:` }, sha256],
  ['x-goog-hash', { 'x-goog-hash': [`crc32c=${goog}`, `md5=${base64('md5')}`] }, md5],
  ['X-Checksum-Sha256', { 'X-Checksum-Sha256': hex('sha256') }, sha256],
  ['Content-MD5', { 'Content-MD5': base64('md5') }, md5],
  ['malformed', { 'Repr-Digest': 'sha-256=:!:', 'Content-MD5': 'x' }, null],
  [
    'contradictory',
    { 'Repr-Digest': `sha-256=:${base64('sha256')}:`, 'X-Checksum-Sha256': '0'.repeat(64) },
    null,
  ],
]

/** The server states these headers for a whole file, and others for a part. */
const serving = (headers: HeaderValues, more: Partial<Resource> = {}): Resource => ({
  content,
  headers,
  ...more,
})

describe('a digest of the server', () => {
  it.each(stated)('%s', async (_, headers, verification) => {
    const scene = await openScene()
    scene.origin.serve(path, serving(headers))
    const manager = scene.manager()
    const file = success(await scene.fetch(path, {}, manager))
    expect(file).toMatchObject({ verified: verification !== null, verification })
    expect(scene.origin.requests(path)[0]?.headers['want-repr-digest']).toBe('sha-256=10, sha-512=5')
    // What the server said of the file holds as long as nobody changes the file.
    expect(success(await scene.fetch(path, {}, manager)).verification).toEqual(verification)
  })

  it.each(stated.filter(([, , verification]) => verification !== null))('%s: wrong', async (_, headers) => {
    const scene = await openScene()
    scene.origin.serve(path, { content: wrong, headers })
    const end = await scene.fetch(path)
    expect(failure(end, 'CHECKSUM_MISMATCH').message).toContain('the server says')
    // Once more, on another connection.
    const used = new Set(scene.origin.requests(path).map(({ connection }) => connection))
    expect(end.told.restarts).toHaveLength(1)
    expect(used.size).toBeGreaterThan(1)
    await scene.expectDropped(name)
  })

  it('that does not fit bytes of one node is given another chance', async () => {
    const scene = await openScene()
    const headers = { 'Repr-Digest': `sha-256=:${base64('sha256')}:` }
    scene.origin.serve('/bad', { content: wrong, headers })
    scene.origin.serve('/good', { content, headers })
    scene.origin.serve(path, { redirect: ({ nth }) => (nth === 1 ? '/bad' : '/good') })
    const end = await scene.fetch(path, { connections: 1 })
    expect(success(end).verification).toEqual(sha256)
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(name, content)
  })

  it('is of no importance where the caller gave one', async () => {
    const scene = await openScene()
    scene.origin.serve(path, serving({ 'Repr-Digest': `sha-256=:${Buffer.alloc(32).toString('base64')}:` }))
    const file = success(await scene.fetch(path, { digest: `sha512:${hex('sha512')}` }))
    expect(file.verification).toMatchObject({ algorithm: 'sha512', from: 'caller' })
    expect(scene.origin.requests(path)[0]?.headers['want-repr-digest']).toBeUndefined()
  })

  it('of a redirect is that of the file that it leads to, if it can be nothing else', async () => {
    const scene = await openScene()
    scene.origin.serve('/cdn', { content })
    const headers = { 'X-Linked-Etag': `"${hex('sha256')}"`, 'Repr-Digest': `sha-512=:${Buffer.alloc(64).toString('base64')}:` } // prettier-ignore
    scene.origin.serve(path, { redirect: '/cdn', headers })
    expect(success(await scene.fetch(path)).verification).toEqual(sha256)
  })

  it('is not that of a file that it sends compressed', async () => {
    const scene = await openScene()
    const packed = gzipSync(bytes)
    const digest = createHash('sha256').update(packed).digest('base64')
    const headers = { 'Content-Encoding': 'gzip', 'Repr-Digest': `sha-256=:${digest}:` }
    scene.origin.serve(path, { content: bufferContent(packed), ranges: false, headers })
    expect(success(await scene.fetch(path))).toMatchObject({ sha256: content.sha256(), verification: null })
  })

  it('does not make a web page the model', async () => {
    const scene = await openScene()
    const page = Buffer.from('<!DOCTYPE html><html><body>Please log in</body></html>')
    const digest = createHash('sha256').update(page).digest('base64')
    scene.origin.serve('/a.gguf', {
      content: bufferContent(page),
      headers: { 'Repr-Digest': `sha-256=:${digest}:` },
    })
    failure(await scene.fetch('/a.gguf'), 'CONTENT_MISMATCH')
  })

  it.each(['a new manager', 'a failure and retry()'] as const)(
    'is remembered for a resume: %s',
    async (how) => {
      const scene = await openScene()
      // Only the first answer has it: later ones are parts.
      const resource = serving({ 'Content-MD5': base64('md5') })
      const goOn = await keepBytes(scene, path, { ...resource, content }, how, 128 * KiB)
      scene.origin.serve(path, { content, headers: { 'Content-MD5': Buffer.alloc(16).toString('base64') } })
      const file = success(await goOn())
      expect(file.verification).toEqual(md5)
      expect(file.fetchedBytes).toBeLessThan(content.size)
    },
  )
})
