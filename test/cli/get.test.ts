import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { waitFor } from '../support/wait.js'
import { jsonLines, run, runBuilt, start, temporaryFolder } from './run.js'

const MiB = 1024 * 1024

describe('get', () => {
  it('puts the file at DIR/NAME, prints its path, and leaves nothing else behind', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const content = ggufContent(5 * MiB)
    origin.serve('/dir/model.gguf', { content })
    const directory = path.join(folder.path, 'made/on/the/way')
    const ended = await runBuilt(['get', origin.url('/dir/model.gguf'), '-d', directory])
    expect(ended.code).toBe(0)
    expect(ended.stdout).toBe(`${path.join(directory, 'model.gguf')}\n`)
    expect(ended.stderr).toMatch(/^start: .*\n(?:model\.gguf: .*\n)*done: .*model\.gguf: 5\.2 MB in .*\n$/)
    expect(await readdir(directory)).toEqual(['model.gguf'])
    // The same without naming the command.
    const again = await run(['-d', directory, origin.url('/dir/model.gguf')])
    expect(again).toMatchObject({ code: 0, stdout: ended.stdout })
    expect(content.slice(0, content.size).equals(await readFile(path.join(directory, 'model.gguf')))).toBe(
      true,
    )
  })

  it('takes name, mode, digest, size and header', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const content = randomContent(3 * MiB)
    origin.serve('/x', { content, auth: 'Bearer token:with:colons' })
    const ended = await run(
      [
        ...['get', origin.url('/x'), '-o', 'other.bin', '--mode', 'My.mode_1', '--json'],
        ...['--sha256', `sha256:${content.sha256().toUpperCase()}`, '--size', String(content.size)],
        ...['--header', 'Authorization: Bearer token:with:colons', '--connections', '2'],
      ],
      { cwd: folder.path },
    )
    expect(ended.code).toBe(0)
    expect(jsonLines(ended.stdout).at(-1)).toMatchObject({
      type: 'completed',
      path: path.join(folder.path, 'My.mode_1', 'other.bin'),
      verified: true,
    })
    expect(ended.stderr).toBe('')
  })

  it('takes mirrors, one at a time or all at once, and only with a single URL', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const content = randomContent(MiB)
    for (const name of ['/b.bin', '/c.bin']) origin.serve(name, { content })
    const [gone, b, c] = ['/a.bin', '/b.bin', '/c.bin'].map((name) => origin.url(name))
    const args = ['get', gone ?? '', '--mirror', b ?? '', '--mirror', c ?? '', '-d', folder.path]
    const ended = await run([...args, '--sha256', content.sha256()])
    expect(ended.code).toBe(0)
    expect(ended.stdout).toBe(`${path.join(folder.path, 'a.bin')}\n`)
    expect(origin.requests('/c.bin')).toEqual([])
    expect((await run([...args, '--spread', '--force'])).code).toBe(0)
    const wrong = await run([...args, b ?? ''])
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('--mirror can be used with a single URL only')
    expect((await run(['get', gone ?? '', '--mirror', 'ftp://example.com/a', '-d', folder.path])).code).toBe(
      2,
    )
  })

  it('does not fetch a file that is there, unless --force is given', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content: randomContent(MiB, 'new') })
    await writeFile(path.join(folder.path, 'a.bin'), 'old')
    const args = ['get', origin.url('/a.bin'), '-d', folder.path]
    const first = await run(args)
    expect(first.code).toBe(0)
    expect(first.stderr).toContain('already exists')
    expect(await readFile(path.join(folder.path, 'a.bin'), 'utf8')).toBe('old')
    const second = await run([...args, '--force'])
    expect(second.code).toBe(0)
    const file = await readFile(path.join(folder.path, 'a.bin'))
    expect(file.equals(randomContent(MiB, 'new').slice(0, MiB))).toBe(true)
  })

  it('fetches a URL that is given twice once, and all the others', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const names = Array.from({ length: 40 }, (_, index) => `f${index}.bin`)
    for (const name of names) origin.serve(`/${name}`, { content: randomContent(20_000, name) })
    const urls = names.map((name) => origin.url(`/${name}`))
    const ended = await run(['get', '-d', folder.path, ...urls, ...urls, '--quiet'])
    expect(ended).toEqual({ code: 0, stdout: '', stderr: '' })
    expect((await readdir(folder.path)).sort()).toEqual([...names].sort())
    for (const name of names) expect(origin.requests(`/${name}`)).toHaveLength(1)
  })

  it('prints a line every few seconds while it runs', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/slow.bin', { content: randomContent(4 * MiB), bytesPerSecond: 0.5 * MiB })
    const running = start(['get', origin.url('/slow.bin'), '-d', folder.path, '--connections', '2'])
    const line =
      /^slow\.bin: [\d.]+ [kM]B\/4\.2 MB \([\d.]+%\), [\d.]+ [kM]?B\/s, ETA \d+s, [12] connections?$/m
    await waitFor(() => line.test(running.stderr), { timeoutMs: 10_000, what: 'a line of progress' })
    running.child.kill('SIGINT')
    expect((await running.ended).code).toBe(130)
  })

  it('holds the rate over all files together', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    for (const name of ['a', 'b']) origin.serve(`/${name}.bin`, { content: randomContent(MiB, name) })
    const begin = performance.now()
    const ended = await run([
      'get',
      origin.url('/a.bin'),
      origin.url('/b.bin'),
      '-d',
      folder.path,
      '--limit-rate',
      '1M',
    ])
    const seconds = (performance.now() - begin) / 1000
    expect(ended.code).toBe(0)
    // 2 MiB at 1 MiB/s; a bucket may be full at the start.
    expect(seconds).toBeGreaterThan(0.9)
    expect(ended.stderr).toContain('2 of 2 files')
  })
})

