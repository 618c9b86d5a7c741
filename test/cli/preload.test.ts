import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { startOrigin } from '../support/origin.js'
import { spawnCli } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { jsonLines, run, runBuilt } from './run.js'
import { MiB, serveModel, startServe, startServeProcess, writeCatalog, type Model } from './serving.js'

describe('preload', () => {
  it('brings all models to disk, prints their paths, and fetches nothing the next time', async () => {
    await using origin = await startOrigin()
    const [a, b, c] = ['a', 'b', 'c'].map((key) => serveModel(origin, key, MiB)) as [Model, Model, Model]
    const file = writeCatalog([a.entry, { ...b.entry, mode: 'embed' }, { ...c.entry, mode: 'vision' }])
    const cwd = tempDir('preload')
    const first = await runBuilt(['preload', file], { cwd })
    expect(first).toMatchObject({ code: 0 })
    const paths = ['llm/a.gguf', 'embed/b.gguf', 'vision/c.gguf'].map((name) =>
      path.join(cwd, 'models', name),
    )
    expect(first.stdout.split('\n').filter(Boolean).sort()).toEqual([...paths].sort())
    for (const key of ['a', 'b', 'c'])
      expect(first.stderr).toMatch(
        new RegExp(`^done: \\S+/${key}\\.gguf: 1\\.0 MB in .*, sha256 verified$`, 'm'),
      )
    expect(first.stderr).toMatch(/^3 of 3 files, 3\.1 MB fetched in /m)
    for (const [at, model] of [a, b, c].entries()) {
      const content = await readFile(paths[at] ?? '')
      expect(content.equals(model.content.slice(0, model.content.size))).toBe(true)
    }

    origin.clearRequests()
    const second = await run(['preload', file], { cwd })
    expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('a.gguf') })
    expect(second.stderr).toMatch(/a\.gguf: 1\.0 MB, already exists, sha256 verified$/m)
    expect(second.stderr).toMatch(/^3 of 3 files, 0 B fetched in /m)
    expect(origin.requests()).toEqual([])

    const forced = await run(['preload', file, '--force', '--models', 'b, a', '--quiet'], { cwd })
    expect(forced).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(new Set(origin.requests().map((request) => request.path))).toEqual(new Set([a.path, b.path]))
  })

  it('tells everything in JSON, with the keys', async () => {
    await using origin = await startOrigin()
    const there = serveModel(origin, 'there', 10_000)
    const fresh = serveModel(origin, 'fresh', MiB)
    const directory = tempDir('preload')
    await mkdir(path.join(directory, 'llm'))
    await writeFile(path.join(directory, 'llm', 'there.gguf'), there.content.slice(0, 10_000))
    const known = { key: there.entry.key, url: there.entry.url }
    const file = writeCatalog([
      known,
      fresh.entry,
      { key: 'later', url: origin.url('/later.gguf'), auto_download: false },
      { key: 'gone', url: origin.url('/gone.gguf') },
    ])
    const ended = await run(['preload', file, '-d', directory, '--json'])
    expect(ended.code).toBe(1)
    const lines = jsonLines(ended.stdout)
    const last = Object.fromEntries(
      ['there', 'fresh', 'later', 'gone'].map((key) => [
        key,
        lines.filter((line) => line['key'] === key).at(-1),
      ]),
    )
    expect(last['there']).toEqual({
      type: 'completed',
      url: known.url,
      path: path.join(directory, 'llm', 'there.gguf'),
      size: 10_000,
      sha256: null,
      verified: false,
      verification: null,
      existed: true,
      fetchedBytes: 0,
      adoptedFrom: null,
      key: 'there',
    })
    expect(last['fresh']).toMatchObject({
      type: 'completed',
      sha256: fresh.entry.sha256,
      verified: true,
      existed: false,
      fetchedBytes: MiB,
    })
    expect(last['later']).toBeUndefined()
    expect(last['gone']).toMatchObject({ type: 'failed', code: 'NOT_FOUND' })
    expect(lines.filter(({ type }) => type === 'completed' || type === 'failed')).toHaveLength(3)
    expect(ended.stderr).toMatch(/^error: .*gone\.gguf: .* \(NOT_FOUND\)\n$/)
  })

  it('ends with 0 when only what is not required failed, and says so', async () => {
    await using origin = await startOrigin()
    const a = serveModel(origin, 'a', 10_000)
    const file = writeCatalog([a.entry, { key: 'b', url: origin.url('/b.gguf'), required: false }])
    const ended = await run(['preload', file, '-d', tempDir('preload')])
    expect(ended.code).toBe(0)
    expect(ended.stderr).toMatch(/^error: .*b\.gguf: .*\(NOT_FOUND\)$/m)
    expect(ended.stderr).toMatch(/^1 of 2 files, 1 failed/m)
  })

  it('checks a file that somebody put there, and replaces it when it is another one', async () => {
    await using origin = await startOrigin()
    const right = serveModel(origin, 'right', MiB)
    const wrong = serveModel(origin, 'wrong', MiB)
    const directory = tempDir('preload')
    await mkdir(path.join(directory, 'llm'))
    for (const name of ['right', 'wrong'])
      await writeFile(path.join(directory, 'llm', `${name}.gguf`), right.content.slice(0, MiB))
    const ended = await run(['preload', writeCatalog([right.entry, wrong.entry]), '-d', directory])
    expect(ended.code).toBe(0)
    expect(origin.requests(right.path)).toEqual([])
    const file = await readFile(path.join(directory, 'llm', 'wrong.gguf'))
    expect(file.equals(wrong.content.slice(0, MiB))).toBe(true)
  })

  it('leaves what a server still has to do alone, and tells it what is complete', async () => {
    await using origin = await startOrigin()
    const model = serveModel(origin, 'model', MiB)
    const slow = serveModel(origin, 'slow', 2 * MiB, { bytesPerSecond: 100_000 })
    const file = writeCatalog([model.entry])
    const directory = tempDir('preload')
    const first = await startServe(['--allow-private-network', '--catalog', file], { directory })
    await first.client.download({ url: slow.entry.url, priority: 3 })
    await origin.waitForBytes(slow.path, 100_000)
    await first.process.kill('SIGTERM')

    const ended = await run(['preload', file, '-d', directory])
    expect(ended.code).toBe(0)
    expect(ended.stdout).toBe(`${path.join(directory, 'llm', 'model.gguf')}\n`)
    await using second = await startServe(['--catalog', file], { directory })
    expect(await second.client.status(slow.entry.url)).toMatchObject({ status: 'downloading' })
    expect(await second.client.status(model.entry.url)).toMatchObject({ state: 'completed', verified: true })
    expect(await second.client.modelsStatus()).toMatchObject({
      models: { model: { ready: true } },
      any_missing: false,
    })
    expect(await second.client.preload.status()).toMatchObject({ running: false, started_at: null })
  })
})

