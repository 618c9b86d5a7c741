/** Files and folders of this machine as a source. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join, win32 } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createHandler } from '../../src/index.js'
import { localUrl } from '../../src/cli/input/local-url.js'
import { localAnswer } from '../../src/net/local-file.js'
import { localFiles, pathOf } from '../../src/sources/local-files.js'
import { run } from '../cli/run.js'
import { arrives, fails, KiB, makeManager, MiB } from '../faults/harness.js'
import { ggufContent, randomContent } from '../support/content.js'
import { tempDir } from '../support/temp.js'
import { failureOf, resolveWith } from './api-server.js'

const url = (path: string) => pathToFileURL(path).href
const bytes = (size: number, label: string) => randomContent(size, label).slice(0, size)

describe('a folder', () => {
  it('stands for its files, without unfinished ones, and through links that lead to no loop', async () => {
    const root = tempDir('local')
    const elsewhere = tempDir('local-blobs')
    mkdirSync(join(root, 'sub'))
    mkdirSync(join(root, '.model-downloader'))
    writeFileSync(join(root, '.model-downloader', 'note.json'), '{}')
    writeFileSync(join(root, 'a #1%.gguf'), 'a')
    writeFileSync(join(root, 'b.gguf.part'), 'b')
    writeFileSync(join(root, 'b.gguf.part.json'), 'b')
    writeFileSync(join(elsewhere, 'blob'), 'linked')
    symlinkSync(join(elsewhere, 'blob'), join(root, 'sub', 'linked.bin'))
    symlinkSync(root, join(root, 'sub', 'loop'))
    symlinkSync('/nowhere', join(root, 'dangling'))
    symlinkSync('itself', join(root, 'itself'))
    const files = await resolveWith(localFiles(), `${url(root)}/`)
    expect(files.map(({ filename, size }) => [filename, size])).toEqual([
      ['a #1%.gguf', 1],
      ['sub/linked.bin', 6],
    ])
    const some = await resolveWith(localFiles(), url(root), {}, { include: ['*.bin'] })
    expect(some.map(({ filename }) => filename)).toEqual(['sub/linked.bin'])
  })

  it.each([
    ['file:model.gguf', 'INVALID_URL'],
    ['file:///none/model.gguf', 'NOT_FOUND'],
    ['file:///dev/null', 'NOT_FOUND'],
    ['file://server/share/model.gguf', 'INVALID_URL'],
    ['file:///a?b', 'INVALID_URL'],
    ['file:///a%2Fb', 'INVALID_URL'],
  ])('%s is refused: %s', async (ref, code) => {
    expect(await failureOf(resolveWith(localFiles(), ref))).toMatchObject({ code })
  })

  it('is not for remote callers, whatever else they may reach', async () => {
    const root = tempDir('local')
    writeFileSync(join(root, 'secret.gguf'), 'secret')
    const remote = { allowPrivateNetwork: true, allowedHosts: [] }
    const error = await failureOf(resolveWith(localFiles(), url(join(root, 'secret.gguf')), {}, { remote }))
    expect(error.code).toBe('INVALID_URL')
    const directory = tempDir('local-remote')
    await using manager = makeManager(directory, { remoteTokens: true })
    const handler = createHandler({ manager, allowPrivateNetwork: true, authorize: () => true })
    for (const body of [
      { url: url(join(root, 'secret.gguf')) },
      { url: 'https://a.example/a', urls: [url(join(root, 'secret.gguf'))] },
    ]) {
      const request = new Request('http://127.0.0.1/api/models/download', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      expect((await handler(request)).status).toBe(400)
    }
    expect(manager.list()).toEqual([])
  })
})

// Root may read everything, so a name that is too long stands for what can't be looked at.
it('a file that can not be looked at is not left out of its folder', async () => {
  const root = tempDir('local')
  writeFileSync(join(root, 'a.gguf'), 'a')
  symlinkSync('x'.repeat(300), join(root, 'b.gguf'))
  expect(await failureOf(resolveWith(localFiles(), `${url(root)}/`))).toMatchObject({ code: 'DISK_IO' })
})

describe('a request for a file', () => {
  it.each([
    [{}, 200, 0, 10],
    [{ range: 'bytes=0-' }, 206, 0, 10],
    [{ Range: 'bytes=3-5' }, 206, 3, 6],
    [{ range: 'bytes=3-99' }, 206, 3, 10],
    [{ range: 'bytes=10-' }, 416, 0, 0],
    [{ range: 'bytes=5-4' }, 416, 0, 0],
    [{ range: 'bytes=3-', 'if-range': '"e"' }, 206, 3, 10],
    [{ range: 'bytes=3-', 'if-range': '"other"' }, 200, 0, 10],
    [{ range: 'bytes=-3' }, 200, 0, 10],
  ])('%j is answered with %i, from %i to %i', (headers, status, start, end) => {
    expect(localAnswer(headers, 10, '"e"')).toMatchObject({ status, start, end })
  })
})

describe('a download', () => {
  it('is checked as from any other place, and a group keeps what it has', async () => {
    const root = join(tempDir('usb'), 'llama')
    mkdirSync(join(root, 'sub'), { recursive: true })
    const content = ggufContent(300 * KiB)
    writeFileSync(join(root, 'model.gguf'), content.slice(0, content.size))
    writeFileSync(join(root, 'sub', 'b.bin'), bytes(90 * KiB, 'b'))
    writeFileSync(join(root, 'empty.bin'), '')
    const directory = tempDir('local-group')
    await using manager = makeManager(directory)
    const { files } = await arrives(await manager.download({ url: `${url(root)}/` }))
    expect(files).toHaveLength(3)
    expect(readFileSync(join(directory, 'llama', 'model.gguf')).equals(content.slice(0, content.size))).toBe(
      true,
    )
    const wrong = await manager.download({
      url: url(join(root, 'model.gguf')),
      filename: 'wrong.gguf',
      sha256: 'a'.repeat(64),
    })
    expect(await fails(wrong)).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    writeFileSync(join(root, '..', 'fake.gguf'), '<html>login</html>')
    const fake = await manager.download({ url: url(join(root, '..', 'fake.gguf')) })
    expect(await fails(fake)).toMatchObject({ code: 'CONTENT_MISMATCH' })
    // A changed file is another one, though it has the same size.
    writeFileSync(join(root, 'sub', 'b.bin'), bytes(90 * KiB, 'c'))
    utimesSync(join(root, 'sub', 'b.bin'), 1, 1)
    await arrives(await manager.download({ url: `${url(root)}/` }))
    expect(readFileSync(join(directory, 'llama', 'sub', 'b.bin')).equals(bytes(90 * KiB, 'c'))).toBe(true)
  })

  it('goes on from the bytes that it has', async () => {
    const root = tempDir('usb')
    const content = bytes(4 * MiB, 'large')
    writeFileSync(join(root, 'large.bin'), content)
    const directory = tempDir('local-resume')
    const ref = url(join(root, 'large.bin'))
    {
      await using manager = makeManager(directory, { connections: 1, maxBytesPerSecond: 2 * MiB })
      const download = await manager.download({ url: ref })
      for await (const { downloaded } of download.progress()) if (downloaded > 512 * KiB) break
    }
    const journal = JSON.parse(readFileSync(join(directory, 'large.bin.part.json'), 'utf8')) as {
      written: unknown[]
    }
    expect(journal.written).toHaveLength(1)
    await using manager = makeManager(directory)
    const first: number[] = []
    manager.on('progress', ({ progress }) => first.push(progress.downloaded))
    await arrives(await manager.download({ url: ref }))
    expect(first[0]).toBeGreaterThan(256 * KiB)
    expect(readFileSync(join(directory, 'large.bin')).equals(content)).toBe(true)
    // What has changed since then is fetched as a whole.
    appendFileSync(join(root, 'large.bin'), 'more')
    await using again = makeManager(tempDir('local-again'))
    expect(await arrives(await again.download({ url: ref }))).toMatchObject({ size: content.length + 4 })
  })
})

it('a file that is changed while it is copied is not put together from two versions', async () => {
  const root = tempDir('usb')
  const file = join(root, 'large.bin')
  writeFileSync(file, bytes(4 * MiB, 'before'))
  const directory = tempDir('local-changed')
  await using manager = makeManager(directory, { connections: 1, maxBytesPerSecond: 4 * MiB })
  const download = await manager.download({ url: url(file) })
  const after = bytes(4 * MiB, 'after')
  let isChanged = false
  for await (const { downloaded } of download.progress()) {
    if (isChanged || downloaded < MiB || downloaded >= 3 * MiB) continue
    isChanged = true
    writeFileSync(file, after)
    utimesSync(file, 1, 1)
  }
  expect(isChanged).toBe(true)
  const end = await download.finished.catch((error: unknown) => error)
  const isThere = existsSync(join(directory, 'large.bin'))
  if (isThere) expect(readFileSync(join(directory, 'large.bin')).equals(after)).toBe(true)
  else expect(end).toMatchObject({ code: 'SOURCE_CHANGED' })
})

describe('the command', () => {
  it('takes a path', async () => {
    const root = tempDir('usb')
    mkdirSync(join(root, 'my model'))
    writeFileSync(join(root, 'my model', 'a.bin'), 'abc')
    writeFileSync(join(root, 'my model', 'b.bin'), 'abc')
    const result = await run(['get', './my model/', '-d', 'out'], { cwd: root })
    expect(result.code, result.stderr).toBe(0)
    expect(readFileSync(join(root, 'out', 'my model', 'a.bin'), 'utf8')).toBe('abc')
  })

  it.each([
    ['./a b/', 'file:///home/a%20b/'],
    ['../x#1', 'file:///x%231'],
    ['.', 'file:///home'],
    ['/m/a.gguf', 'file:///m/a.gguf'],
    ['hf:a/b', 'hf:a/b'],
    ['a/b', 'a/b'],
    ['https://a/b', 'https://a/b'],
    ['.hidden', '.hidden'],
  ])('understands %s as %s', (text, expected) => {
    expect(localUrl(text, '/home', false)).toBe(expected)
  })

  it.each([
    ['C:\\models\\x 1%.gguf', 'file:///C:/models/x%201%25.gguf'],
    ['c:/models/', 'file:///c:/models/'],
    ['D:\\models\\', 'file:///D:/models/'],
    ['.\\x#1', 'file:///C:/home/x%231'],
    ['..\\a b\\', 'file:///C:/a%20b/'],
    ['\\\\server\\share\\a b\\x.gguf', 'file://server/share/a%20b/x.gguf'],
    ['hf:a/b', 'hf:a/b'],
    ['https://a/b', 'https://a/b'],
  ])('understands %s on Windows as %s, which is that path', (text, expected) => {
    expect(localUrl(text, 'C:\\home', true)).toBe(expected)
    if (!expected.startsWith('file:')) return
    const path = win32.resolve('C:\\home', text)
    expect(win32.resolve(pathOf(expected, true))).toBe(path)
  })
})
