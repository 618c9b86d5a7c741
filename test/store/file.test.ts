import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from '../support/properties.js'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { io } from '../../src/disk/io.js'
import { createFileStore, FileStore } from '../../src/store/file.js'
import { bundle } from '../support/bundle.js'
import { folderSync, posix, skipFor, symlinks } from '../support/machine.js'
import { withTimeout } from '../support/wait.js'
import { anyRecord, describeStore, recordOf } from './conformance.js'

let root: string
let folder: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'store-'))
  folder = join(root, 'models', '.model-downloader')
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

const open = () => createFileStore(folder)
describeStore('the file store', {
  open,
  reopen: open,
  reopenAfterKill: open,
  openUnreachable: async () => {
    await writeFile(join(root, 'a file'), '')
    return createFileStore(join(root, 'a file'))
  },
  corrupt: async (id) => {
    await writeFile(join(folder, `${id}.json`), '{"url":"https://')
  },
})

const id = recordOf(1).id
const name = `${id}.json`
const mode = async (path: string) => (await stat(path)).mode & 0o777

describe('the file store on disk', () => {
  it('makes nothing by loading, removing or closing', async () => {
    const store = createFileStore(folder)
    await store.load()
    await store.remove(id)
    await store.close?.()
    expect(await readdir(root)).toEqual([])
  })

  it('keeps its folder and files private, but not the folder above', async (context) => {
    if (!posix.available()) skipFor(context, posix)
    await createFileStore(folder).save(recordOf(1))
    expect(await mode(folder)).toBe(0o700)
    expect(await mode(join(folder, name))).toBe(0o600)
    await mkdir(join(root, 'ordinary'))
    expect(await mode(join(root, 'models'))).toBe(await mode(join(root, 'ordinary')))
  })

  it('makes its folder again when somebody deleted it', async () => {
    const store = createFileStore(folder)
    await store.save(recordOf(1))
    await rm(folder, { recursive: true })
    await store.save(recordOf(2))
    expect(await readdir(folder)).toEqual([`${recordOf(2).id}.json`])
  })

  it('writes only the newest of the records that wait', async () => {
    const store = createFileStore(folder)
    await store.save(recordOf(1))
    let inode = (await stat(join(folder, name))).ino
    let replaced = 0
    const saves = Promise.all(
      Array.from({ length: 1_000 }, (_, i) => store.save(recordOf(1, { downloaded: i }))),
    )
    const state = { busy: true }
    void saves.finally(() => (state.busy = false))
    while (state.busy) {
      const now = (await stat(join(folder, name))).ino
      if (now !== inode) replaced++
      inode = now
    }
    await saves
    expect(replaced).toBeLessThanOrEqual(2)
    expect((await store.load()).records[0]?.downloaded).toBe(999)
  })

  it('syncs its folder once for records that are saved together', async (context) => {
    if (!folderSync.available()) skipFor(context, folderSync)
    const store = createFileStore(folder)
    await store.save(recordOf(0))
    const opened = vi.spyOn(io, 'open')
    await Promise.all(Array.from({ length: 60 }, (_, i) => store.save(recordOf(i))))
    const syncs = opened.mock.calls.filter(([path]) => path === folder).length
    opened.mockRestore()
    expect(syncs).toBeGreaterThan(0)
    expect(syncs).toBeLessThan(60)
    expect((await store.load()).records).toHaveLength(60)
  })

  it.for(['queued', 'paused', 'canceled', 'downloading', 'completed', 'failed'] as const)(
    'syncs the folder only for what a caller was promised, which a record that is %s may be',
    async (state, context) => {
      if (!folderSync.available()) skipFor(context, folderSync)
      const store = createFileStore(folder)
      await store.save(recordOf(1))
      const opened = vi.spyOn(io, 'open')
      await store.save(recordOf(1, { state }))
      const syncs = opened.mock.calls.filter(([path]) => path === folder).length
      opened.mockRestore()
      expect(syncs).toBe(['queued', 'paused', 'canceled'].includes(state) ? 1 : 0)
    },
  )

  it('tells which records are lost', async () => {
    await createFileStore(folder).save(recordOf(1))
    await writeFile(join(folder, name), '')
    const store = new FileStore(folder)
    expect((await store.load()).records).toEqual([])
    expect(store.lost).toEqual([id])
    await store.load()
    expect(store.lost).toEqual([])
  })

  it('tells a save that fails, and goes on with the next', async () => {
    await mkdir(join(folder, name, 'in the way'), { recursive: true })
    const store = createFileStore(folder)
    const [first, second] = await Promise.allSettled([store.save(recordOf(1)), store.save(recordOf(1))])
    for (const result of [first, second]) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STORE_ERROR' } })
      if (result.status === 'rejected') expect(String(result.reason)).not.toContain(root)
    }
    expect(await readdir(folder)).toEqual([name])
    await rm(join(folder, name), { recursive: true })
    await store.save(recordOf(1))
    expect((await store.load()).records).toHaveLength(1)
    await expect(store.save({ ...recordOf(1), id: '../../escape' })).rejects.toMatchObject({
      code: 'STORE_ERROR',
    })
  })

  it('tells when it cannot be reached', async () => {
    await mkdir(join(root, 'models'))
    await writeFile(folder, 'a file, not a folder')
    const store = createFileStore(folder)
    await expect(store.load()).rejects.toMatchObject({ code: 'STORE_ERROR' })
    await expect(store.save(recordOf(1))).rejects.toMatchObject({ code: 'STORE_ERROR' })
    await expect(store.remove(id)).rejects.toMatchObject({ code: 'STORE_ERROR' })
  })

  it('leaves a record alone that it may not read', async (context) => {
    if (!posix.available()) skipFor(context, posix)
    await createFileStore(folder).save(recordOf(1))
    await chmod(join(folder, name), 0)
    // Root may read everything: step down for a moment.
    const isRoot = process.geteuid?.() === 0
    if (isRoot) {
      for (const place of [root, join(root, 'models'), folder]) await chmod(place, 0o777)
      process.seteuid?.(65534)
    }
    try {
      const { records, problems } = await createFileStore(folder).load()
      expect(records).toEqual([])
      expect(problems).toEqual([`Permission was denied while reading the record ${name} (EACCES).`])
    } finally {
      if (isRoot) process.seteuid?.(0)
    }
    expect(await readdir(folder)).toEqual([name])
  })
})

