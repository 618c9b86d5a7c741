import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { waitFor } from '../support/wait.js'
import { jsonLines, run, start, temporaryFolder } from './run.js'

const MiB = 1024 * 1024
const content = randomContent(8 * MiB, 'stop')
const slow = { content, bytesPerSecond: MiB }

describe('a signal', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s keeps the bytes, says how to resume, and ends with %d', async (signal, code) => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/model.bin', slow)
    const args = ['get', origin.url('/model.bin'), '-d', folder.path, '--connections', '4']
    const first = start(args)
    await origin.waitForBytes('/model.bin', 3 * MiB)
    first.child.kill(signal)
    const ended = await first.ended
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr).toMatch(
      /^Interrupted\. [\d.]+ MB kept on disk; run the same command again to resume\.$/m,
    )
    expect(ended.stderr).not.toContain('error')
    expect(await readdir(folder.path)).not.toContain('model.bin')

    origin.clearRequests()
    origin.serve('/model.bin', { content })
    const second = await run(args)
    expect(second.code).toBe(0)
    expect(second.stderr).toMatch(/[\d.]+ MB kept/)
    const file = await readFile(path.join(folder.path, 'model.bin'))
    expect(file.equals(content.slice(0, content.size))).toBe(true)
    expect(origin.bytesSent('/model.bin')).toBeLessThan(5.5 * MiB)
    expect(await readdir(folder.path)).toEqual(['model.bin'])
  })

  it('ends each URL with failed and CLOSED in JSON, also those that had not begun', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const urls = ['a', 'b', 'c'].map((name) => origin.url(`/${name}.bin`))
    origin.serve('*', slow)
    const running = start(['get', ...urls, '-d', folder.path, '--json', '--concurrency', '1'])
    await origin.waitForRequest()
    running.child.kill('SIGINT')
    const ended = await running.ended
    expect(ended.code).toBe(130)
    const lines = jsonLines(ended.stdout)
    for (const url of urls) {
      expect(lines.filter((line) => line['url'] === url).at(-1)).toMatchObject({
        type: 'failed',
        code: 'CLOSED',
      })
    }
    expect(ended.stderr).toMatch(/^Interrupted\./)
  })

  it('ends the process at once when it comes twice', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/model.bin', slow)
    const running = start(['get', origin.url('/model.bin'), '-d', folder.path, '--quiet'])
    await origin.waitForBytes('/model.bin', MiB)
    running.child.kill('SIGINT')
    running.child.kill('SIGTERM')
    expect([130, 143]).toContain((await running.ended).code)
  })
})

describe('kill -9 (FAULTS row 30)', () => {
  it('costs little: the same command goes on', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/model.bin', slow)
    const args = [
      'get',
      origin.url('/model.bin'),
      '-d',
      folder.path,
      '--connections',
      '4',
      '--sha256',
      content.sha256(),
    ]
    const first = start(args)
    await origin.waitForBytes('/model.bin', 4 * MiB)
    first.child.kill('SIGKILL')
    expect((await first.ended).code).toBe('SIGKILL')
    expect(await readdir(folder.path)).not.toContain('model.bin')

    await waitFor(() => origin.activeRequests === 0, { what: 'the origin to notice' })
    const sent = origin.bytesSent('/model.bin')
    const second = await run(args)
    expect(second.code).toBe(0)
    expect(second.stderr).toContain('verified')
    const file = await readFile(path.join(folder.path, 'model.bin'))
    expect(file.equals(content.slice(0, content.size))).toBe(true)
    const again = origin.bytesSent('/model.bin') - content.size
    expect(again, `${sent} bytes were sent until the kill`).toBeLessThanOrEqual(2 * MiB)
  })
})