describe('preload, interrupted', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGKILL', null],
  ] as const)('by %s goes on where it was when it is run again', async (signal, code) => {
    await using origin = await startOrigin()
    const models = ['a', 'b'].map((key) => serveModel(origin, key, 4 * MiB, { bytesPerSecond: MiB / 4 }))
    const args = [
      'preload',
      writeCatalog(models.map(({ entry }) => entry)),
      '-d',
      tempDir('preload'),
      '--json',
    ]
    await using first = spawnCli(args)
    for (const model of models) await origin.waitForBytes(model.path, 1.5 * MiB, 10_000)
    const ended = await first.kill(signal)
    expect(ended.code).toBe(code)
    if (code !== null) {
      expect(ended.stderr).toMatch(
        /^Interrupted\. [\d.]+ MB kept on disk; run the same command again to resume\.\n$/,
      )
      for (const { entry } of models) {
        const last = jsonLines(ended.stdout).filter(({ key }) => key === entry.key)
        expect(last.at(-1)).toMatchObject({ type: 'failed', code: 'CLOSED', url: entry.url })
      }
    }
    await waitFor(() => origin.activeRequests === 0, { what: 'the origin to notice' })
    const sent = models.map((model) => origin.bytesSent(model.path))
    for (const { content, path: at } of models) origin.serve(at, { content })
    origin.clearRequests()
    const again = await run(args)
    expect(again).toMatchObject({ code: 0, stderr: '' })
    models.forEach((model, index) => {
      for (const { range } of origin.requests(model.path)) expect(range?.start ?? 0).toBeGreaterThan(0)
      expect((sent[index] ?? 0) + origin.bytesSent(model.path)).toBeLessThan(5.5 * MiB)
    })
  })
})

