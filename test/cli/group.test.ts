/** Groups from the command line: one bar, one line, and what a kill costs. */
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KiB, MiB } from '../faults/harness.js'
import { expectFiles } from '../manager/group-scene.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { jsonLines, run, start, type Ended } from './run.js'

const ref = 'hf:owner/model'
const files = {
  'README.md': textContent('hello'),
  'config.json': textContent('{}'),
  'a.bin': randomContent(200 * KiB, 'a'),
  'big/b.bin': randomContent(6 * MiB, 'b'),
}
const total = Object.values(files).reduce((sum, { size }) => sum + size, 0)

describe('get of a group', () => {
  it('tells of it as one, with its files in the end', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const directory = tempDir('cli-group')
    const { code, stdout, stderr } = await run(['get', ref, '-d', directory, '--json'], {
      env: { HF_ENDPOINT: hub.url },
    })
    expect(code, stderr).toBe(0)
    const lines = jsonLines(stdout)
    expect(lines.filter(({ type }) => type === 'completed')).toEqual([
      expect.objectContaining({ url: ref, path: join(directory, 'model'), size: total, fetchedBytes: total }),
    ])
    const { files: told } = lines.at(-1) as { files: { path: string; sha256: string }[] }
    const digests = Object.entries(files).map(([path, content]) => [path, content.sha256()])
    expect(Object.fromEntries(told.map(({ path, sha256 }) => [path, sha256]))).toEqual(
      Object.fromEntries(digests),
    )
    expect(lines.findLast(({ type }) => type === 'progress')).toMatchObject({
      fileCount: 4,
      filesCompleted: 4,
    })
    await expectFiles(
      directory,
      Object.fromEntries(Object.entries(files).map(([path, one]) => [`model/${path}`, one])),
    )
  })

  it('prints the folder, takes globs and a name for it', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const directory = tempDir('cli-group')
    const args = ['get', ref, '-d', directory, '-o', 'mine', '--include', '*.json', '--include', '*.bin']
    const { code, stdout, stderr } = await run([...args, '--exclude', 'big/'], {
      env: { HF_ENDPOINT: hub.url },
    })
    expect(code, stderr).toBe(0)
    expect(stdout).toBe(`${join(directory, 'mine')}\n`)
    expect(await listTree(directory)).toEqual(['mine/', 'mine/a.bin', 'mine/config.json'])
    const wrong = await run(['get', `${hub.url}/x.bin`, '--include', '*'], { cwd: directory })
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('include')
  })

  it('names what is missing, and fetches only that the next time', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    hub.cdnBehaviour = { status: 404 }
    const directory = tempDir('cli-group')
    const options = { env: { HF_ENDPOINT: hub.url } }
    const first = await run(['get', ref, '-d', directory], options)
    expect(first.code).toBe(1)
    expect(first.stderr).toContain('GROUP_INCOMPLETE')
    expect(first.stderr).toMatch(/missing: a\.bin: .*\(NOT_FOUND\)/)
    expect(first.stderr).toMatch(/missing: big\/b\.bin: /)
    hub.cdnBehaviour = {}
    hub.origin.clearRequests()
    const second = await run(['get', ref, '-d', directory], options)
    expect(second.code, second.stderr).toBe(0)
    const asked = hub.origin.requests().filter(({ path }) => path.includes('/resolve/'))
    expect(asked.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)).sort()).toEqual(['a.bin', 'b.bin'])
    expect((await listTree(directory)).filter((path) => path.startsWith('.'))).toEqual([])
  })

  it('goes on after kill -9 with the commit that it began with, and fetches only what is missing', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files, gated: 'manual' })
    hub.allow('hf_canary', ['owner/model'])
    const directory = tempDir('cli-group')
    const args = ['get', ref, '-d', directory, '--json', '--connections', '2']
    const env = { HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_canary' }
    const first = await killInTheMiddle(hub, args, env)
    const remembered = join(directory, '.model-downloader', 'get')
    const [folder = ''] = await readdir(remembered)
    const [name = ''] = await readdir(join(remembered, folder))
    const record = await readFile(join(remembered, folder, name), 'utf8')
    expect(record).not.toMatch(/hf_canary|Signature/)

    const second = await goOn(hub, args, env)
    await expectFiles(join(directory, 'model'), files)
    expect(await listTree(directory)).not.toContain('.model-downloader/')
    expect(first.stdout + first.stderr + second.stdout + second.stderr).not.toContain('hf_canary')
    expect(JSON.stringify(hub.cdn.requests().map(({ headers }) => headers))).not.toContain('hf_canary')
  })
})

