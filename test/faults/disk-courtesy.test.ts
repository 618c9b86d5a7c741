/** FAULTS.md rows 63 and 66: what a file system or a machine refuses without harm to the file. */
import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { io } from '../../src/disk/io.js'
import { Download } from '../../src/download/download.js'
import type { DownloadOptions } from '../../src/index.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { spawnFaulty } from '../support/faulty-fs.js'
import { startHub } from '../support/hub.js'
import { asNobody, describeWith, nobody, spawnUnder } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { cliPath, dist } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { deadline } from '../support/wait.js'
import { arrives, expectInvariant, fails, MiB, startBench } from './harness.js'

const content = randomContent(2 * MiB, 'courtesy')
const name = 'model.bin'

afterEach(() => {
  vi.restoreAllMocks()
})

const systemError = (code: string, syscall: string) => Object.assign(new Error(code), { code, syscall })

/** Downloads a file whose transfer does not end before there is a journal. Returns the warnings. */
async function download(directory: string, options: Partial<DownloadOptions> = {}): Promise<string[]> {
  const tuning = { bodyTimeoutMs: deadline(10_000) }
  await using bench = await startBench({ directory, worker: false, tuning })
  const { manager, origin } = bench
  const until = () => existsSync(join(directory, `${name}.part.json`))
  origin.serve(`/${name}`, { content, faults: [{ type: 'stallBody', afterBytes: 1000, until }] })
  const warnings: string[] = []
  manager.on('log', ({ level, message }) => {
    if (level === 'warn' || level === 'error') warnings.push(message)
  })
  await arrives(await manager.download({ url: origin.url(`/${name}`), ...options }))
  return warnings
}

describe('row 63: a refusal after which the file is complete all the same', () => {
  const codes = ['EPERM', 'ENOTSUP', 'EIO', 'ENOSYS', 'EROFS', 'EACCES']

  it.each(codes)('fchmod: %s', async (code) => {
    vi.spyOn(io, 'fchmod').mockRejectedValue(systemError(code, 'fchmod'))
    const directory = tempDir('courtesy')
    expect(await download(directory)).toEqual([expect.stringContaining('The file is complete.')])
    await expectInvariant(directory, name, 'done', { content })
  })

  it.each(codes)('the sync of the folder: %s', async (code) => {
    const directory = tempDir('courtesy')
    const open = io.open.bind(io)
    vi.spyOn(io, 'open').mockImplementation((path, flags, mode) =>
      path === directory ? Promise.reject(systemError(code, 'open')) : open(path, flags, mode),
    )
    const warnings = await download(directory)
    // That folders can't be opened at all is no news on some systems.
    expect(warnings).toHaveLength(code === 'EIO' || code === 'EROFS' ? 1 : 0)
    await expectInvariant(directory, name, 'done', { content })
  })

  it.each(codes)('deleting the journal: %s', async (code) => {
    const directory = tempDir('courtesy')
    const unlink = io.unlink.bind(io)
    vi.spyOn(io, 'unlink').mockImplementation((path) =>
      path.endsWith('.part.json') ? Promise.reject(systemError(code, 'unlink')) : unlink(path),
    )
    expect(await download(directory)).toEqual([expect.stringContaining('The file is complete.')])
    await expectInvariant(directory, name, 'done', { content, others: [`${name}.part.json`] })
    vi.restoreAllMocks()
    // The next one finds the file and tidies up.
    expect(await download(directory)).toEqual([])
    await expectInvariant(directory, name, 'done', { content })
  })

  it('the journal that says what replaces a file', async () => {
    const directory = tempDir('courtesy')
    await writeFile(join(directory, name), 'old')
    const rename = io.rename.bind(io)
    vi.spyOn(io, 'rename').mockImplementation(async (from, to) => {
      const publishing =
        to.endsWith('.part.json') && !(await readFile(from, 'utf8')).includes('"publishing":null')
      if (publishing) throw systemError('ENOSPC', 'rename')
      await rename(from, to)
    })
    expect(await download(directory, { force: true })).toEqual([
      expect.stringContaining('The file is complete.'),
    ])
    await expectInvariant(directory, name, 'done', { content })
  })

  it('links, for the lock', async () => {
    vi.spyOn(io, 'link').mockRejectedValue(systemError('EPERM', 'link'))
    const directory = tempDir('courtesy')
    expect(await download(directory)).toEqual([])
    await expectInvariant(directory, name, 'done', { content })
  })
})

