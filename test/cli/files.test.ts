/** `ls`, `rm`, `verify` and `info`, each run to its end. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { acquireLock } from '../../src/disk/lock.js'
import { DownloadManager } from '../../src/index.js'
import { ggufContent, randomContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { jsonLines, run } from './run.js'

function put(file: string, text: string | Buffer): string {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}

/** A home without caches, so that nothing of this machine is seen. */
const homeIn = (cwd: string) => {
  const home = path.join(cwd, 'home')
  return { HOME: home, USERPROFILE: home, XDG_CACHE_HOME: '', HF_HOME: '', HF_HUB_CACHE: '' }
}

const model = randomContent(100_000)

/** A folder with a file that a server has downloaded. */
async function served(cwd: string) {
  const origin = await startOrigin()
  origin.serve('*', { content: model })
  const url = origin.url('/a.gguf')
  const directory = path.join(cwd, 'models')
  await using manager = new DownloadManager({ directory, worker: false })
  await (
    await manager.download({ url, checkFormat: false })
  ).finished
  return { url, directory, [Symbol.asyncDispose]: () => origin.close() }
}

describe('ls', () => {
  it('lists files, partial downloads and groups, and writes nothing', async () => {
    const cwd = tempDir('ls')
    const env = homeIn(cwd)
    await using hub = await startHub()
    hub.add('owner/repo', { files: { 'model.onnx': model, 'config.json': randomContent(100) } })
    await using stage = await served(cwd)
    const { url } = stage
    const hf = { ...env, HF_ENDPOINT: hub.url }
    expect((await run(['get', 'hf:owner/repo', '-d', 'models'], { cwd, env: hf })).code).toBe(0)
    put(path.join(cwd, 'models', 'half.bin.part'), 'half')
    const before = await listTree(cwd)
    const table = await run(['ls'], { cwd, env })
    expect(table.code).toBe(0)
    expect(table.stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
      'NAME | SIZE | FILES | DIGEST | MODIFIED | FROM',
      expect.stringMatching(/^half\.bin \| 4 B partial \| unknown \| \d{4}-\d\d-\d\d \d\d:\d\d$/),
      expect.stringMatching(/^llm\/a\.gguf \| 100 kB \| known \| .* \| http:\/\/127\.0\.0\.1:\d+\/a\.gguf$/),
      expect.stringMatching(/^repo\/ \| 100 kB \| 2 \| known \| .* \| hf:owner\/repo$/),
      '',
    ])
    expect(table.stderr).toBe('3 entries, 200 kB\n')
    const json = await run(['ls', '--json'], { cwd, env })
    expect(jsonLines(json.stdout)).toMatchObject([
      { type: 'file', name: 'half.bin', state: 'partial', size: 4 },
      {
        type: 'file',
        name: 'llm/a.gguf',
        url,
        sha256: model.sha256(),
        path: path.join(cwd, 'models/llm/a.gguf'),
      },
      { type: 'group', name: 'repo', url: 'hf:owner/repo', files: [{ filename: 'config.json' }, {}] },
    ])
    expect(await listTree(cwd)).toEqual(before)

    const source = await run(['ls', 'hf:owner/repo', '--json'], { cwd, env: hf })
    expect(jsonLines(source.stdout)).toMatchObject([
      { ref: 'hf:owner/repo', path: 'config.json', size: 100, gitOid: expect.any(String) },
      { path: 'model.onnx', size: 100_000, sha256: model.sha256() },
    ])
    expect(await listTree(cwd)).toEqual(before)
  })

  it('tells a missing folder from an empty one', async () => {
    const cwd = tempDir('ls')
    expect(await run(['ls', '--json'], { cwd })).toMatchObject({ code: 0, stdout: '' })
    const named = await run(['ls', '-d', 'nowhere'], { cwd })
    expect(named).toMatchObject({ code: 2, stdout: '' })
    expect(named.stderr).toContain('The folder nowhere does not exist')
    expect(await listTree(cwd)).toEqual([])
  })
})

