/** FAULTS rows 11 and 20, and what is known to go wrong elsewhere: what comes is not what was wanted, or of odd size. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  ggufContent,
  patchedContent,
  randomContent,
  safetensorsContent,
  textContent,
} from '../support/content.js'
import type { DownloadOptions } from '../../src/index.js'
import type { Fault, OriginRequest, Resource } from '../support/origin.js'
import type { HeaderValues } from '../support/origin-types.js'
import { listTree } from '../support/temp.js'
import { expectInvariant, MiB } from './harness.js'
import { comebacks, failure, keepBytes, openScene, success } from './scene.js'

const gguf = ggufContent(1 * MiB, 'model')
const page: Fault = { type: 'htmlPage' }

describe('row 11: an HTML login page with 200 where a model is expected', () => {
  it.each(['model.gguf', 'MODEL.GGUF', 'model.safetensors', 'model.bin', 'model.json'])(
    'by the name %s: CONTENT_MISMATCH, X',
    async (name) => {
      const scene = await openScene()
      scene.origin.serve(`/${name}`, { content: gguf, faults: [page] })
      const end = await scene.fetch(`/${name}`)
      expect(failure(end, 'CONTENT_MISMATCH').retryable).toBe(false)
      expect(scene.origin.requests()).toHaveLength(1)
      await scene.expectDropped(name)
    },
  )

  it('by the name that the caller gives', async () => {
    const scene = await openScene()
    scene.origin.serve('/download', { content: gguf, faults: [page] })
    failure(await scene.fetch('/download', { filename: 'model.gguf' }), 'CONTENT_MISMATCH')
    await scene.expectDropped('model.gguf')
  })

  it('by the size: CONTENT_MISMATCH before any byte, N', async () => {
    const scene = await openScene()
    scene.origin.serve('/file.bin', { content: gguf, faults: [page] })
    failure(await scene.fetch('/file.bin', { size: gguf.size }), 'CONTENT_MISMATCH')
    expect(scene.origin.requests()).toHaveLength(1)
    await scene.expectNothing()
  })

  it('by the size, of a page without length: CONTENT_MISMATCH or TRUNCATED, never a file', async () => {
    const scene = await openScene()
    scene.origin.serve('/file.bin', {
      content: textContent('<!DOCTYPE html>no'),
      contentLength: false,
      ranges: false,
    })
    expect((await scene.fetch('/file.bin', { size: gguf.size })).file).toBeNull()
    expect(await listTree(scene.directory)).not.toContain('file.bin')
  })

  it('by the digest: CONTENT_MISMATCH, not fetched again, X', async () => {
    const scene = await openScene()
    scene.origin.serve('/file.bin', { content: gguf, faults: [page] })
    failure(await scene.fetch('/file.bin', { sha256: gguf.sha256() }), 'CONTENT_MISMATCH')
    expect(scene.origin.requests()).toHaveLength(1)
    await scene.expectDropped('file.bin')
  })

  it('a large page is found out by its first bytes, long before its end', async () => {
    const scene = await openScene()
    const large = patchedContent(randomContent(64 * MiB, 'large page'), [
      { at: 0, data: '<!doctype html><html>' },
    ])
    scene.origin.serve('/model.gguf', { content: large, bytesPerSecond: 8 * MiB })
    failure(await scene.fetch('/model.gguf'), 'CONTENT_MISMATCH')
    expect(scene.origin.bytesSent()).toBeLessThan(8 * MiB)
    await scene.expectDropped('model.gguf')
  })

  it.each(comebacks)('on a resume, %s: not published, and the kept bytes survive it', async (how) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, '/model.gguf', { content: gguf }, how, 300_000)
    scene.origin.serve('/model.gguf', { content: gguf, faults: [page] })
    const end = await resume()
    expect(end.error?.code).toBe('PROTOCOL_ERROR')
    expect(await scene.expectKept('model.gguf', gguf)).toBe(300_000)
    scene.origin.serve('/model.gguf', { content: gguf })
    expect(success(await scene.fetch('/model.gguf')).fetchedBytes).toBe(gguf.size - 300_000)
    await scene.expectFile('model.gguf', gguf)
  })

  it('on one segment: not a byte of it gets into the file', async () => {
    const scene = await openScene()
    const faults: Fault[] = [{ ...page, when: ({ range }) => range?.start !== 0, times: 1 }]
    scene.origin.serve('/model.gguf', { content: gguf, bytesPerSecond: 4 * MiB, faults })
    expect(success(await scene.fetch('/model.gguf')).sha256).toBe(gguf.sha256())
    await scene.expectFile('model.gguf', gguf)
  })

  it('an old file under the name is untouched', async () => {
    const scene = await openScene()
    scene.origin.serve('/model.gguf', { content: gguf })
    success(await scene.fetch('/model.gguf'))
    const old = Buffer.concat([Buffer.from('GGUF\u0003\0\0\0'), Buffer.alloc(100)])
    await writeFile(join(scene.directory, 'model.gguf'), old)
    scene.origin.serve('/model.gguf', { content: gguf, faults: [page] })
    failure(await scene.fetch('/model.gguf', { force: true }), 'CONTENT_MISMATCH')
    await expectInvariant(scene.directory, 'model.gguf', 'X', { old })
  })

  it('where nothing is expected, a page is a file like any other', async () => {
    const scene = await openScene()
    const html = textContent('<!DOCTYPE html><title>hello</title>')
    scene.origin.serve('/index.html', { content: html, contentType: 'text/html' })
    success(await scene.fetch('/index.html'))
    await scene.expectFile('index.html', html)
  })

  it('right models pass', async () => {
    const scene = await openScene()
    const safetensors = safetensorsContent(300_000)
    scene.origin.serve('/a.gguf', { content: gguf })
    scene.origin.serve('/b.safetensors', { content: safetensors })
    success(await scene.fetch('/a.gguf'))
    success(await scene.fetch('/b.safetensors'))
    await scene.expectFile('a.gguf', gguf, ['b.safetensors'])
    await scene.expectFile('b.safetensors', safetensors, ['a.gguf'])
  })
})

describe('row 52: something else under the name of a model', () => {
  const pointer = textContent(
    `version https://git-lfs.github.com/spec/v1\noid sha256:${gguf.sha256()}\nsize ${gguf.size}\n`,
  )

  it.each([{}, { sha256: gguf.sha256() }])(
    'a Git LFS pointer: CONTENT_MISMATCH that names the file, X (%o)',
    async (options) => {
      const scene = await openScene()
      scene.origin.serve('/model.bin', { content: pointer })
      const { message } = failure(await scene.fetch('/model.bin', options), 'CONTENT_MISMATCH')
      expect(message).toContain(gguf.sha256())
      expect(message).toContain(`${gguf.size} bytes`)
      expect(scene.origin.requests()).toHaveLength(1)
      await scene.expectDropped('model.bin')
    },
  )

  it('words under the name of an archive: CONTENT_MISMATCH, X', async () => {
    const scene = await openScene()
    scene.origin.serve('/model.zip', { content: textContent('{"error":"rate limit exceeded"}') })
    failure(await scene.fetch('/model.zip'), 'CONTENT_MISMATCH')
    await scene.expectDropped('model.zip')
  })

  it('the check can be switched off, also of an archive that is none', async () => {
    const scene = await openScene()
    scene.origin.serve('/model.bin', { content: pointer })
    success(await scene.fetch('/model.bin', { checkFormat: false }))
    await scene.expectFile('model.bin', pointer)
  })

  it('a known digest outranks it', async () => {
    const scene = await openScene()
    const content = randomContent(300_000, 'no archive')
    scene.origin.serve('/model.zip', { content })
    expect(success(await scene.fetch('/model.zip', { sha256: content.sha256() })).verified).toBe(true)
    await scene.expectFile('model.zip', content)
  })
})

describe('row 49: a few words with 200 instead of the file', () => {
  const content = randomContent(1 * MiB, 'no words')
  const path = '/file.bin'
  const json = '{"error":"rate limit exceeded","retry":"later"}'
  const words = (body: string, headers: HeaderValues): Fault => ({
    type: 'status',
    status: 200,
    body,
    headers,
  })
  const gates: [string, Fault][] = [
    ['JSON', words(json, { 'Content-Type': 'application/json' })],
    ['plain text', words('Too many requests.\n', { 'Content-Type': 'text/plain' })],
    ['of no type', words(json, { 'Content-Type': null })],
    ['of the file’s type', words(json, { 'Content-Type': 'application/octet-stream' })],
    ['with a weak ETag', words(json, { 'Content-Type': 'application/json', ETag: 'W/"2f-abc"' })],
    ['nothing at all', words('', { 'Content-Type': null })],
  ]
  const known: [string, Partial<DownloadOptions>][] = [
    ['size and digest known', { size: content.size, sha256: content.sha256() }],
    ['the size known', { size: content.size }],
    ['nothing known', {}],
  ]
  const segment = (request: OriginRequest) => request.range !== null && request.range.start > 0

  describe.each(known)('%s', (_, options) => {
    it.each(gates)('on a resume, %s, twice: asked again, goes on', async (_, gate) => {
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000, options)
      scene.origin.serve(path, { content, faults: [{ ...gate, times: 2 }] })
      const end = await resume()
      expect(success(end).fetchedBytes).toBe(content.size - 300_000)
      expect(end.told.restarts).toEqual([])
      await scene.expectFile('file.bin', content)
    })

    it.each(gates)('at further connections, %s: a healthy download goes on', async (_, gate) => {
      const scene = await openScene()
      const faults: Fault[] = [{ ...gate, when: segment, times: 3 }]
      scene.origin.serve(path, { content, bytesPerSecond: 4 * MiB, faults })
      const end = await scene.fetch(path, options)
      expect(success(end)).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
      expect(end.told.restarts).toEqual([])
      await scene.expectFile('file.bin', content)
    })
  })

  it.each(gates)('at first, %s, twice, where the size is known: asked again, success', async (_, gate) => {
    const scene = await openScene()
    scene.origin.serve(path, { content, faults: [{ ...gate, times: 2 }] })
    expect(success(await scene.fetch(path, { size: content.size })).fetchedBytes).toBe(content.size)
    await scene.expectFile('file.bin', content)
  })

  it.each(comebacks)(
    'always on a resume, %s: PROTOCOL_ERROR, K, and goes on when it is over',
    async (how) => {
      const scene = await openScene()
      const resume = await keepBytes(scene, path, { content }, how, 300_000)
      scene.origin.serve(path, { content, faults: [words(json, {})] })
      failure(await resume(), 'PROTOCOL_ERROR')
      expect(await scene.expectKept('file.bin', content)).toBe(300_000)
      scene.origin.serve(path, { content })
      expect(success(await scene.fetch(path)).fetchedBytes).toBe(content.size - 300_000)
      await scene.expectFile('file.bin', content)
    },
  )

  it.each([
    ['a weak ETag', { etag: 'W/"1"', lastModified: null }],
    ['no validator', { etag: null, lastModified: null }],
    ['no ranges', { ranges: false }],
    ['no ranges and no validator', { ranges: false, etag: null, lastModified: null }],
  ] as const)('the file has %s: never published, K', async (_, resource) => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content, ...resource }, 'a new manager', 300_000)
    scene.origin.serve(path, { content, ...resource, faults: [words(json, {})] })
    failure(await resume(), 'PROTOCOL_ERROR')
    expect(await scene.expectKept('file.bin', content)).toBe(300_000)
  })

  it('a file without a length is resumed: words that are shorter than what is kept are none', async () => {
    const scene = await openScene()
    const unsized = { ranges: false, contentLength: false, etag: null, lastModified: null }
    const resume = await keepBytes(scene, path, { content, ...unsized }, 'a new manager', 300_000)
    scene.origin.serve(path, { content, ...unsized, faults: [{ ...words(json, {}), times: 2 }] })
    const end = await resume()
    expect(success(end).sha256).toBe(content.sha256())
    await scene.expectFile('file.bin', content)
  })

  it('after it had to start over: the words are not the file either', async () => {
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content }, 'a new manager', 300_000)
    const faults: Fault[] = [{ ...words(json, {}), when: ({ nth }) => nth === 2 || nth === 3 }]
    scene.origin.serve(path, { content, ranges: false, faults })
    expect(success(await resume()).sha256).toBe(content.sha256())
    await scene.expectFile('file.bin', content)
  })

  it('a file that has really changed, in size and validator, is fetched anew after a second look', async () => {
    const other = randomContent(500_000, 'a new version')
    const scene = await openScene()
    const resume = await keepBytes(scene, path, { content, ranges: false }, 'a new manager', 300_000)
    scene.origin.serve(path, { content: other, ranges: false })
    const end = await resume()
    expect(success(end).sha256).toBe(other.sha256())
    expect(end.told.restarts).toHaveLength(1)
    expect(scene.origin.requests(path)).toHaveLength(3)
    await scene.expectFile('file.bin', other)
  })
})

describe('row 20: odd sizes', () => {
  const kinds: [string, Partial<Resource>][] = [
    ['with ranges', {}],
    ['without ranges', { ranges: false }],
    ['chunked', { ranges: false, contentLength: false }],
    ['close-delimited', { ranges: false, contentLength: false, close: true }],
  ]
  const segmentBytes = 64 * 1024
  const sizes = [0, 1, 2, segmentBytes - 1, segmentBytes, segmentBytes + 1, 4 * segmentBytes + 1]

  describe.each(kinds)('%s', (_, resource) => {
    it.each(sizes)('%i bytes: success', async (size) => {
      const content = randomContent(size, 'odd')
      const scene = await openScene()
      scene.origin.serve('/odd.bin', { content, ...resource })
      const end = await scene.fetch('/odd.bin')
      expect(success(end)).toMatchObject({ size, sha256: content.sha256(), verified: false })
      expect(end.download.current).toMatchObject({ downloaded: size, total: size, percent: 100 })
      await scene.expectFile('odd.bin', content)
    })

    it.each([0, 1])('%i bytes, with size and digest known: success, verified', async (size) => {
      const content = randomContent(size, 'odd')
      const scene = await openScene()
      scene.origin.serve('/odd.bin', { content, ...resource })
      const file = success(await scene.fetch('/odd.bin', { size, sha256: content.sha256() }))
      expect(file.verified).toBe(true)
      await scene.expectFile('odd.bin', content)
    })

    it.each([0, 1])('%i bytes, with another digest: CHECKSUM_MISMATCH, X', async (size) => {
      const scene = await openScene()
      scene.origin.serve('/odd.bin', { content: randomContent(size, 'odd'), ...resource })
      failure(await scene.fetch('/odd.bin', { sha256: gguf.sha256() }), 'CHECKSUM_MISMATCH')
      await scene.expectDropped('odd.bin')
    })
  })

  it('an empty file where a model is expected: CONTENT_MISMATCH, X', async () => {
    const scene = await openScene()
    scene.origin.serve('/model.gguf', {})
    failure(await scene.fetch('/model.gguf'), 'CONTENT_MISMATCH')
    await scene.expectDropped('model.gguf')
  })

  it('one byte less or more than expected: CONTENT_MISMATCH, N', async () => {
    const scene = await openScene()
    scene.origin.serve('/odd.bin', { content: gguf })
    failure(await scene.fetch('/odd.bin', { size: gguf.size + 1 }), 'CONTENT_MISMATCH')
    failure(await scene.fetch('/odd.bin', { size: gguf.size - 1 }), 'CONTENT_MISMATCH')
    await scene.expectNothing()
  })
})

describe('known failures of others', () => {
  it('ipull, axel: a 206 at a wrong offset on every second request never gets into the file', async () => {
    const scene = await openScene()
    scene.origin.serve('/model.gguf', ({ nth }) => {
      const faults: Fault[] = nth % 2 === 0 ? [{ type: 'wrongOffset', shift: 4096 }] : []
      return { content: gguf, bytesPerSecond: 4 * MiB, faults }
    })
    expect(success(await scene.fetch('/model.gguf')).sha256).toBe(gguf.sha256())
    await scene.expectFile('model.gguf', gguf)
  })

  it.each([500, 403, 416, 200])(
    'Ollama: a body with an error (%i) is not written at the part’s offset',
    async (status) => {
      const scene = await openScene()
      const resume = await keepBytes(scene, '/model.gguf', { content: gguf }, 'a new manager', 300_000)
      const body = JSON.stringify({ error: 'x'.repeat(gguf.size - 300_000) })
      const headers = { 'Content-Type': 'application/json', 'Content-Range': `bytes */${gguf.size}` }
      const faults: Fault[] = [{ type: 'status', status, body, headers, times: 1 }]
      scene.origin.serve('/model.gguf', { content: gguf, faults })
      expect(success(await resume()).sha256).toBe(gguf.sha256())
      await scene.expectFile('model.gguf', gguf)
    },
  )

  it.each(['../x.gguf', '..%2fx.gguf', '/etc/x.gguf', '..\\x.gguf', 'C:x.gguf'])(
    'node-downloader-helper: a server that names the file %j writes nothing outside the folder',
    async (filename) => {
      const scene = await openScene()
      const contentDisposition = `attachment; filename="${filename}"`
      scene.origin.serve('/download', { content: gguf, contentDisposition })
      const end = await scene.fetch('/download')
      if (end.error !== null) expect(end.error.code).toBe('UNSAFE_FILENAME')
      const tree = await listTree(scene.root)
      expect(tree.every((entry) => entry.startsWith('models/'))).toBe(true)
      expect(tree.filter((entry) => entry.includes('.part'))).toEqual([])
    },
  )

  it('huggingface.js, huggingface_hub: what an earlier run got is never fetched again', async () => {
    const scene = await openScene({ connections: 1 })
    let kept = 0
    for (let run = 1; run <= 3; run += 1) {
      scene.origin.serve('/model.gguf', {
        content: gguf,
        faults: [{ type: 'stallBody', afterBytes: 100_000 }],
      })
      const manager = scene.manager({ tuning: { bodyTimeoutMs: 60_000 } })
      const download = await manager.download({ url: scene.origin.url('/model.gguf') })
      await expect.poll(() => download.current.downloaded).toBe(100_000 * run)
      await manager.close()
      kept = await scene.expectKept('model.gguf', gguf)
    }
    expect(kept).toBe(300_000)
    scene.origin.serve('/model.gguf', { content: gguf })
    expect(success(await scene.fetch('/model.gguf')).fetchedBytes).toBe(gguf.size - kept)
    await scene.expectFile('model.gguf', gguf)
  })
})
