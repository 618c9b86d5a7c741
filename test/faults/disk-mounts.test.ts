/** FAULTS.md rows 30, 48 and 63 on file systems that have no links, no permissions, or belong to somebody else. */
import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startServeProcess } from '../cli/serving.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { describeFuse } from '../support/fuse.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { runCli, spawnCli } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { expectInvariant, MiB } from './harness.js'

const content = randomContent(3 * MiB, 'mounts')
const name = 'model.bin'

describeFuse('on another file system', ({ name: kind, mount }) => {
  /** What the command says of a file system that lets nobody set permissions, once. */
  const warnings = kind === 'bindfs' ? 1 : 0

  it('a file is fetched, replaces a read-only one, and is found again', async () => {
    await using disk = await mount()
    await using origin = await startOrigin()
    for (const path of [name, 'other.bin']) origin.serve(`/${path}`, { content })
    const directory = join(disk.path, 'models')
    await mkdir(directory)
    await writeFile(join(directory, name), 'an old file')
    await chmod(join(directory, name), 0o444).catch(() => undefined)
    const args = ['get', origin.url(`/${name}`), '-d', directory, '--sha256', content.sha256(), '--json']
    const first = await runCli(args)
    expect(first.code, first.stdout).toBe(0)
    expect(first.stdout.match(/The file is complete\./g)?.length ?? 0).toBe(warnings)
    const sent = origin.bytesSent()
    expect(sent).toBeGreaterThanOrEqual(content.size)
    expect((await runCli(args)).code).toBe(0)
    expect(origin.bytesSent()).toBe(sent)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('a kill loses at most a megabyte, and leaves no lock that holds', async () => {
    await using disk = await mount()
    await using origin = await startOrigin()
    origin.serve(`/${name}`, { content, bytesPerSecond: 2 * MiB })
    const args = ['get', origin.url(`/${name}`), '-d', disk.path, '--quiet']
    await using run = spawnCli(args)
    await waitFor(() => origin.bytesSent() > 1.7 * MiB, { what: 'more than a half' })
    await run.kill()
    origin.clearRequests()
    const { code, stderr } = await runCli(args)
    expect(code, stderr).toBe(0)
    expect(origin.bytesSent()).toBeLessThan(2.6 * MiB)
    await expectInvariant(disk.path, name, 'done', { content })
  })

  it('a group, and a cache of the Hugging Face libraries', async () => {
    await using disk = await mount()
    await using hub = await startHub()
    const model = ggufContent(MiB, 'model')
    const files = { 'README.md': textContent('# A model'), 'model.gguf': model, 'sub/model.gguf': model }
    const commit = hub.add('owner/model', { files })
    const env = { HF_ENDPOINT: hub.url, HOME: tempDir('home'), HF_HOME: join(disk.path, 'hf'), HF_TOKEN: '' }
    const flat = ['get', 'hf:owner/model', '-d', join(disk.path, 'flat')]
    const cached = ['get', 'hf:owner/model', '--layout', 'hf-cache']
    for (const args of [flat, cached]) {
      const { code, stderr } = await runCli(args, { env })
      expect(code, stderr).toBe(0)
    }
    const snapshot = join(disk.path, 'hf/hub/models--owner--model/snapshots', commit)
    const found = (await listTree(join(disk.path, 'flat'))).filter((path) => path.endsWith('model.gguf'))
    expect(found).toHaveLength(2)
    const paths = ['model.gguf', 'sub/model.gguf'].map((path) => join(snapshot, path))
    paths.push(...found.map((path) => join(disk.path, 'flat', path)))
    for (const path of paths) expect(await sha256File(path), path).toBe(model.sha256())
    expect(existsSync(join(disk.path, 'hf/hub/models--owner--model/refs/main'))).toBe(true)
    expect((await listTree(disk.path)).filter((path) => path.includes('.part'))).toEqual([])
    const sent = hub.cdn.bytesSent()
    for (const args of [flat, cached]) expect((await runCli(args, { env })).code).toBe(0)
    expect(hub.cdn.bytesSent()).toBe(sent)
  })

  it('serve starts, remembers what it has fetched, and starts again', async () => {
    await using disk = await mount()
    await using origin = await startOrigin()
    origin.serve(`/${name}`, { content })
    const url = origin.url(`/${name}`)
    const directory = join(disk.path, 'served')
    for (const round of [1, 2]) {
      await using serving = await startServeProcess(['--allow-private-network'], { directory })
      if (round === 1) await serving.client.download({ url })
      await serving.until(url, 'completed')
      const { stderr } = await serving.process.kill('SIGTERM')
      if (round === 2) expect(origin.requests()).toEqual([])
      origin.clearRequests()
      expect(stderr).not.toMatch(/could not be saved|STORE_ERROR|DISK_IO|PERMISSION/)
    }
  })
})
