/** The command over a cache: what it prints, kills at the worst moments, two of them at once. */
import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { scanCacheDir } from '@huggingface/hub'
import { describe, expect, it } from 'vitest'
import { KiB } from '../faults/harness.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { describeWith, spawnUnder, strace } from '../support/machine.js'
import { cliPath, runCli } from '../support/process.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'

const model = ggufContent(600 * KiB, 'model')
const shared = randomContent(40 * KiB, 'shared')
const files = {
  'README.md': textContent('# A model'),
  'model.gguf': model,
  'a.bin': shared,
  'b/a.bin': shared,
}
const folder = 'models--owner--model'
const url = 'hf:owner/model/model.gguf'

function envOf(hub: Hub, home = tempDir('home')): Record<string, string> {
  return {
    HF_ENDPOINT: hub.url,
    HOME: home,
    HF_HOME: join(home, 'hf'),
    ...{ HF_TOKEN: '', HF_HUB_CACHE: '', HUGGINGFACE_HUB_CACHE: '', OLLAMA_MODELS: '', LLAMA_CACHE: '' },
  }
}

describe('get --layout hf-cache', () => {
  it('goes to the cache of the environment, and a second run fetches nothing', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const env = envOf(hub)
    const root = join(env['HF_HOME']!, 'hub')
    const ended = await runCli(['get', '--layout', 'hf-cache', 'hf:owner/model'], { env })
    expect(ended.code, ended.stderr).toBe(0)
    expect(ended.stdout).toBe(`${join(root, folder, 'snapshots', commit)}\n`)
    const seen = await scanCacheDir(root)
    expect(seen.warnings).toEqual([])
    expect(seen.repos[0]?.revisions).toMatchObject([{ commitOid: commit, refs: ['main'] }])
    const sent = hub.cdn.bytesSent()
    expect((await runCli(['get', '--layout', 'hf-cache', 'hf:owner/model'], { env })).code).toBe(0)
    expect(hub.cdn.bytesSent()).toBe(sent)
    expect(await listTree(env['HOME']!)).not.toContain('hf/.model-downloader/')
  })

  it('does not go with names of files, nor with other places than the hub', async () => {
    await using hub = await startHub()
    const env = envOf(hub)
    const named = await runCli(['get', '--layout', 'hf-cache', '-o', 'x.gguf', url], { env })
    expect([named.code, named.stderr]).toEqual([2, expect.stringContaining('--output')])
    const elsewhere = await runCli(['get', '--layout', 'hf-cache', 'https://example.com/a.gguf'], { env })
    expect([elsewhere.code, elsewhere.stderr]).toEqual([2, expect.stringContaining('Hugging Face')])
    expect(await listTree(env['HOME']!)).toEqual([])
  })

  it('by two processes at once leaves one good cache', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const root = tempDir('cache')
    const env = envOf(hub)
    const get = (ref: string) => runCli(['get', '--layout', 'hf-cache', '-d', root, ref], { env })
    const ends = await Promise.all([
      get(url),
      get('hf:owner/model/a.bin'),
      get('hf:owner/model/b/a.bin'),
      get(url),
    ])
    for (const { code, stderr } of ends) {
      // Two downloads of one blob at the same time: one of them may get an error.
      if (code !== 0) expect(stderr).toContain('TARGET_LOCKED')
    }
    expect((await get('hf:owner/model')).code).toBe(0)
    const snapshot = join(root, folder, 'snapshots', commit)
    for (const [path, content] of Object.entries(files))
      expect(await sha256File(join(snapshot, ...path.split('/')))).toBe(content.sha256())
    expect((await scanCacheDir(root)).warnings).toEqual([])
    expect((await listTree(root)).filter((name) => /\.part|\.[0-9a-z]{6}$/.test(name))).toEqual([])
  })
})

describeWith(strace, 'killed while it publishes into a cache', () => {
  it.each([
    ['between the blob and its link', 'symlink,symlinkat'],
    ['while folders are made for it', 'mkdir,mkdirat'],
  ])('%s: the same command goes on, and fetches nothing', async (_what, calls) => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const root = tempDir('cache')
    const env = envOf(hub)
    const command = [cliPath, 'get', '--layout', 'hf-cache', '-d', root, url]
    // The blob's own folders are made before it.
    const when = calls.startsWith('mkdir') ? ':when=2+' : ''
    const inject = `inject=${calls}:signal=SIGKILL${when}`
    const wrapper = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', inject]
    await spawnUnder(wrapper, command, { env: { ...env, UV_THREADPOOL_SIZE: '1' } }).finished(50_000)
    const blob = join(root, folder, 'blobs', model.sha256())
    const there = await lstat(blob).then(
      () => true,
      () => false,
    )
    expect(await listTree(join(root, folder, 'refs'))).not.toContain('main')
    if (calls.startsWith('symlink')) expect(there, 'the kill came behind the rename').toBe(true)
    const sent = hub.cdn.bytesSent()
    const again = await runCli(command.slice(1), { env })
    expect(again.code, again.stderr).toBe(0)
    if (there) expect(hub.cdn.bytesSent()).toBe(sent)
    expect(await sha256File(join(root, folder, 'snapshots', commit, 'model.gguf'))).toBe(model.sha256())
    expect(await readFile(join(root, folder, 'refs', 'main'), 'utf8')).toBe(commit)
    expect((await scanCacheDir(root)).warnings).toEqual([])
    expect(await listTree(join(root, folder, 'blobs'))).toEqual([model.sha256()])
  })
})

describe('get --dry-run', () => {
  it('tells what would be fetched, and fetches nothing', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const env = envOf(hub)
    const root = tempDir('dry')
    const first = await runCli(['get', '--dry-run', '-d', root, 'hf:owner/model'], { env })
    expect(first.code, first.stderr).toBe(0)
    expect(first.stdout).toMatch(/^to fetch +614 kB {2}.*model\.gguf$/m)
    expect(first.stdout).toMatch(/^4 files, 696 kB; 696 kB to fetch, .* free\n$/m)
    expect(await listTree(root)).toEqual([])
    expect(await listTree(env['HOME']!)).toEqual([])
    expect(hub.cdn.bytesSent()).toBe(0)
    await runCli(['get', '-d', root, 'hf:owner/model'], { env })
    const second = await runCli(['get', '--dry-run', '-d', root, 'hf:owner/model'], { env })
    expect(second.stdout).toMatch(/^complete +614 kB/m)
    expect(second.stdout).toContain('; 0 B to fetch')
  })

  it('prints one object for each URL with --json, and ends with 1 when one cannot be had', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const env = envOf(hub)
    const args = ['get', '--dry-run', '--json', '-d', tempDir('dry'), url, 'hf:owner/none/x.bin']
    const { code, stdout, stderr } = await runCli(args, { env })
    expect(code).toBe(1)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line))
    expect(lines).toMatchObject([
      { type: 'plan', url, totalBytes: model.size, missingBytes: model.size, fits: true },
      { type: 'failed', url: 'hf:owner/none/x.bin' },
    ])
    expect(stderr).toContain('hf:owner/none/x.bin')
  })
})