describe('get, when something fails', () => {
  it('carries the others on, says what failed with its code, and ends with 1', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/good.bin', { content: randomContent(MiB) })
    const missing = `${origin.url('/missing.bin')}?token=hunter2`
    const ended = await run(['get', missing, origin.url('/good.bin'), '-d', folder.path])
    expect(ended.code).toBe(1)
    expect(ended.stdout).toBe(`${path.join(folder.path, 'good.bin')}\n`)
    expect(ended.stderr).toMatch(/^error: http:.*\/missing\.bin\?…: .* \(NOT_FOUND\)$/m)
    expect(ended.stderr).toContain('1 of 2 files, 1 failed')
    expect(ended.stderr).not.toContain('hunter2')
    expect(await readdir(folder.path)).toEqual(['good.bin'])
  })

  it('still says so when quiet', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const ended = await run(['get', origin.url('/missing.bin'), '-d', folder.path, '--quiet'])
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(/^error: .* \(NOT_FOUND\)\n$/)
  })

  it('refuses a web page as a model, unless --no-format-check is given', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/model.bin', { content: textContent('<!doctype html><form action="/login">') })
    const args = ['get', origin.url('/model.bin')]
    const refused = await run(args, { cwd: folder.path })
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/HTML page.*CONTENT_MISMATCH/)
    expect(await readdir(folder.path)).toEqual([])
    expect((await run([...args, '--no-format-check'], { cwd: folder.path })).code).toBe(0)
    expect(await readdir(folder.path)).toEqual(['model.bin'])
  })

  it('publishes nothing when the digest is another', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content: randomContent(MiB) })
    const ended = await run([
      'get',
      origin.url('/a.bin'),
      '-d',
      folder.path,
      '--sha256',
      'a'.repeat(64),
      '--quiet',
    ])
    expect(ended.code).toBe(1)
    expect(ended.stderr).toContain('(CHECKSUM_MISMATCH)')
    expect(await readdir(folder.path)).toEqual([])
  })

  it('fails one of two URLs that would write the same file', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    for (const place of ['/a/same.bin', '/b/same.bin'])
      origin.serve(place, { content: randomContent(MiB, place) })
    const ended = await run([
      'get',
      origin.url('/a/same.bin'),
      origin.url('/b/same.bin'),
      '-d',
      folder.path,
      '--json',
    ])
    expect(ended.code).toBe(1)
    const last = jsonLines(ended.stdout).filter(({ type }) => type === 'completed' || type === 'failed')
    expect(last.map(({ type, code }) => [type, code]).sort()).toEqual([
      ['completed', undefined],
      ['failed', 'CONFLICT'],
    ])
  })

  it('fails, without a stack, when the folder is a file', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/a.bin', { content: randomContent(MiB) })
    await writeFile(path.join(folder.path, 'file'), '')
    const ended = await run(['get', origin.url('/a.bin'), '-d', path.join(folder.path, 'file')])
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(/^error: .* \([A-Z_]+\)$/m)
    expect(ended.stderr).not.toMatch(/INTERNAL|\n\s+at /)
  })
})