describe('preload beside a serve of the same directory', () => {
  it('says that another one is at it, and leaves that one alone', async () => {
    await using origin = await startOrigin()
    const model = serveModel(origin, 'model', 4 * MiB, { bytesPerSecond: MiB / 8 })
    const file = writeCatalog([model.entry])
    const directory = tempDir('preload')
    await using serving = await startServeProcess(['--catalog', file], { directory })
    await serving.client.preload.start()
    await origin.waitForBytes(model.path, MiB / 2)
    const ended = await run(['preload', file, '-d', directory])
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(/^error: .*model\.gguf: .* \(TARGET_LOCKED\)$/m)
    expect(ended.stderr).toMatch(
      /Another process, perhaps a running `serve`, is downloading to the same location/,
    )
    expect(await serving.client.preload.status()).toMatchObject({ running: true })

    // If killed now, the server resumes afterwards, since its own state was not touched.
    await serving.process.kill('SIGKILL')
    origin.serve(model.path, { content: model.content })
    await using again = await startServe(['--catalog', file], { directory })
    expect(await again.preloaded()).toMatchObject({ success_flag: true })
    expect(await listTree(path.join(directory, 'llm'))).toEqual(['model.gguf'])
  })
})

describe('preload, asked in a wrong way', () => {
  it.each<[string, string[], RegExp]>([
    ['no catalog', [], /missing required argument 'catalog'/],
    ['two', ['FILE', 'FILE'], /too many arguments/],
    ['a catalog that is not there', ['nope.json'], /nope\.json: there is no such file/],
    ['a folder', ['.'], /it is not a file/],
    ['an unknown key', ['FILE', '--models', 'a,nope'], /the catalog has no model "nope"/],
    ['no keys', ['FILE', '--models', ','], /Expected keys of the catalog/],
    ['an unknown option', ['FILE', '--fast'], /unknown option/],
  ])('ends with 2 for %s', async (_name, args, message) => {
    await using origin = await startOrigin()
    const file = writeCatalog([serveModel(origin, 'a', 10_000).entry])
    const cwd = tempDir('usage')
    const ended = await run(['preload', ...args.map((arg) => arg.replace('FILE', file))], { cwd })
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr.replace(/\s+/g, ' ')).toMatch(message)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
    expect(origin.requests()).toEqual([])
    expect(await listTree(cwd)).toEqual([])
  })

  it.each(['hf:owner', 'nobody:knows', '@nobody/knows', 'nobody knows', 'https://host/owner%3Arepo.x'])(
    'ends with 2 for the ref %s, as serve does, and downloads nothing',
    async (ref) => {
      await using origin = await startOrigin()
      const cwd = tempDir('usage')
      const file = writeCatalog([serveModel(origin, 'a', 10_000).entry, { key: 'x', ref }])
      for (const args of [
        ['preload', file],
        ['serve', '--port', '0', '--catalog', file],
      ]) {
        const ended = await run(args, { cwd })
        expect(ended).toMatchObject({ code: 2, stdout: '' })
        expect(ended.stderr.replace(/\s+/g, ' ')).toContain('models.1.ref: ')
        expect(ended.stderr).not.toMatch(/\n\s+at /)
      }
      expect(origin.requests()).toEqual([])
      expect(await listTree(cwd)).toEqual([])
    },
  )

  it('ends with 0 for a catalog of nothing', async () => {
    const ended = await run(['preload', writeCatalog([])], { cwd: tempDir('usage') })
    expect(ended).toMatchObject({ code: 0, stdout: '' })
    expect(ended.stderr).toMatch(/^note: No model .* --models\.\n$/)
  })
})