describe('rm', () => {
  it('deletes a file with its record, but neither without need nor elsewhere', async () => {
    const cwd = tempDir('rm')
    const env = homeIn(cwd)
    await using stage = await served(cwd)
    const { url, directory } = stage
    put(path.join(directory, 'llm', 'b.bin'), 'other')
    put(path.join(directory, 'embed', 'b.bin'), 'other')
    const outside = put(path.join(cwd, 'precious.bin'), 'precious')
    symlinkSync(cwd, path.join(directory, 'up'))
    const before = await listTree(directory)
    for (const [names, message] of [
      [['llm/a.gguf', 'no.bin'], 'no.bin: nothing of this name'],
      [['b.bin'], 'several files have this name: embed/b.bin, llm/b.bin'],
      [[outside], 'nothing of this name'],
      [['../precious.bin'], 'nothing of this name'],
      [['up/precious.bin'], 'nothing of this name'],
      [['.model-downloader'], 'nothing of this name'],
    ] as const) {
      const refused = await run(['rm', ...names], { cwd, env })
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(message)])
    }
    const dry = await run(['rm', url, '--dry-run'], { cwd, env })
    expect(dry).toMatchObject({ code: 0, stdout: 'would delete  llm/a.gguf  100 kB\n' })
    expect(await listTree(directory)).toEqual(before)
    const removed = await run(['rm', 'a.gguf', 'models/embed/b.bin', '--json'], { cwd, env })
    expect(removed.code).toBe(0)
    expect(jsonLines(removed.stdout)).toEqual([
      { type: 'removed', name: 'llm/a.gguf', freedBytes: 100_000, dryRun: false },
      { type: 'removed', name: 'embed/b.bin', freedBytes: 5, dryRun: false },
    ])
    expect(await listTree(directory)).toEqual(['.model-downloader/', 'embed/', 'llm/', 'llm/b.bin', 'up'])
    expect(readFileSync(outside, 'utf8')).toBe('precious')
  })

  it('deletes groups and partial downloads, but nothing that is being downloaded', async () => {
    const cwd = tempDir('rm')
    await using hub = await startHub()
    hub.add('owner/repo', { files: { 'sub/model.onnx': model, 'config.json': randomContent(100) } })
    const env = { ...homeIn(cwd), HF_ENDPOINT: hub.url }
    expect((await run(['get', 'hf:owner/repo', '-d', 'models'], { cwd, env })).code).toBe(0)
    put(path.join(cwd, 'models', 'repo', 'own.txt'), 'own')
    const half = put(path.join(cwd, 'models', 'half.bin.part'), 'half')
    const lock = await acquireLock(`${half}.lock`)
    const busy = await run(['rm', 'half.bin', 'repo'], { cwd, env })
    await lock.release()
    expect(busy).toMatchObject({ code: 1, stdout: 'deleted  repo  100 kB\n' })
    expect(busy.stderr).toContain('half.bin: it is being downloaded at this moment (TARGET_LOCKED)')
    expect(await listTree(path.join(cwd, 'models'))).toEqual(['half.bin.part', 'repo/', 'repo/own.txt'])
    expect((await run(['rm', 'half.bin'], { cwd, env })).code).toBe(0)
    expect(await listTree(path.join(cwd, 'models'))).toEqual(['repo/', 'repo/own.txt'])
  })

  it('deletes one file of a snapshot, and then the rest', async () => {
    const cwd = tempDir('rm')
    await using hub = await startHub()
    const commit = hub.add('owner/repo', { files: { 'a.onnx': model, 'b.json': randomContent(100) } })
    const env = { ...homeIn(cwd), HF_ENDPOINT: hub.url }
    const get = async (ref: string) =>
      (await run(['get', ref, '-d', 'cache', '--layout', 'hf-cache'], { cwd, env })).code
    expect([await get('hf:owner/repo/a.onnx'), await get('hf:owner/repo/b.json')]).toEqual([0, 0])
    const listed = jsonLines((await run(['ls', '-d', 'cache', '--json'], { cwd, env })).stdout)
    expect(listed).toMatchObject([{ url: 'hf:owner/repo/a.onnx' }, { url: 'hf:owner/repo/b.json' }])
    expect((await run(['verify', 'cache'], { cwd, env })).code).toBe(0)
    expect((await run(['rm', 'a.onnx', '-d', 'cache'], { cwd, env })).code).toBe(0)
    const snapshot = `models--owner--repo/snapshots/${commit}`
    const left = (await listTree(path.join(cwd, 'cache'))).filter((entry) => entry.startsWith(`${snapshot}/`))
    expect(left).toEqual([`${snapshot}/`, `${snapshot}/b.json`])
    expect((await run(['rm', 'hf:owner/repo/b.json', '-d', 'cache'], { cwd, env })).code).toBe(0)
    expect((await listTree(path.join(cwd, 'cache'))).filter((entry) => entry.startsWith('models--'))).toEqual(
      [],
    )
  })
})

