/** Taking files from the caches of other programs: which are found, how they come, and which are refused. */
import { createHash } from 'node:crypto'
import { appendFile, link, lstat, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { adoptFile, type Adopted, type AdoptInit } from '../../src/layouts/adopt.js'
import { CacheIndex, type WantedFile } from '../../src/layouts/cache-index.js'
import type { KnownCaches } from '../../src/layouts/known-caches.js'
import { ManualClock } from '../support/clock.js'
import { mounting, skipFor } from '../support/machine.js'
import { listTree, sha256File, smallTmpfs, tempDir } from '../support/temp.js'

const bytes = Buffer.from('the bytes of a model')
const sha256 = createHash('sha256').update(bytes).digest('hex')
const other = Buffer.from('THE BYTES OF A MODEL')
const wantedFile: WantedFile = {
  sha256,
  size: bytes.length,
  filename: 'model.gguf',
  repository: 'owner/name',
}

/** Reported in `refused` if it gets that far. */
const unread = { hash: () => Promise.reject(new Error('read')) }

interface Scene {
  root: string
  caches: KnownCaches
  target: string
  refused: string[]
  adopt: (more?: Partial<AdoptInit>) => Promise<Adopted | null>
}

function makeScene(target = join(tempDir('target'), 'mine.gguf')): Scene {
  const root = tempDir('caches')
  const caches: KnownCaches = {
    hub: [join(root, 'hub')],
    ollama: [join(root, 'ollama')],
    lmStudio: [join(root, 'lm')],
    modelScope: [join(root, 'ms', 'models'), join(root, 'ms')],
    llamaCpp: [join(root, 'llama')],
  }
  const refused: string[] = []
  const adopt = (more: Partial<AdoptInit> = {}) =>
    adoptFile({
      wanted: wantedFile,
      caches: new CacheIndex(caches),
      target,
      temporary: `${target}.part.adopt`,
      mode: 0o640,
      share: true,
      hash: (path) => sha256File(path),
      signal: new AbortController().signal,
      reserve: () => Promise.resolve(),
      onRefused: ({ path }) => void refused.push(path),
      ...more,
    })
  return { root, caches, target, refused, adopt }
}

async function put(root: string, path: string, content: Buffer | string = bytes): Promise<string> {
  const full = join(root, path)
  await mkdir(dirname(full), { recursive: true })
  await writeFile(full, content)
  return full
}

describe('a file is found', () => {
  it.each([
    ['in a cache of the hub', `hub/models--owner--name/blobs/${sha256}`],
    ['in another repository of it', `hub/models--someone--fork/blobs/${sha256}`],
    ['in a data set of it', `hub/datasets--owner--name/blobs/${sha256}`],
    ["among Ollama's blobs", `ollama/blobs/sha256-${sha256}`],
    ['in LM Studio', 'lm/owner/name/model.gguf'],
    ['in ModelScope', 'ms/models/owner/name/model.gguf'],
    ['in the old folder of ModelScope', 'ms/owner/na___me/onnx/model.gguf'],
    ['in llama.cpp', 'llama/owner_name_model.gguf'],
    ['in llama.cpp, by its own name', 'llama/model.gguf'],
  ])('%s', async (_, path) => {
    const scene = makeScene()
    const original = await put(scene.root, path)
    const adopted = await scene.adopt()
    expect(adopted).toMatchObject({ from: original })
    expect(await readFile(scene.target)).toEqual(bytes)
    expect(await listTree(dirname(scene.target))).toEqual(['mine.gguf'])
    expect(await readFile(original)).toEqual(bytes)
  })

  it('in ModelScope by its repository and path first, and not among unfinished files', async () => {
    const scene = makeScene()
    const wanted = { ...wantedFile, filename: 'onnx/model.gguf', repository: 'owner/na.me' }
    await put(scene.root, 'ms/models/else/x/model.gguf')
    await put(scene.root, 'ms/models/owner/na___me/model.gguf')
    const best = await put(scene.root, 'ms/models/owner/na___me/onnx/model.gguf')
    await put(scene.root, 'ms/models/owner/na___me/.msc', 'notes')
    await put(scene.root, 'ms/._____temp/owner/na___me/onnx/model.gguf')
    const found = []
    for await (const { path } of new CacheIndex(scene.caches).find(wanted)) found.push(path)
    expect(found[0]).toBe(best)
    expect(found).toHaveLength(3)
    expect(await scene.adopt({ wanted })).toMatchObject({ from: best, cache: 'ModelScope' })
  })

  it('in llama.cpp by what its server called the content, whatever its name', async () => {
    for (const [ending, text] of [
      ['etag', `"${sha256}"`],
      ['json', JSON.stringify({ etag: `"${sha256}"`, url: `https://x/${'0'.repeat(64)}` })],
    ] as const) {
      const scene = makeScene()
      const original = await put(scene.root, 'llama/whatever.bin')
      await put(scene.root, `llama/whatever.bin.${ending}`, text)
      expect(await scene.adopt(), ending).toMatchObject({ from: original })
    }
  })

  it('not in llama.cpp when its server called it otherwise: it is not even read', async () => {
    const scene = makeScene()
    await put(scene.root, 'llama/owner_name_model.gguf')
    await put(scene.root, 'llama/owner_name_model.gguf.etag', `"${'0'.repeat(64)}"`)
    expect(await scene.adopt(unread)).toBeNull()
    expect(scene.refused).toEqual([])
  })

  it('in its own repository first', async () => {
    const scene = makeScene()
    await put(scene.root, `hub/models--a--fork/blobs/${sha256}`)
    await put(scene.root, `hub/models--owner--name/blobs/${sha256}`)
    await put(scene.root, 'lm/owner/name/model.gguf')
    expect((await scene.adopt())?.from).toContain('models--owner--name')
  })

  it('nowhere, and what a killed run has left of it goes away', async () => {
    const scene = makeScene()
    await writeFile(`${scene.target}.part.adopt`, 'half')
    expect(await scene.adopt()).toBeNull()
    expect(await listTree(dirname(scene.target))).toEqual([])
  })

  it('nowhere, without a word', async () => {
    const scene = makeScene()
    expect(await scene.adopt()).toBeNull()
    expect(scene.refused).toEqual([])
    expect(await listTree(dirname(scene.target))).toEqual([])
  })

  it('by name only when the size is known and the same', async () => {
    const scene = makeScene()
    await put(scene.root, 'lm/owner/name/model.gguf')
    expect(await scene.adopt({ ...unread, wanted: { ...wantedFile, size: null } })).toBeNull()
    expect(await scene.adopt({ ...unread, wanted: { ...wantedFile, size: bytes.length + 1 } })).toBeNull()
    expect(await scene.adopt({ ...unread, wanted: { ...wantedFile, filename: 'other.gguf' } })).toBeNull()
    expect(scene.refused).toEqual([])
  })

  it('in caches that are listed once for many files, and again after a while', async () => {
    const { root, caches } = makeScene()
    const clock = new ManualClock()
    const index = new CacheIndex(caches, clock)
    const find = async () => {
      const found: string[] = []
      for await (const { path } of index.find(wantedFile)) found.push(path)
      return found
    }
    const [none] = await Promise.all([find(), find()])
    expect(none).toEqual([])
    const late = await put(root, `ollama/blobs/sha256-${sha256}`)
    clock.advance(10_000)
    expect(await find()).toEqual([])
    clock.advance(1)
    expect(await find()).toEqual([late])
    await rm(late)
    expect(await find(), 'one that has gone meanwhile').toEqual([])
  })
})

describe('a file comes', () => {
  it('without a copy where that can be, and is a copy of its own where nothing is to be shared', async () => {
    const scene = makeScene()
    const original = await put(scene.root, `ollama/blobs/sha256-${sha256}`)
    const shared = await scene.adopt()
    expect(['reflink', 'link']).toContain(shared?.by)
    if (shared?.by === 'link') expect((await stat(scene.target)).ino).toBe((await stat(original)).ino)

    const own = await scene.adopt({ share: false })
    expect(['reflink', 'copy']).toContain(own?.by)
    const [a, b] = await Promise.all([stat(scene.target), stat(original)])
    expect(a.ino).not.toBe(b.ino)
    expect(a.mode & 0o777).toBe(0o640)
    expect(await readFile(scene.target)).toEqual(bytes)
  })

  it('as a copy from another file system', async (context) => {
    const folder = smallTmpfs(1024 * 1024)
    if (folder === null) return skipFor(context, mounting)
    const scene = makeScene(join(folder, 'mine.gguf'))
    await put(scene.root, `ollama/blobs/sha256-${sha256}`)
    expect(await scene.adopt()).toMatchObject({ by: 'copy' })
    expect(await listTree(folder)).toEqual(['mine.gguf'])
    expect(await readFile(scene.target)).toEqual(bytes)
  })

  it('in place of what lay there, and of what a killed run left beside it', async () => {
    const scene = makeScene()
    const original = await put(scene.root, `ollama/blobs/sha256-${sha256}`)
    await writeFile(scene.target, 'old')
    // Had the kill come between link and rename, this would be the original itself.
    await link(original, `${scene.target}.part.adopt`)
    await scene.adopt({ share: false })
    expect(await readFile(scene.target)).toEqual(bytes)
    expect(await readFile(original)).toEqual(bytes)
    expect(await listTree(dirname(scene.target))).toEqual(['mine.gguf'])
  })
})

describe('a file is refused', () => {
  it('when it has another content under the right name, and is not hashed again until it changes', async () => {
    const scene = makeScene()
    const wrong = await put(scene.root, `hub/models--owner--name/blobs/${sha256}`, other)
    const right = await put(scene.root, 'lm/owner/name/model.gguf')
    expect(await scene.adopt()).toMatchObject({ from: right })
    expect(scene.refused).toEqual([wrong])
    expect(await readFile(wrong)).toEqual(other)

    let hashed = 0
    const counting = { hash: (path: string) => (hashed++, sha256File(path)) }
    await scene.adopt(counting)
    expect(hashed, 'only the right one').toBe(1)
    await writeFile(wrong, bytes)
    expect(await scene.adopt(counting)).toMatchObject({ from: wrong })
  })

  it('when it is a link, a folder, or of another size', async () => {
    const scene = makeScene()
    const outside = await put(scene.root, 'outside')
    await mkdir(join(scene.root, 'ollama', 'blobs'), { recursive: true })
    await symlink(outside, join(scene.root, 'ollama', 'blobs', `sha256-${sha256}`))
    await mkdir(join(scene.root, 'hub', 'models--owner--name', 'blobs', sha256), { recursive: true })
    await put(scene.root, `hub/models--a--b/blobs/${sha256}`, 'short')
    expect(await scene.adopt(unread)).toBeNull()
    expect(scene.refused).toEqual([])
  })

  it('when somebody writes to it while it is looked at', async () => {
    const scene = makeScene()
    const original = await put(scene.root, `ollama/blobs/sha256-${sha256}`)
    const adopted = await scene.adopt({
      hash: async (path) => {
        const digest = await sha256File(path)
        await appendFile(original, 'more')
        return digest
      },
    })
    // What is shared has changed; what was copied beforehand has not.
    if (adopted !== null) expect(await readFile(scene.target)).toEqual(bytes)
    else expect(await listTree(dirname(scene.target))).toEqual([])
  })

  it('when nobody wants it any more', async () => {
    const scene = makeScene()
    await put(scene.root, `ollama/blobs/sha256-${sha256}`)
    const stop = new AbortController()
    const stopped = scene.adopt({
      signal: stop.signal,
      hash: async () => {
        stop.abort(new Error('stopped'))
        throw new Error('stopped')
      },
    })
    await expect(stopped).rejects.toThrow('stopped')
    expect(await listTree(dirname(scene.target))).toEqual([])
    await expect(lstat(scene.target)).rejects.toThrow('ENOENT')
  })
})
