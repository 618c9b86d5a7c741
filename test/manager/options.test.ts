import { describe, expect, it } from 'vitest'
import { DownloadError, DownloadManager, isDownloadError } from '../../src/index.js'
import { expectInvariant, KiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'

const url = 'http://127.0.0.1/a.bin'
/** A caller without types may pass anything: that is what these tests are about. */
const bad = (value: unknown) => value as never

function failure(run: () => unknown): DownloadError {
  try {
    run()
  } catch (error) {
    if (isDownloadError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('options of the manager', () => {
  it.each([
    [{ concurrency: 0 }, 'concurrency: Too small'],
    [{ connections: 1e6 }, 'connections: Too big'],
    [{ maxBytesPerSecond: -1 }, 'maxBytesPerSecond: Too small'],
    [{ remoteMaxFileBytes: 0 }, 'remoteMaxFileBytes: Too small'],
    [{ remoteMaxFileBytes: 1.5 }, 'remoteMaxFileBytes: Invalid input'],
    [{ remoteMinBytesPerSecond: 0 }, 'remoteMinBytesPerSecond: Too small'],
    [{ store: 'redis' }, "store: must be 'file', 'memory' or an object with load, save and remove"],
    [{ modes: ['../x'] }, 'modes.0: must be letters, digits, dot, dash or underscore'],
    [{ tuning: { maxAttempts: 'many' } }, 'tuning.maxAttempts: Invalid input: expected number'],
    [{ directroy: './x' }, 'Unrecognized key: "directroy"'],
    ['./models', 'expected object'],
  ])('%j: "… %s …"', (options, words) => {
    const error = failure(() => new DownloadManager(bad(options)))
    expect(error.code).toBe('INVALID_OPTIONS')
    expect(error.message).toMatch(/^DownloadManager options: /)
    expect(error.message).toContain(words)
    expect(error.issues.length).toBeGreaterThan(0)
  })

  it('are checked when they change, too', async () => {
    await using bench = await startBench({ concurrency: 2 })
    const { manager } = bench
    for (const value of [0, 1.5, 1_001, '3', null, Number.NaN]) {
      const error = failure(() => (manager.concurrency = bad(value)))
      expect(error.message).toMatch(/^concurrency: /)
    }
    for (const value of [0, -1, Infinity, '3', Number.NaN]) {
      const error = failure(() => (manager.maxBytesPerSecond = bad(value)))
      expect(error.message).toMatch(/^maxBytesPerSecond: /)
    }
    expect(manager.concurrency).toBe(2)
    expect(manager.maxBytesPerSecond).toBeNull()
  })
})

describe('row 39: options of a download', () => {
  it.each([
    [{}, 'INVALID_OPTIONS', 'url: is missing'],
    [{ url: 5 }, 'INVALID_OPTIONS', 'url: Invalid input: expected string'],
    [{ url: '' }, 'INVALID_OPTIONS', 'url: Too small'],
    [{ url: `http://127.0.0.1/${'x'.repeat(20_000)}` }, 'INVALID_OPTIONS', 'url: Too big'],
    [{ url: 'model.gguf' }, 'INVALID_URL', 'not valid'],
    [{ url: 'ftp://127.0.0.1/a' }, 'INVALID_URL', 'ftp:'],
    [{ url: 'ftp://host/a.bin' }, 'INVALID_URL', 'ftp:'],
    [{ url: 'file:///etc/passwd', remote: true }, 'INVALID_URL', ''],
    [{ url: 'http://127.0.0.1/a\nb' }, 'INVALID_URL', 'control character'],
    [{ url: 'http://127.0.0.1/a\0b' }, 'INVALID_URL', 'control character'],
    [{ url: 'http://127.0.0.1/a\tb' }, 'INVALID_URL', 'control character'],
    [{ url: 'http:\\\\127.0.0.1\\a' }, 'INVALID_URL', 'backslash'],
    [{ url, filename: 5 }, 'INVALID_OPTIONS', 'filename: Invalid input: expected string'],
    [{ url, mode: 5 }, 'INVALID_OPTIONS', 'mode: Invalid input'],
    [{ url, sha256: 'abc' }, 'INVALID_OPTIONS', 'sha256: must be 64 hexadecimal digits'],
    [{ url, sha256: 'g'.repeat(64) }, 'INVALID_OPTIONS', 'sha256: must be 64 hexadecimal digits'],
    [{ url, size: -1 }, 'INVALID_OPTIONS', 'size: Too small'],
    [{ url, size: 1.5 }, 'INVALID_OPTIONS', 'size: Invalid input: expected int'],
    [{ url, connections: 1e6 }, 'INVALID_OPTIONS', 'connections: Too big'],
    [{ url, priority: Infinity }, 'INVALID_OPTIONS', 'priority: '],
    [{ url, maxBytesPerSecond: 0 }, 'INVALID_OPTIONS', 'maxBytesPerSecond: Too small'],
    [{ url, headers: { Range: 'bytes=5-' } }, 'INVALID_OPTIONS', 'headers.Range: is set by the engine'],
    [{ url, headers: { 'a b': '' } }, 'INVALID_OPTIONS', 'headers.a b: is not a valid header name'],
    [{ url, headers: { a: 'x\r\nHost: evil' } }, 'INVALID_OPTIONS', 'headers.a: contains a character'],
    [{ url, headers: ['a'] }, 'INVALID_OPTIONS', 'headers'],
    [{ url, signal: {} }, 'INVALID_OPTIONS', 'signal'],
    [{ url, output: 'x' }, 'INVALID_OPTIONS', 'Unrecognized key: "output"'],
    [null, 'INVALID_OPTIONS', 'expected object'],
    [url, 'INVALID_OPTIONS', 'expected object'],
  ])('%j → %s "… %s …"', async (options, code, words) => {
    await using bench = await startBench()
    const { manager, directory } = bench
    const error: unknown = await manager.download(bad(options)).catch((reason: unknown) => reason)
    if (!(error instanceof DownloadError)) throw new Error('It was not refused.')
    expect(error.code).toBe(code)
    expect(error.message).toContain(words)
    expect(error.retryable).toBe(false)
    expect(manager.list()).toEqual([])
    await expectInvariant(directory, 'a.bin', 'N')
  })

  it('tell no secret in their errors', async () => {
    await using bench = await startBench()
    const secret = 'hunter2'
    for (const options of [
      { url: `http://user:${secret}@127.0.0.1:99999/a` },
      { url: `gopher://${secret}@127.0.0.1/` },
      { url, headers: { Cookie: `${secret}\n` } },
    ]) {
      const error: unknown = await bench.manager.download(options).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(DownloadError)
      expect(JSON.stringify(error)).not.toContain(secret)
      expect(String(error)).not.toContain(secret)
    }
  })

  it('limits are checked when they change, too', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content: randomContent(64 * KiB), bytesPerSecond: 16 * KiB })
    const download = await manager.download({ url: origin.url('/a.bin'), maxBytesPerSecond: 5 })
    expect(failure(() => (download.maxBytesPerSecond = 0)).code).toBe('INVALID_OPTIONS')
    expect(failure(() => (download.maxBytesPerSecond = bad('fast'))).code).toBe('INVALID_OPTIONS')
    expect(download.maxBytesPerSecond).toBe(5)
    download.maxBytesPerSecond = null
    expect(download.maxBytesPerSecond).toBeNull()
  })
})