describe('verify', () => {
  it('finds damage in folders, files and refs, and writes nothing', async () => {
    const cwd = tempDir('verify')
    await using hub = await startHub()
    hub.add('owner/repo', { files: { 'model.onnx': model, 'config.json': randomContent(100) } })
    const env = { ...homeIn(cwd), HF_ENDPOINT: hub.url }
    await using stage = await served(cwd)
    const { directory } = stage
    expect((await run(['get', 'hf:owner/repo', '-d', 'models'], { cwd, env })).code).toBe(0)
    const own = put(path.join(directory, 'own.bin'), 'own')
    put(path.join(directory, 'half.bin.part'), 'half')
    const good = await run(['verify'], { cwd, env })
    expect(good.code).toBe(0)
    expect(good.stdout.split('\n')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^ok +llm\/a\.gguf {2}100 kB$/),
        expect.stringMatching(/^ok +repo\/model\.onnx {2}100 kB$/),
        expect.stringMatching(/^digest unknown +own\.bin {2}3 B$/),
      ]),
    )
    expect(good.stderr).toContain('4 files: 3 ok, 1 digest unknown; ')

    const damaged = path.join(directory, 'repo', 'model.onnx')
    writeFileSync(damaged, Buffer.alloc(model.size))
    const before = [await listTree(cwd), statSync(damaged).mtimeMs]
    for (const args of [
      ['verify'],
      ['verify', 'models/repo'],
      ['verify', damaged],
      ['verify', 'hf:owner/repo'],
    ]) {
      const found = await run([...args, '--quiet'], { cwd, env })
      expect([args, found.code, found.stdout.split('  ')[0]?.trim()]).toEqual([args, 1, 'damaged'])
      expect(found.stdout).toContain(`expected ${model.sha256()}, found `)
    }
    expect((await run(['verify', 'models/llm'], { cwd, env })).code).toBe(0)
    const sha256 = createHash('sha256').update('own').digest('hex')
    expect((await run(['verify', own, '--sha256', sha256], { cwd, env })).stdout).toMatch(/^ok /)
    expect((await run(['verify', own, '--sha256', model.sha256()], { cwd, env })).code).toBe(1)
    expect((await run(['verify', '--sha256', sha256], { cwd, env })).code).toBe(2)
    expect((await run(['verify', 'nowhere'], { cwd, env })).code).toBe(1)
    const json = jsonLines((await run(['verify', 'repo', '--json'], { cwd, env })).stdout)
    expect(json.at(-1)).toMatchObject({ type: 'summary', ok: false, counts: { damaged: 1, ok: 1 } })
    expect([await listTree(cwd), statSync(damaged).mtimeMs]).toEqual(before)
  })
})

describe('files that `get` fetched from plain URLs', () => {
  it('are known by origin and digest until they change, without any secret, wherever they are', async () => {
    const cwd = tempDir('notes')
    const env = homeIn(cwd)
    await using origin = await startOrigin()
    const headers = {
      'Repr-Digest': `sha-512=:${createHash('sha512').update(model.slice(0, model.size)).digest('base64')}:`,
    }
    for (const name of ['a.bin', 'b.bin', 'd.bin']) origin.serve(`/x/${name}`, { content: model })
    origin.serve('/x/c.bin', { content: model, headers })
    const at = (name: string) => origin.url(`/x/${name}`)
    const secret = 'sEcReTtOkEn'
    const signed = `${at('b.bin').replace('//', `//me:${secret}@`)}?X-Amz-Signature=${secret}`
    const header = ['--header', `Authorization: Bearer ${secret}`]
    await using hub = await startHub()
    hub.add('owner/repo', { files: { 'a/model.onnx': model, 'b/model.onnx': model } })
    for (const args of [
      [at('a.bin'), signed, ...header],
      [at('c.bin'), '-o', 'own.bin', '-d', 'deep/er'],
      [at('d.bin'), '--keep-paths'],
      ['hf:owner/repo', '-d', 'groups'],
    ]) {
      const ended = await run(['get', ...args, '--no-format-check'], {
        cwd,
        env: { ...env, HF_ENDPOINT: hub.url },
      })
      expect(ended).toMatchObject({ code: 0 })
    }
    const host = origin.url('').replace(/\/$/, '')
    const known = { sha256: model.sha256(), digestKnown: true, state: 'complete', total: model.size }
    const list = jsonLines((await run(['ls', '-d', '.', '--json'], { cwd, env })).stdout)
    const found = Object.fromEntries(list.map(({ name, url }): [string, unknown] => [String(name), url]))
    expect(found).toMatchObject({
      'a.bin': at('a.bin'),
      'b.bin': `${host}/x/b.bin?…`,
      'deep/er/own.bin': at('c.bin'),
      'groups/repo/a/model.onnx': 'hf:owner/repo',
      'groups/repo/b/model.onnx': 'hf:owner/repo',
    })
    expect(Object.values(found)).toContain(at('d.bin'))
    expect(list).toEqual(list.map((one) => expect.objectContaining({ ...one, ...known }) as unknown))
    const byName = new Map(list.map((one) => [one['name'], one['verification']]))
    expect(byName.get('a.bin')).toBeNull()
    expect(byName.get('deep/er/own.bin')).toMatchObject({ algorithm: 'sha512', from: 'server' })
    for (const file of await listTree(path.join(cwd, 'home')))
      if (file.endsWith('.json'))
        expect(readFileSync(path.join(cwd, 'home', file), 'utf8')).not.toContain(secret)
    expect((await listTree(path.join(cwd, 'home'))).join()).not.toContain(secret)

    // Damaged in place, and with another time: the first is found out, of the second nothing is known any more.
    const damaged = path.join(cwd, 'a.bin')
    execFileSync('touch', ['-r', damaged, path.join(cwd, 'time.part')])
    writeFileSync(damaged, Buffer.alloc(model.size))
    execFileSync('touch', ['-r', path.join(cwd, 'time.part'), damaged])
    utimesSync(path.join(cwd, 'b.bin'), 1, 1)
    const checked = await run(['verify', '--json', '-d', '.'], { cwd, env })
    const verdicts = jsonLines(checked.stdout).map(({ name, status }) => [name, status])
    expect(jsonLines(checked.stdout).find(({ name }) => name === 'deep/er/own.bin')).toMatchObject({
      comparedWith: 'sha256',
      verification: { algorithm: 'sha512', from: 'server' },
    })
    expect(verdicts).toEqual(
      expect.arrayContaining([
        ['a.bin', 'damaged'],
        ['b.bin', 'unknown'],
        ['deep/er/own.bin', 'ok'],
      ]),
    )
    expect(checked.code).toBe(1)
    expect(verdicts.filter(([, status]) => status === 'unknown')).toHaveLength(1)
    expect((await run(['rm', 'own.bin', '-d', '.', '--yes'], { cwd, env })).code).toBe(0)
    put(path.join(cwd, 'deep', 'er', 'own.bin'), model.slice(0, model.size))
    const after = jsonLines((await run(['ls', '-d', 'deep', '--json'], { cwd, env })).stdout)
    expect(after).toMatchObject([{ name: 'er/own.bin', url: null, digestKnown: false }])
  })
})