describe('get --json', () => {
  it('ends each URL with completed or failed, their fields in order', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const content = randomContent(2 * MiB)
    origin.serve('/good.bin', { content, bytesPerSecond: 2 * MiB })
    await mkdir(path.join(folder.path, 'd'))
    const good = origin.url('/good.bin')
    const missing = origin.url('/missing.bin')
    const ended = await run(['get', good, missing, '-d', path.join(folder.path, 'd'), '--json'])
    expect(ended.code).toBe(1)
    const lines = jsonLines(ended.stdout)
    const of = (url: string) => lines.filter((line) => line['url'] === url)
    const completed = of(good).at(-1) ?? {}
    expect(Object.keys(completed).slice(0, 6)).toEqual(['type', 'url', 'path', 'size', 'sha256', 'verified'])
    expect(completed).toMatchObject({
      type: 'completed',
      path: path.join(folder.path, 'd', 'good.bin'),
      size: content.size,
      sha256: content.sha256(),
      verified: false,
    })
    const failed = of(missing).at(-1) ?? {}
    expect(Object.keys(failed)).toEqual(['type', 'url', 'code', 'message'])
    expect(failed).toMatchObject({ type: 'failed', code: 'NOT_FOUND' })
    expect(ended.stderr).toMatch(/^error: .* \(NOT_FOUND\)\n$/)

    const types = of(good).map(({ type }) => type)
    expect(types.slice(0, 2)).toEqual(['queued', 'started'])
    const progress = of(good).filter(({ type }) => type === 'progress')
    expect(progress.length).toBeGreaterThan(1)
    const downloaded = progress.map((line) => Number(line['downloaded']))
    expect(downloaded).toEqual([...downloaded].sort((a, b) => a - b))
    expect(downloaded.at(-1)).toBe(content.size)
  })

  it('tells of retries', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    origin.serve('/a.bin', {
      content: randomContent(100_000),
      faults: [{ type: 'status', status: 503, times: 1 }],
    })
    const ended = await run(['get', origin.url('/a.bin'), '-d', folder.path, '--json'])
    expect(ended.code).toBe(0)
    expect(jsonLines(ended.stdout)).toContainEqual({
      type: 'retrying',
      url: origin.url('/a.bin'),
      attempt: expect.any(Number),
      delayMs: expect.any(Number),
      code: expect.any(String),
      message: expect.any(String),
    })
  })

  it('goes on to the end when the reader goes away', async () => {
    await using folder = await temporaryFolder()
    await using origin = await startOrigin()
    const content = randomContent(2 * MiB)
    origin.serve('/a.bin', { content, bytesPerSecond: 2 * MiB })
    const running = start(['get', origin.url('/a.bin'), '-d', folder.path, '--json', '--connections', '1'])
    await waitFor(() => running.stdout.includes('progress'), { what: 'progress' })
    running.child.stdout?.destroy()
    const ended = await running.ended
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect((await readFile(path.join(folder.path, 'a.bin'))).length).toBe(content.size)
  })
})
