/** Files of checksums that a caller names. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bufferContent, patchedContent, randomContent, textContent } from '../support/content.js'
import { KiB } from './harness.js'
import { failure, openScene, rangesOf, success } from './scene.js'

const content = randomContent(300 * KiB, 'listed')
const wrong = patchedContent(content, [{ at: 200 * KiB, data: Buffer.from('damage') }])
const path = '/model.bin'
const name = 'model.bin'
const line = `${content.sha256()}  ${name}\n`
const verification = { algorithm: 'sha256', value: content.sha256(), from: 'sidecar' }

describe('a file of checksums', () => {
  it('at a URL: its digest is what the file is compared with', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    scene.origin.serve('/SHA256SUMS', { content: textContent(line) })
    const manager = scene.manager()
    const options = { checksums: scene.origin.url('/SHA256SUMS') }
    expect(success(await scene.fetch(path, options, manager))).toMatchObject({ verified: true, verification })
    // It is read again, because it may have changed; the file is not.
    expect(success(await scene.fetch(path, options, manager))).toMatchObject({ existed: true, verification })
    expect(scene.origin.requests('/SHA256SUMS')).toHaveLength(2)
  })

  it('on this machine, and about a file that its server does not name', async () => {
    const scene = await openScene()
    scene.origin.serve('/get', { content, contentDisposition: `attachment; filename=${name}` })
    await mkdir(scene.root, { recursive: true })
    const file = join(scene.root, 'get.sha256')
    await writeFile(file, content.sha256())
    expect(success(await scene.fetch('/get', { checksums: file }))).toMatchObject({ verification })
  })

  it('in UTF-16, as PowerShell writes it, at a URL and on this machine', async () => {
    const scene = await openScene()
    const text = Buffer.from(`\ufeff${content.sha256()} *model.bin\r\n`, 'utf16le')
    scene.origin.serve(path, { content })
    scene.origin.serve('/SHA256SUMS', { content: bufferContent(text) })
    const checksums = scene.origin.url('/SHA256SUMS')
    expect(success(await scene.fetch(path, { checksums }))).toMatchObject({ verification })
    const other = await openScene()
    other.origin.serve(path, { content })
    await mkdir(other.root, { recursive: true })
    await writeFile(join(other.root, 'SHA256SUMS'), text)
    const local = { checksums: join(other.root, 'SHA256SUMS') }
    expect(success(await other.fetch(path, local))).toMatchObject({ verification })
  })

  it('that contradicts the file: it is not published', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content: wrong })
    scene.origin.serve('/SHA256SUMS', { content: textContent(line) })
    const end = await scene.fetch(path, { checksums: scene.origin.url('/SHA256SUMS') })
    expect(failure(end, 'CHECKSUM_MISMATCH').message).toContain('by the checksum file')
    await scene.expectDropped(name)
  })

  it.each([
    ['is missing', null, 'NOT_FOUND', /checksum file can't be read/],
    ['lists other files', 'a'.repeat(64) + '  else.bin', 'CHECKSUM_MISSING', /no digest for model.bin/],
    ['is a web page', '<html>', 'CHECKSUM_MISSING', /no digest in a form/],
  ] as const)('that %s: nothing is fetched', async (_, text, code, message) => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    scene.origin.serve('/S', text === null ? { status: 404 } : { content: textContent(text) })
    expect(failure(await scene.fetch(path, { checksums: scene.origin.url('/S') }), code).message).toMatch(
      message,
    )
    expect(scene.origin.requests(path)).toEqual([])
    await scene.expectNothing()
  })

  it('is no file of this machine for a remote caller, nor one at a private address', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content })
    const { host } = new URL(scene.origin.url('/'))
    const remote = { allowedHosts: [host] }
    await expect(scene.fetch(path, { checksums: '/etc/passwd', remote })).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
    })
    failure(await scene.fetch(path, { checksums: 'http://127.0.0.1:9/S', remote }), 'SSRF_BLOCKED')
  })

  it('in the form of Metalink: its mirrors serve the file', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { status: 404 })
    scene.origin.serve('/mirror', { content })
    const inside = `<file name="${name}"><size>${content.size}</size><hash type="sha-256">${content.sha256()}</hash><url priority="1">${scene.origin.url('/mirror')}</url></file>`
    const meta = `<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">${inside}</metalink>`
    scene.origin.serve('/x.meta4', { content: textContent(meta) })
    const file = success(await scene.fetch(path, { checksums: scene.origin.url('/x.meta4') }))
    expect(file).toMatchObject({ verification })
    await scene.expectFile(name, content)
  })
})

describe('pieces of a Metalink file', () => {
  const length = 64 * KiB
  const sha1 = (start: number) =>
    createHash('sha1')
      .update(content.slice(start, Math.min(start + length, content.size)))
      .digest('hex')
  const starts = Array.from({ length: Math.ceil(content.size / length) }, (_, index) => index * length)
  const hashes = starts.map((start) => `<hash>${sha1(start)}</hash>`).join('')
  const meta = (more = '') =>
    `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="${name}"><hash type="sha-256">${content.sha256()}</hash><pieces length="${length}" type="sha-1">${hashes}</pieces>${more}</file></metalink>`

  it('of which one is damaged: it alone is fetched again', async () => {
    const scene = await openScene()
    scene.origin.serve('/bad', { content: wrong, etag: '"same"' })
    scene.origin.serve('/good', { content, etag: '"same"' })
    scene.origin.serve(path, { redirect: ({ nth }) => (nth === 1 ? '/bad' : '/good') })
    scene.origin.serve('/x.meta4', { content: textContent(meta()) })
    const end = await scene.fetch(path, { checksums: scene.origin.url('/x.meta4'), connections: 1 })
    expect(success(end)).toMatchObject({ verification, fetchedBytes: content.size + length })
    expect(rangesOf(scene.origin, '/good')).toEqual([`${192 * KiB}-${256 * KiB - 1}`])
    expect(end.told.restarts).toEqual([])
    await scene.expectFile(name, content)
  })

  it('that a mirror has right come from there', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content: wrong })
    scene.origin.serve('/mirror', { content })
    scene.origin.serve('/x.meta4', {
      content: textContent(meta(`<url>${scene.origin.url('/mirror')}</url>`)),
    })
    const end = await scene.fetch(path, { checksums: scene.origin.url('/x.meta4'), connections: 1 })
    expect(success(end).verification).toEqual(verification)
    expect(end.told.restarts).toEqual([])
    await scene.expectFile(name, content)
  })

  it('that stay damaged end as any wrong file does', async () => {
    const scene = await openScene()
    scene.origin.serve(path, { content: wrong })
    scene.origin.serve('/x.meta4', { content: textContent(meta()) })
    failure(await scene.fetch(path, { checksums: scene.origin.url('/x.meta4') }), 'CHECKSUM_MISMATCH')
    await scene.expectDropped(name)
  })
})