describe('a broken record', () => {
  const good = `${JSON.stringify(recordOf(1))}\n`
  const other = recordOf(2)

  /** The broken one is set aside and reported; the other one is not affected. */
  async function expectSetAside(content: string | Uint8Array): Promise<void> {
    await createFileStore(folder).save(other)
    await writeFile(join(folder, name), content)
    const { records, problems } = await createFileStore(folder).load()
    expect(records).toStrictEqual([other])
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`${name}.corrupt`)
    expect((await readFile(join(folder, `${name}.corrupt`))).equals(Buffer.from(content))).toBe(true)
    expect(await createFileStore(folder).load()).toEqual({ records: [other], problems: [] })
  }

  it.each([
    ['empty', ''],
    ['not JSON', 'nonsense'],
    ['null', 'null'],
    ['an array', '[]'],
    ['zeros, as a power cut leaves them', '\0'.repeat(600)],
    ['of a later version', JSON.stringify({ ...recordOf(1), version: 2 })],
    ['of no version', JSON.stringify({ ...recordOf(1), version: undefined })],
    ['without a url', JSON.stringify({ ...recordOf(1), url: undefined })],
    ['of an unknown state', JSON.stringify({ ...recordOf(1), state: 'sleeping' })],
    ['of a negative size', JSON.stringify({ ...recordOf(1), size: -1 })],
    ['under the name of another', JSON.stringify(recordOf(2))],
    ['two in one', good + good],
    ['huge', good + ' '.repeat(33 * 1024 * 1024)],
    ['not UTF-8', Buffer.concat([Buffer.from(good.slice(0, -3)), Buffer.from([0xff]), Buffer.from('"}')])],
  ])('that is %s is set aside', async (_name, content) => {
    await expectSetAside(content)
  })

  it('tells no secrets of it', async () => {
    await mkdir(folder, { recursive: true })
    await writeFile(
      join(folder, name),
      JSON.stringify({ ...recordOf(1), headers: { authorization: ['s3cret'] } }),
    )
    const { problems } = await createFileStore(folder).load()
    expect(problems.join()).toContain('headers.authorization')
    expect(problems.join()).not.toContain('s3cret')
  })

  it('of random bytes is set aside', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), expectSetAside), { numRuns: 40 })
  })

  it('that was cut anywhere is set aside', async () => {
    await fc.assert(
      fc.asyncProperty(anyRecord, fc.double({ min: 0, max: 0.999, noNaN: true }), async (record, share) => {
        const whole = JSON.stringify({ ...record, id })
        await expectSetAside(whole.slice(0, Math.floor(whole.length * share)))
      }),
      { numRuns: 40 },
    )
  })

  it('that is a folder or a link is set aside, and what is none of ours stays', async () => {
    await createFileStore(folder).save(other)
    await mkdir(join(folder, name))
    const hasLinks = symlinks.available()
    if (hasLinks) await symlink('/etc/passwd', join(folder, `${recordOf(3).id}.json`))
    const upper = `${id.toUpperCase()}.json`
    // Where case does not count, this is the name of the record.
    const uppers = existsSync(join(folder, upper)) ? [] : [upper]
    const strangers = ['README', 'x.json', `${id}.json.corrupt`, `${id}.json.TOOLONG`, ...uppers]
    for (const stranger of strangers) await writeFile(join(folder, stranger), 'x')
    await rm(join(folder, `${id}.json.corrupt`))
    const { records, problems } = await createFileStore(folder).load()
    expect(records).toStrictEqual([other])
    expect(problems).toHaveLength(hasLinks ? 2 : 1)
    expect(await readdir(folder)).toEqual(expect.arrayContaining(strangers))
  })

  it('never comes of a writer that died: its temporary file is deleted', async () => {
    await createFileStore(folder).save(recordOf(1))
    await writeFile(join(folder, `${name}.a1b2c3`), good.slice(0, 50))
    const { records, problems } = await createFileStore(folder).load()
    expect({ records, problems }).toEqual({ records: [recordOf(1)], problems: [] })
    expect(await readdir(folder)).toEqual([name])
  })

  it('never comes of kill -9 at any instant (FAULTS row 31)', async () => {
    const module = await bundle('src/store/file.ts', root)
    const script = `
      const { createFileStore } = await import(${JSON.stringify(pathToFileURL(module).href)})
      const store = createFileStore(${JSON.stringify(folder)})
      const record = ${JSON.stringify(recordOf(1))}
      for (let i = 1; ; i++) {
        await store.save({ ...record, downloaded: i, filename: 'x'.repeat(i % 5000 + 1) })
        process.stdout.write(i + '\\n')
      }`
    for (let round = 0; round < 6; round++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let out = ''
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString()
        // Each round dies a bit later.
        if (out.length > round * 40) child.kill('SIGKILL')
      })
      await withTimeout(once(child, 'close'), 10_000, 'the writer')
      const { records, problems } = await createFileStore(folder).load()
      expect(problems).toEqual([])
      const told = Number(out.trim().split('\n').at(-1))
      expect(told).toBeGreaterThan(0)
      expect(records[0]?.downloaded).toBeGreaterThanOrEqual(told)
      expect(await readdir(folder)).toEqual([name])
    }
  })
})

describe('a document on disk', () => {
  it.each([
    ['empty', ''],
    ['torn', '{"a":'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ])('that is %s is set aside, and told of without its content', async (_, content) => {
    await createFileStore(folder).save(recordOf(1))
    await writeFile(join(folder, 'preload.json'), content)
    const found = await createFileStore(folder).readDocument?.('preload')
    expect(found?.value).toBeNull()
    expect(found?.problem).toContain('preload.json.corrupt')
    expect(await readFile(join(folder, 'preload.json.corrupt'))).toEqual(Buffer.from(content))
    expect(await createFileStore(folder).readDocument?.('preload')).toEqual({ value: null, problem: null })
  })

  it('is private, no record, and tidied after a writer that died', async () => {
    const store = createFileStore(folder)
    await store.writeDocument?.('preload', { a: 1 })
    if (posix.available()) expect(await mode(join(folder, 'preload.json'))).toBe(0o600)
    await writeFile(join(folder, 'preload.json.a1b2c3'), '{')
    await writeFile(join(folder, 'preload.json.backup'), '{')
    expect(await store.load()).toEqual({ records: [], problems: [] })
    expect((await readdir(folder)).sort()).toEqual(['preload.json', 'preload.json.backup'])
  })
})