describe('get without a network', () => {
  it('answers from disk what it has once completed, and makes no request with --offline', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const directory = tempDir('cli-offline')
    const env = { HF_ENDPOINT: hub.url, XDG_CACHE_HOME: tempDir('cli-cache') }
    const refs = [ref, 'hf:owner/model/a.bin']
    const args = ['get', ...refs, '-d', directory, '--json']
    expect((await run(args, { env })).code).toBe(0)
    expect((await listTree(directory)).filter((path) => path.startsWith('.'))).toEqual([])
    const before = hub.origin.totalConnections
    for (const how of [{ flag: ['--offline'] }, { env: { HF_HUB_OFFLINE: '1' } }, { flag: [] }]) {
      if (how.flag?.length === 0) hub.origin.stopListening()
      const again = await run([...args, ...(how.flag ?? [])], { env: { ...env, ...how.env } })
      expect(again.code, again.stderr).toBe(0)
      const lines = jsonLines(again.stdout)
      const done = lines.filter(({ type }) => type === 'completed')
      expect(done.map(({ url, stale, existed, verified }) => [url, stale, existed, verified]).sort()).toEqual(
        [
          [ref, true, true, true],
          [refs[1], true, true, true],
        ],
      )
      expect(lines.filter(({ type, level }) => type === 'retrying' || level === 'error')).toEqual([])
      expect(lines.find(({ level }) => level === 'warn')).toBeDefined()
    }
    const dry = await run([...args, '--dry-run', '--offline'], { env })
    expect(dry.code, dry.stderr).toBe(0)
    await writeFile(join(directory, 'a.bin'), 'changed')
    const changed = await run(['get', refs[1] ?? '', '-d', directory, '--offline'], { env })
    expect([changed.code, changed.stderr]).toEqual([1, expect.stringContaining('(OFFLINE)')])
    const unknown = await run(['get', 'hf:owner/other', '-d', directory, '--offline'], { env })
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringMatching(/--offline.*\(OFFLINE\)/)])
    expect(hub.origin.totalConnections).toBe(before)
  })
})

describe('preload of a repository', () => {
  it('succeeds without a network when the models are ready', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const directory = tempDir('cli-offline')
    const catalog = join(directory, 'models.json')
    const models = [
      { key: 'group', ref, mode: null },
      { key: 'one', ref: 'hf:owner/model/a.bin', sha256: files['a.bin'].sha256() },
      { key: 'cached', ref: 'hf:owner/model/big/b.bin', mode: null },
    ]
    await writeFile(catalog, JSON.stringify(models))
    const args = ['preload', catalog, '-d', join(directory, 'models'), '--json']
    const env = { HF_ENDPOINT: hub.url }
    const first = await run(args, { env })
    expect(first.code, first.stderr).toBe(0)
    hub.origin.stopListening()
    // The digests are checked again, without the source.
    await utimes(join(directory, 'models', 'llm', 'a.bin'), 1, 1)
    await utimes(join(directory, 'models', 'model', 'a.bin'), 1, 1)
    const again = await run(args, { env })
    expect(again.code, again.stderr).toBe(0)
    const done = jsonLines(again.stdout).filter(({ type }) => type === 'completed')
    expect(done.map(({ key }) => key).sort()).toEqual(['cached', 'group', 'one'])
    const cache = tempDir('cli-hub')
    const inCache = ['preload', catalog, '--layout', 'hf-cache', '--json', '--models', 'cached']
    const cached = { env: { ...env, HF_HUB_CACHE: cache }, cwd: directory }
    await hub.origin.listenAgain()
    expect((await run(inCache, cached)).code).toBe(0)
    hub.origin.stopListening()
    const later = await run(inCache, cached)
    expect([later.code, jsonLines(later.stdout).at(-1)?.['path']]).toEqual([
      0,
      expect.stringMatching(/models--owner--model.snapshots.[0-9a-f]{40}.big.b\.bin$/),
    ])
    expect(await listTree(directory)).not.toContain('models/llm/b.bin.part')
    const offline = await run([...args, '--offline', '--force'], { env })
    expect([offline.code, offline.stderr]).toEqual([1, expect.stringContaining('OFFLINE')])
    const after = await run([...args, '--offline'], { env })
    expect(after.code, after.stderr).toBe(0)
  })

  it('goes on after kill -9 with the commit that it began with, and fetches only what is missing', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const directory = tempDir('cli-group')
    const catalog = join(directory, 'models.json')
    await writeFile(catalog, JSON.stringify([{ key: 'llm', ref, mode: null }]))
    const args = ['preload', catalog, '-d', directory, '--json']
    const env = { HF_ENDPOINT: hub.url }
    await killInTheMiddle(hub, args, env)
    await goOn(hub, args, env)
    await expectFiles(join(directory, 'model'), files)
    expect(await listTree(directory)).not.toContain('.model-downloader/preload/')
  })
})

type Env = Record<string, string>

/** Runs the command against a slow hub, and kills it when most of the bytes have come. */
async function killInTheMiddle(hub: Hub, args: string[], env: Env): Promise<Ended> {
  hub.cdnBehaviour = { bytesPerSecond: 2 * MiB }
  const killed = start(args, { env })
  await waitFor(() => hub.cdn.bytesSent() > 4 * MiB, { timeoutMs: 20_000, what: 'some bytes' })
  killed.child.kill('SIGKILL')
  return await killed.ended
}

/**
 * The branch has moved and all links have expired: the same command fetches the missing files of the original
 * commit.
 */
async function goOn(hub: Hub, args: string[], env: Env): Promise<Ended> {
  hub.commit('owner/model', { ...files, 'config.json': textContent('[]') })
  hub.expireLinks()
  hub.cdnBehaviour = {}
  const again = await run(args, { env })
  expect(again.code, again.stderr).toBe(0)
  const done = jsonLines(again.stdout).at(-1)
  expect(done).toMatchObject({ type: 'completed', url: ref })
  expect(Number(done?.['fetchedBytes'])).toBeLessThan(3 * MiB)
  return again
}