describe('row 63: a file system without courtesies', () => {
  const courtesies = [
    'fchmod',
    'chmod',
    'fsync',
    'fdatasync',
    'link',
    'symlink',
    'ftruncate',
    'utimes',
  ] as const

  // One process more costs a second; `isRefusal` has the other codes.
  it.each(['EPERM', 'ENOSYS'])('%s: everything arrives, with one warning per folder', async (code) => {
    await using origin = await startOrigin()
    await using hub = await startHub()
    const names = ['a.bin', 'b.bin', 'c.bin']
    for (const each of names) origin.serve(`/${each}`, { content, bytesPerSecond: 4 * MiB })
    hub.add('owner/model', {
      files: { 'model.gguf': ggufContent(300 * 1024), 'README.md': textContent('x') },
    })
    const directory = tempDir('courtesy')
    const env = { HF_ENDPOINT: hub.url, HOME: directory, HF_HOME: join(directory, 'hf'), HF_TOKEN: '' }
    const faults = [{ calls: courtesies, path: 'courtesy-', code }]
    const flat = ['get', ...names.map((each) => origin.url(`/${each}`)), '-d', directory, '--json']
    const cached = ['get', 'hf:owner/model', '--layout', 'hf-cache', '--json']
    for (const args of [flat, cached]) {
      const { code: exit, stdout, stderr } = await spawnFaulty({ faults }, args, { env }).finished()
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
      const warnings = stdout.split('\n').filter((line) => line.includes('"log"') && line.includes('"warn"'))
      expect(warnings.length, stdout).toBe(1)
    }
    for (const each of names) expect(await sha256File(join(directory, each))).toBe(content.sha256())
    const found = await listTree(join(directory, 'hf'))
    const snapshots = found.filter((path) => /snapshots\/[0-9a-f]+\/[^/]+$/.test(path))
    expect(snapshots.map((path) => path.slice(path.lastIndexOf('/') + 1))).toEqual([
      'README.md',
      'model.gguf',
    ])
    expect(found.some((path) => path.endsWith('/refs/main'))).toBe(true)
    expect((await readdir(directory)).filter((path) => path.includes('.part'))).toEqual([])
    hub.cdn.clearRequests()
    const again = await spawnFaulty({ faults }, cached, { env }).finished()
    expect({ code: again.code, sent: hub.cdn.bytesSent() }).toEqual({ code: 0, sent: 0 })
  })

  it.each(['EIO', 'ENOSPC'])('a sync of the data that fails with %s is no refusal', async (code) => {
    await using origin = await startOrigin()
    origin.serve(`/${name}`, { content })
    const directory = tempDir('courtesy')
    const faults = [{ calls: ['fdatasync'], path: String.raw`\.part$`, code }] as const
    const { stdout } = await spawnFaulty({ faults }, [
      'get',
      origin.url(`/${name}`),
      '-d',
      directory,
      '--json',
    ]).finished()
    expect(stdout).toContain(code === 'EIO' ? '"DISK_IO"' : '"NO_SPACE"')
    expect(await listTree(directory)).not.toContain(name)
  })
})

describe('row 65: what nobody has expected', () => {
  it('ends the download, not the process', async () => {
    await using bench = await startBench({ worker: false })
    const { manager, origin, directory } = bench
    origin.serve(`/${name}`, { content, bytesPerSecond: 2 * MiB })
    origin.serve('/other.bin', { content })
    const url = origin.url(`/${name}`)
    const note = vi.spyOn(Download.prototype, 'note').mockImplementationOnce(() => {
      throw new Error('surprise')
    })
    const error = await fails(await manager.download({ url }))
    expect(error.code).toBe('INTERNAL')
    note.mockRestore()
    await arrives(await manager.download({ url: origin.url('/other.bin') }))
    await arrives(await manager.download({ url }))
    expect(await listTree(directory)).toEqual([name, 'other.bin'])
  })

  it('in a source of the host fails the download', async () => {
    let broken = false
    const source = {
      name: 'own',
      match: (ref: string) => {
        if (broken) throw new Error('surprise')
        return ref.startsWith('own:')
      },
      resolve: async () => {
        broken = true
        return Promise.reject(new Error('surprise'))
      },
    }
    await using bench = await startBench({ sources: [source] })
    const queued = await bench.manager.download({ url: 'own:file' })
    expect((await fails(queued)).message).toContain('surprise')
  })
})

describeWith(nobody, 'row 66: no home folder', () => {
  const user = [...asNobody.slice(0, 1), '--reuid=54321', '--regid=54321', '--clear-groups', 'env']

  function openFolder(): string {
    const root = tempDir('home')
    chmodSync(root, 0o755)
    const folder = join(root, 'models')
    mkdirSync(folder)
    chmodSync(folder, 0o777)
    return folder
  }

  it.each([
    ['none, and no user of that number', ['-u', 'HOME']],
    ['an empty name', ['HOME=']],
    ['a relative name', ['HOME=home']],
    ['a folder that is not there', ['HOME=/nonexistent']],
    ['a folder that may not be entered', ['HOME=/root']],
    ['a file', ['HOME=/etc/hostname']],
    ['a cache that may not be entered', ['HOME=/root', 'HF_HOME=/root/hf', 'OLLAMA_MODELS=/root/ollama']],
  ])('%s: get', async (_name, env) => {
    const folder = openFolder()
    await using origin = await startOrigin()
    origin.serve(`/${name}`, { content })
    const args = [cliPath, 'get', origin.url(`/${name}`), '-d', folder, '--sha256', content.sha256()]
    const { code, stderr } = await spawnUnder([...user, ...env], args).finished()
    expect(stderr).not.toMatch(/INTERNAL|warn/i)
    expect(code).toBe(0)
    await expectInvariant(folder, name, 'done', { content })
  })

  it.each([false, true])('a host with adopt: %s', async (adopt) => {
    const folder = openFolder()
    await using origin = await startOrigin()
    origin.serve(`/${name}`, { content })
    const script = `
      import { DownloadManager } from ${JSON.stringify(`${dist}/index.js`)}
      const manager = new DownloadManager({ directory: ${JSON.stringify(folder)}, adopt: ${adopt}, store: 'memory', proxy: false })
      const download = await manager.download({ url: ${JSON.stringify(origin.url(`/${name}`))}, mode: null })
      console.log((await download.finished).sha256)
      await manager.close()`
    const host = spawnUnder([...user, '-u', 'HOME'], ['--input-type=module', '-e', script])
    const { code, stdout, stderr } = await host.finished()
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout.trim()).toBe(content.sha256())
  })

  it('the default cache is then asked for', async () => {
    const args = [cliPath, 'get', 'hf:owner/repo', '--layout', 'hf-cache']
    const { code, stderr } = await spawnUnder([...user, '-u', 'HOME'], args).finished()
    expect(stderr).toContain('HF_HOME')
    expect(code).toBe(2)
  })
})
