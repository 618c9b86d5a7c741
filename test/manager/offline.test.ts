/** FAULTS.md row 67: a ref that is complete on disk is answered from there while its source can't be reached. */
import { rm, utimes, writeFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Download, DownloadManager, DownloadManagerOptions, DownloadOptions } from '../../src/index.js'
import { arrives, fails, makeManager } from '../faults/harness.js'
import { withHome } from '../layouts/home.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import type { Resource } from '../support/origin.js'
import { listTree } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'
import { expectFiles, managerOf, startScene, type GroupScene } from './group-scene.js'

const file = 'hf:owner/model/model.gguf'
const group = 'hf:owner/model'
const files = {
  'model.gguf': ggufContent(40_000, 'm'),
  'config.json': textContent('{"a":1}'),
  'onnx/x.bin': randomContent(20_000, 'x'),
}

/** A folder that an earlier process has filled; its manager is closed. */
async function filled(
  wanted: DownloadOptions,
  options: DownloadManagerOptions = { store: 'file' },
): Promise<GroupScene> {
  const scene = await startScene(options)
  scene.hub.add('owner/model', { files })
  await arrives(await scene.manager.download(wanted))
  await scene.manager.close()
  const { hub } = scene
  connectionsBefore.set(hub, hub.origin.totalConnections + hub.cdn.totalConnections)
  return scene
}

interface Answer {
  download: Download
  logs: string[]
  retries: string[]
}

/** Requests a ref of a new manager of the folder, and waits for its end. */
async function ask(
  { hub, directory }: Pick<GroupScene, 'hub' | 'directory'>,
  wanted: DownloadOptions,
  options: DownloadManagerOptions = {},
): Promise<Answer> {
  await using manager = managerOf(hub, directory, { store: 'file', ...options })
  return await asked(manager, wanted)
}

async function asked(manager: DownloadManager, wanted: DownloadOptions): Promise<Answer> {
  const logs: string[] = []
  const retries: string[] = []
  manager.on('log', ({ level, message }) => logs.push(`${level}: ${message}`))
  manager.on('retrying', ({ error }) => retries.push(error.code))
  const download = await manager.download(wanted)
  await withTimeout(
    download.finished.catch(() => undefined),
    10_000,
    'the end of the download',
  )
  return { download, logs, retries }
}

/** Connections since {@link filled}. */
const connectionsOf = ({ hub }: GroupScene) =>
  hub.origin.totalConnections + hub.cdn.totalConnections - (connectionsBefore.get(hub) ?? 0)

const connectionsBefore = new WeakMap<object, number>()

const before = { hub: process.env['HF_HUB_OFFLINE'], tf: process.env['TRANSFORMERS_OFFLINE'] }

