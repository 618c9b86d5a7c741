/** Many URLs at once: lists, names, and the folders of their sources. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { jsonLines, run } from './run.js'

describe('get with a list', () => {
  it('takes the options of each URL, from a file as PowerShell writes it', async () => {
    await using origin = await startOrigin()
    const [a, b, c] = [randomContent(100_000, 'a'), randomContent(100_000, 'b'), randomContent(100_000, 'c')]
    origin.serve('/1/model.bin', { content: a, auth: 'Bearer t' })
    origin.serve('/2/model.bin', { content: b })
    origin.serve('/3/model.bin', { content: c })
    const cwd = tempDir('cli-list')
    const list = [
      '# models',
      origin.url('/1/model.bin'),
      '  out=one.bin',
      '\tdir=sub',
      `  sha256=${a.sha256()}`,
      '  header=Authorization: Bearer t',
      '',
      JSON.stringify({ url: origin.url('/2/model.bin'), mode: 'llm', filename: 'two.bin', sha256: null }),
    ]
    await writeFile(join(cwd, 'list.txt'), Buffer.from(`\ufeff${list.join('\r\n')}`, 'utf16le'))
    const named = `three=x.bin=${origin.url('/3/model.bin')}`
    const args = ['-i', 'list.txt', '--input-file', '-', named, '--json', '-d', 'models']
    const input = Buffer.from(`${origin.url('/2/model.bin')}\n  out=two.bin\n  mode=llm\n`)
    const ended = await run(args, { cwd, input })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(await listTree(join(cwd, 'models'))).toEqual([
      'llm/',
      'llm/two.bin',
      'sub/',
      'sub/one.bin',
      'three=x.bin',
    ])
    expect(await readFile(join(cwd, 'models/three=x.bin'))).toEqual(Buffer.from(c.slice(0, c.size)))
    const done = jsonLines(ended.stdout).filter(({ type }) => type === 'completed')
    expect(done.find(({ url }) => url === origin.url('/1/model.bin'))).toMatchObject({ verified: true })
  })

  it('keeps the records of refs with different options apart', async () => {
    await using hub = await startHub()
    const files = { 'a.json': textContent('{}'), 'b.json': textContent('[]'), 'c.bin': randomContent(1000) }
    hub.add('owner/model', { files })
    const directory = tempDir('cli-list')
    const env = { HF_ENDPOINT: hub.url, XDG_CACHE_HOME: tempDir('cli-list-cache') }
    for (const name of ['one', 'two']) {
      const input = Buffer.from(`hf:owner/model\n out=${name}\n include=*.json\n`)
      expect(await run(['-i', '-', '-d', directory], { env, input })).toMatchObject({ code: 0 })
    }
    expect(await listTree(directory)).toEqual([
      ...['one/', 'one/a.json', 'one/b.json'],
      ...['two/', 'two/a.json', 'two/b.json'],
    ])
  })

  it.each([
    ['a mistake in the list', 'URL\n  nope=1\n', 2, /standard input, line 2: "nope" is not an option/],
    ['what is no URL', 'URL\n\n\nnot a url\n', 2, /standard input, line 4: .*INVALID_URL/],
    ['an option that a request refuses', 'URL\n  out=CON\n', 2, /standard input, line 1: .*UNSAFE_FILENAME/],
    ['a field of the wrong type', '{"url":"URL","size":"big"}\n', 2, /line 1: .*size.*INVALID_OPTIONS/],
    ['a header of the engine', 'URL\n  header=Range: bytes=0-1\n', 2, /line 1: .*INVALID_OPTIONS/],
    ['no text', '\xff\xfe\x00', 2, /line 1: .*UTF-8/],
    ['nothing', '# nothing\n', 0, /names no URL/],
  ])('ends before any request with %s', async (_name, text, code, message) => {
    await using origin = await startOrigin()
    const input = Buffer.from(text.replace('URL', origin.url('/a.bin')), 'latin1')
    const ended = await run(['get', '-i', '-', '-d', tempDir('cli-list')], { input })
    expect(ended).toMatchObject({ code, stdout: '' })
    expect(ended.stderr.replace(/\s+/g, ' ')).toMatch(message)
    expect(origin.requests()).toEqual([])
  })

  it('says which list is missing', async () => {
    const ended = await run(['get', '-i', 'missing.txt'])
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringMatching(/missing.txt.*ENOENT/) })
  })
})

describe('two files of one name', () => {
  it('are told apart by their folders with --keep-paths, which the message of a conflict names', async () => {
    await using origin = await startOrigin()
    for (const at of ['/o/1/model.bin', '/o/2/model.bin'])
      origin.serve(at, { content: randomContent(50_000, at) })
    const urls = [origin.url('/o/1/model.bin'), origin.url('/o/2/model.bin')]
    const directory = tempDir('cli-keep')
    const refused = await run(['get', ...urls, '-d', directory])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/model\.bin.*NAME=URL.*--keep-paths.*\(CONFLICT\)/)
    const chinese = await run(['get', ...urls, '-d', directory, '--locale', 'zh-CN'])
    expect(chinese.stderr).toMatch(/model\.bin；请用 NAME=URL .*--keep-paths/)
    const kept = await run(['get', ...urls, '-d', directory, '--mode', 'llm', '--keep-paths'])
    expect(kept.code, kept.stderr).toBe(0)
    expect(await listTree(join(directory, 'llm'))).toEqual([
      ...['o/', 'o/1/', 'o/1/model.bin'],
      ...['o/2/', 'o/2/model.bin'],
    ])
  })

  it('keep the repositories of refs, for a file, for a quantisation and for all files, again and again', async () => {
    await using hub = await startHub()
    const gguf = (name: string) => randomContent(10_000, name)
    for (const owner of ['one', 'two'])
      hub.add(`${owner}/model`, {
        files: { 'sub/x.bin': gguf(owner), 'm-Q4_K_M.gguf': gguf(`${owner}q`), 'c.json': textContent('{}') },
      })
    const directory = tempDir('cli-keep')
    const env = { HF_ENDPOINT: hub.url, XDG_CACHE_HOME: tempDir('cli-keep-cache') }
    const refs = ['hf:one/model/sub/x.bin', 'hf:one/model:Q4_K_M', 'hf:two/model']
    const args = ['get', ...refs, '--keep-paths', '-d', directory, '--no-format-check', '--no-adopt']
    const expected = [
      ...['one/', 'one/model/', 'one/model/m-Q4_K_M.gguf', 'one/model/sub/', 'one/model/sub/x.bin'],
      ...['two/', 'two/model/', 'two/model/c.json', 'two/model/m-Q4_K_M.gguf'],
      ...['two/model/sub/', 'two/model/sub/x.bin'],
    ]
    for (const offline of [[], [], ['--offline']]) {
      const ended = await run([...args, ...offline], { env })
      expect(ended.code, ended.stderr).toBe(0)
      expect(await listTree(directory)).toEqual(expected)
    }
  })
})