describe('info', () => {
  it('tells of licence, quantisations, sizes, and what is on disk', async () => {
    const cwd = tempDir('info')
    await using hub = await startHub()
    const [q4, q8] = [ggufContent(100_000, 'q4'), ggufContent(200_000, 'q8')]
    const commit = hub.add('owner/model', {
      files: { 'model-Q4_K_M.gguf': q4, 'model-Q8_0.gguf': q8, 'README.md': randomContent(50) },
      license: 'apache-2.0',
    })
    const env = { ...homeIn(cwd), HF_ENDPOINT: hub.url }
    expect((await run(['get', 'hf:owner/model:Q4_K_M', '-d', 'models'], { cwd, env })).code).toBe(0)
    const before = await listTree(cwd)
    const text = await run(['info', 'hf:owner/model'], { cwd, env })
    expect(text.code).toBe(0)
    expect(text.stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual(
      expect.arrayContaining([
        `revision | ${commit}`,
        'licence | apache-2.0',
        'gated | no',
        'size | 3 files, 300 kB',
        'quantisations | Q4_K_M (100 kB), Q8_0 (200 kB)',
        'on disk | 1 of 3 files (100 kB)',
      ]),
    )
    const json = jsonLines((await run(['info', 'hf:owner/model:Q8_0', '--json'], { cwd, env })).stdout)
    expect(json).toMatchObject([
      {
        type: 'info',
        source: 'huggingface',
        revision: commit,
        license: 'apache-2.0',
        gated: false,
        files: [
          {
            path: 'model-Q8_0.gguf',
            size: 200_000,
            sha256: q8.sha256(),
            quantisation: 'Q8_0',
            onDisk: 'no',
            verification: null,
          },
        ],
      },
    ])
    expect(await listTree(cwd)).toEqual(before)
    const here = jsonLines((await run(['info', 'hf:owner/model:Q4_K_M', '--json'], { cwd, env })).stdout)
    const verification = { algorithm: 'sha256', value: q4.sha256(), from: 'source' }
    expect(here).toMatchObject([{ files: [{ onDisk: 'here', verification, digests: [] }] }])
    await using origin = await startOrigin()
    origin.serve('/x.bin', { content: model })
    const plain = await run(['info', origin.url('/x.bin'), '--json'], { cwd, env })
    expect(jsonLines(plain.stdout)).toMatchObject([
      { source: null, files: [{ path: 'x.bin', size: model.size }] },
    ])
    hub.add('owner/gated', { files: { 'a.bin': model }, gated: 'manual', license: 'llama3.1' })
    const gated = await run(['info', 'hf:owner/gated'], { cwd, env })
    expect([gated.code, gated.stderr]).toEqual([
      1,
      expect.stringMatching(/is gated: .* \(ACCESS_DENIED\)\n$/),
    ])
    expect(gated.stdout).toMatch(/^licence +llama3\.1\ngated +yes: its terms must be accepted\n$/m)
    const missing = await run(['info', 'hf:owner/none'], { cwd, env })
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('no repository owner/none')])
  })
})