afterEach(() => {
  for (const [name, value] of [
    ['HF_HUB_OFFLINE', before.hub],
    ['TRANSFORMERS_OFFLINE', before.tf],
  ] as const) {
    if (value === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = value
  }
})

describe('a source that can not be reached', () => {
  it.each([
    ['a file', { url: file }],
    ['a file by its quantisation', { url: 'hf:owner/model:Q4_K_M' }],
    ['a group', { url: group }],
    ['a file in a cache', { url: file, layout: 'hf-cache' as const }],
    ['a group in a cache', { url: group, layout: 'hf-cache' as const }],
  ])('row 67: is answered from disk after one try: %s', async (_, wanted) => {
    await using scene = await startScene({ store: 'file' })
    scene.hub.add('owner/model', { files: { ...files, 'model-Q4_K_M.gguf': ggufContent(30_000, 'q') } })
    const first = await arrives(await scene.manager.download(wanted))
    await scene.manager.close()
    scene.hub.origin.stopListening()
    const { download, logs, retries } = await ask(scene, wanted)
    expect(download.error).toBeNull()
    expect(download.file).toMatchObject({
      path: first.path,
      size: first.size,
      existed: true,
      fetchedBytes: 0,
    })
    expect(download.verified).toBe(first.verified)
    expect(download.sha256).toBe(first.sha256)
    expect([download.stale, download.current.stale, download.file?.stale]).toEqual([true, true, true])
    expect(logs.join('\n')).toMatch(/warn: The source can't be reached: .*The files on disk are complete/)
    expect(retries).toEqual([])
    // The mark outlives the process, and goes when the source answers again.
    await scene.hub.origin.listenAgain()
    await using again = managerOf(scene.hub, scene.directory, { store: 'file' })
    await again.ready
    expect(again.get(wanted.url)?.stale).toBe(true)
    const fresh = await again.download(wanted)
    await arrives(fresh)
    expect(fresh.stale).toBe(false)
    expect(fresh.current).not.toHaveProperty('stale')
  })

  const portal = textContent('<!doctype html><html><title>Sign in to the network</title></html>')
  it.each<[string, () => Resource]>([
    ['500', () => ({ status: 500 })],
    ['503', () => ({ status: 503, headers: { 'retry-after': '600' } })],
    ['429', () => ({ status: 429, headers: { 'retry-after': '600' } })],
    ['511', () => ({ status: 511, content: portal })],
    ['a captive portal', () => ({ content: portal, contentType: 'text/html' })],
    ['a redirect to a captive portal', () => ({ redirect: 'http://127.0.0.1:9/login' })],
  ])('row 67: is answered from disk when the hub answers with %s', async (_, answer) => {
    await using scene = await filled({ url: group })
    await using manager = managerOf(scene.hub, scene.directory, { store: 'file' })
    scene.hub.origin.serve('*', answer)
    const { download } = await asked(manager, { url: group })
    expect([download.error, download.stale]).toEqual([null, true])
  })

  it('row 67: does not take a captive portal for a description of a file', async () => {
    await using scene = await filled({ url: file })
    scene.hub.origin.serve('*', () => ({ redirect: `${scene.hub.cdn.origin}/login` }))
    scene.hub.cdn.serve('*', () => ({ content: portal, contentType: 'text/html' }))
    const { download } = await ask(scene, { url: file })
    expect([download.error, download.stale, download.verified]).toEqual([null, true, true])
  })

  it.each([
    ['404', 404, 'NOT_FOUND'],
    ['401', 401, 'ACCESS_DENIED'],
    ['403', 403, 'ACCESS_DENIED'],
  ])('an answer is told: %s', async (_, status, code) => {
    await using scene = await filled({ url: group })
    scene.hub.origin.serve('*', () => ({ status }))
    const { download } = await ask(scene, { url: group })
    expect(download.error?.code).toBe(code)
    await expectFiles(join(scene.directory, 'model'), files)
  })

  it('a touched file is hashed; a changed one is asked for with patience, and the group fails', async () => {
    await using scene = await filled({ url: group })
    scene.hub.origin.stopListening()
    const config = join(scene.directory, 'model', 'config.json')
    await utimes(config, 1, 1)
    const touched = await ask(scene, { url: group })
    expect([touched.download.error, touched.download.stale, touched.retries]).toEqual([null, true, []])

    await writeFile(config, '{"a":2}')
    const { download, retries } = await ask(scene, { url: group })
    expect(download.error?.code).toBe('CONNECT_FAILED')
    expect(retries.length).toBeGreaterThan(1)
    expect(download.group?.missing.map(({ filename, error }) => [filename, error?.code])).toEqual([
      ['config.json', 'CONNECT_FAILED'],
    ])
    expect(await readFile(config, 'utf8')).toBe('{"a":2}')
  })

  it('a group that is only partly there is asked for with patience', async () => {
    await using scene = await filled({ url: group })
    scene.hub.origin.stopListening()
    await rm(join(scene.directory, 'model', 'onnx', 'x.bin'))
    const { download, retries } = await ask(scene, { url: group })
    expect(download.error?.code).toBe('CONNECT_FAILED')
    expect(retries.length).toBeGreaterThan(1)
    await scene.hub.origin.listenAgain()
    const { hub } = scene
    hub.commit('owner/model', { ...files, 'config.json': textContent('{"new":true}') })
    const later = await ask(scene, { url: group })
    expect([later.download.error, later.download.stale]).toEqual([null, false])
    await expectFiles(join(scene.directory, 'model'), {
      ...files,
      'config.json': textContent('{"new":true}'),
    })
  })

  it('with force, the files on disk are no answer', async () => {
    await using scene = await filled({ url: file })
    scene.hub.origin.stopListening()
    const { download, retries } = await ask(scene, { url: file, force: true })
    expect(download.error?.code).toBe('CONNECT_FAILED')
    expect(retries.length).toBeGreaterThan(1)
  })

  it('a commit never changes, so that its files are not stale', async () => {
    await using scene = await startScene({ store: 'file' })
    const url = `${group}@${scene.hub.add('owner/model', { files })}`
    await arrives(await scene.manager.download({ url }))
    await scene.manager.close()
    scene.hub.origin.stopListening()
    const { download, logs } = await ask(scene, { url })
    expect([download.error, download.stale]).toEqual([null, false])
    expect(logs.join()).toContain("The source can't be reached")
  })

  it('a remote caller is answered as well', async () => {
    await using scene = await filled({ url: group })
    scene.hub.origin.stopListening()
    const { download } = await ask(scene, { url: group, remote: { allowPrivateNetwork: true } })
    expect([download.error, download.stale]).toEqual([null, true])
  })

  it('the plan is that of the files on disk', async () => {
    await using scene = await filled({ url: group })
    scene.hub.origin.stopListening()
    await using manager = managerOf(scene.hub, scene.directory, { store: 'file' })
    const plan = await manager.plan({ url: group })
    expect(plan).toMatchObject({ stale: true, missingBytes: 0 })
    expect(plan.files.map(({ filename, status }) => [filename, status])).toEqual(
      expect.arrayContaining(Object.keys(files).map((name) => [name, 'complete'])),
    )
  })
})

describe('offline', () => {
  it.each<[string, DownloadManagerOptions, Partial<DownloadOptions>, string | null]>([
    ['the manager', { offline: true }, {}, null],
    ['the download', {}, { offline: true }, null],
    ['HF_HUB_OFFLINE', {}, {}, 'HF_HUB_OFFLINE'],
    ['TRANSFORMERS_OFFLINE', {}, {}, 'TRANSFORMERS_OFFLINE'],
  ])('row 67: makes no request when it is set by %s', async (_, options, wanted, variable) => {
    await using scene = await filled({ url: group })
    if (variable !== null) process.env[variable] = '1'
    const there = await ask(scene, { url: group, ...wanted }, options)
    expect([there.download.error, there.download.stale]).toEqual([null, true])
    await rm(join(scene.directory, 'model', 'config.json'))
    const partly = await ask(scene, { url: group, ...wanted }, options)
    expect(partly.download.error?.code).toBe('OFFLINE')
    expect(partly.download.error?.issues.map(({ path }) => path)).toEqual(['config.json'])
    const nothing = await ask(scene, { url: 'hf:owner/model/onnx/x.bin', ...wanted }, options)
    expect(nothing.download.error).toMatchObject({ code: 'OFFLINE', retryable: false })
    expect(nothing.download.error?.message).toMatch(/with the network.*--offline/)
    expect([there, partly, nothing].flatMap(({ retries }) => retries)).toEqual([])
    expect(connectionsOf(scene)).toBe(0)
  })

  it('what the caller sets outranks the environment, which concerns the Hugging Face hub alone', async () => {
    await using scene = await filled({ url: group })
    process.env['HF_HUB_OFFLINE'] = 'yes'
    scene.hub.cdn.serve('/plain.bin', { content: files['onnx/x.bin'] })
    const plain = await ask(scene, { url: scene.hub.cdn.url('/plain.bin') })
    expect(plain.download.error).toBeNull()
    const online = await ask(scene, { url: group, offline: false })
    expect([online.download.error, online.download.stale]).toEqual([null, false])
  })

  it('completes URLs whose files are there, and refuses all others without a request', async () => {
    await using scene = await filled({ url: file })
    const options = { offline: true, store: 'memory' } as const
    const there = await ask(scene, { url: scene.hub.cdn.url('/model.gguf') }, options)
    // Nothing is asked of a URL whose file is there when there is a network either.
    expect([there.download.error, there.download.stale]).toEqual([null, false])
    const missing = await ask(scene, { url: scene.hub.cdn.url('/other.gguf') }, options)
    expect(missing.download.error?.code).toBe('OFFLINE')
    const nameless = await ask(scene, { url: scene.hub.cdn.url('/') }, options)
    expect(nameless.download.error?.code).toBe('OFFLINE')
    expect(connectionsOf(scene)).toBe(0)
  })

  it('keeps the bytes of what it can not finish, which the next start with the network does', async () => {
    await using scene = await startScene({ store: 'file' })
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files: { 'model.gguf': ggufContent(2_000_000, 'big') } })
    hub.cdnBehaviour = { bytesPerSecond: 1_000_000 }
    const download = await manager.download({ url: file })
    await hub.cdn.waitForBytes('/blobs/' + ggufContent(2_000_000, 'big').sha256(), 300_000)
    await manager.close()
    hub.origin.clearRequests()
    {
      await using offline = managerOf(hub, directory, { store: 'file', offline: true })
      await offline.ready
      expect((await fails(offline.get(download.url) ?? download)).code).toBe('OFFLINE')
      expect(await listTree(directory)).toContain('model.gguf.part')
    }
    expect(hub.origin.requests()).toEqual([])
    hub.cdnBehaviour = {}
    await using online = managerOf(hub, directory, { store: 'file' })
    await online.ready
    const resumed = online.get(file)
    if (resumed === undefined) throw new Error('It is not known any more.')
    expect((await arrives(resumed)).fetchedBytes).toBeLessThan(1_800_000)
  })

  it('with force, refuses at once', async () => {
    await using scene = await filled({ url: file })
    const { download } = await ask(scene, { url: file, force: true }, { offline: true })
    expect(download.error).toMatchObject({ code: 'OFFLINE' })
    expect(download.error?.message).toContain('force')
    expect(connectionsOf(scene)).toBe(0)
  })

  it('checks a digest that only the caller knows', async () => {
    await using scene = await filled({ url: file }, { store: 'memory' })
    const sha256 = files['model.gguf'].sha256()
    const right = await ask(scene, { url: file, sha256 }, { offline: true, store: 'memory' })
    expect(right.download.file).toMatchObject({ verified: true, stale: true })
    const wrong = await ask(scene, { url: file, sha256: 'f'.repeat(64) }, { offline: true, store: 'memory' })
    expect(wrong.download.error?.code).toBe('OFFLINE')
  })

  it('without a record, finds a file by its name, but does not guess which files a group has', async () => {
    await using scene = await filled({ url: group }, { store: 'memory' })
    const options = { offline: true, store: 'memory' } as const
    const one = await ask({ ...scene, directory: join(scene.directory, 'model') }, { url: file }, options)
    expect(one.download.file).toMatchObject({ verified: false, sha256: null, stale: true })
    expect((await ask(scene, { url: group }, options)).download.error?.code).toBe('OFFLINE')
    expect((await ask(scene, { url: group, filename: 'model' }, options)).download.error?.code).toBe(
      'OFFLINE',
    )
  })

  it('without a record, finds a file in a Hugging Face cache, whoever has put it there', async () => {
    await withHome(async (home) => {
      await using scene = await filled({ url: group, layout: 'hf-cache' }, { store: 'memory' })
      const options = { offline: true, store: 'memory' } as const
      const cached = await ask(scene, { url: file, layout: 'hf-cache' }, options)
      expect(cached.download.file).toMatchObject({ verified: true, stale: true })
      expect(cached.download.file?.path).toMatch(/snapshots\/[0-9a-f]{40}\/model\.gguf$/)
      process.env['HF_HUB_CACHE'] = scene.directory
      const flat = await ask({ ...scene, directory: join(home, 'flat') }, { url: file }, options)
      expect(flat.download.file).toMatchObject({ verified: true, stale: true, fetchedBytes: 0 })
      expect(flat.download.file?.adoptedFrom).toContain('/blobs/')
      expect(connectionsOf(scene)).toBe(0)
    })
  })

  it('plans without a request', async () => {
    await using scene = await filled({ url: group })
    await using manager = managerOf(scene.hub, scene.directory, { store: 'file', offline: true })
    expect(await manager.plan({ url: group })).toMatchObject({ stale: true, missingBytes: 0 })
    await expect(manager.plan({ url: 'hf:owner/other' })).rejects.toMatchObject({ code: 'OFFLINE' })
    await expect(manager.plan({ url: scene.hub.cdn.url('/x') })).rejects.toMatchObject({ code: 'OFFLINE' })
    expect(await manager.plan({ url: scene.hub.cdn.url('/x.bin') })).toMatchObject({
      files: [{ status: 'missing' }],
    })
    expect(connectionsOf(scene)).toBe(0)
  })

  it('a file of a remote caller is no answer to a trusted one who has no digest', async () => {
    await using scene = await startScene({ store: 'file' })
    const { hub, directory } = scene
    hub.cdn.serve('/model.gguf', { content: ggufContent(40_000, 'stranger') })
    await arrives(
      await scene.manager.download({
        url: hub.cdn.url('/model.gguf'),
        remote: { allowPrivateNetwork: true },
      }),
    )
    await scene.manager.close()
    const { download } = await ask({ hub, directory }, { url: file }, { offline: true })
    expect(download.error?.code).toBe('OFFLINE')
  })
})

it('an own source that uses a client of its own is unreachable when that is', async () => {
  await using scene = await startScene()
  const { hub, directory } = scene
  hub.cdn.serve('/a.bin', { content: files['onnx/x.bin'] })
  let reachable = true
  const source = {
    name: 'mine',
    match: (ref: string) => ref.startsWith('mine:'),
    resolve: async () => {
      if (!reachable)
        throw new TypeError('fetch failed', {
          cause: Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }),
        })
      return { files: [{ filename: 'a.bin', urls: [hub.cdn.url('/a.bin')], headers: {} }] }
    },
  }
  await using manager = makeManager(directory, { sources: [source] })
  await arrives(await manager.download({ url: 'mine:a' }))
  reachable = false
  const { download } = await asked(manager, { url: 'mine:a' })
  expect([download.error, download.stale]).toEqual([null, true])
})
