/** Catalog models that consist of several files of a repository, or of some of them. */
import { describe, expect, it } from 'vitest'
import { Catalog, huggingFace, type CatalogModel } from '../../src/index.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { listTree, tempDir } from '../support/temp.js'
import { open } from './support.js'

const ref = 'hf:owner/model'
const files = {
  'config.json': textContent('{}'),
  'one.dat': randomContent(40_000, 'one format'),
  'two.dat': randomContent(40_000, 'another format'),
}

const managerOf = (hub: Hub, directory: string) => ({
  directory,
  sources: [huggingFace({ endpoint: hub.url, token: null })],
})

async function startRepository(): Promise<Hub> {
  const hub = await startHub()
  hub.add('owner/model', { files })
  return hub
}

describe('a model that is a repository', () => {
  it('is preloaded whole, or with those files that its globs choose', async () => {
    await using hub = await startRepository()
    const directory = tempDir('globs')
    const model: CatalogModel = { key: 'llm', ref, exclude: ['two.*'] }
    await using scene = await open([model], managerOf(hub, directory))
    expect((await scene.preloader.modelsStatus()).models['llm']).toMatchObject({ ready: false })
    await scene.preloader.start()
    const end = await scene.end()
    expect(end, JSON.stringify(end)).toMatchObject({ success_flag: true, completed: 1 })
    expect((await listTree(directory)).filter((path) => path.startsWith('llm/'))).toEqual([
      'llm/',
      'llm/model/',
      'llm/model/config.json',
      'llm/model/one.dat',
    ])
    expect((await scene.preloader.modelsStatus()).models['llm']).toMatchObject({ ready: true })
  })

  it('is asked for again when the catalog chooses other files, also when it chooses all', async () => {
    await using hub = await startRepository()
    const directory = tempDir('globs')
    const wanted: Partial<CatalogModel>[] = [{ include: ['*.json'] }, { include: ['*.json', 'one.*'] }, {}]
    const counts = []
    for (const globs of wanted) {
      await using scene = await open([{ key: 'llm', ref, ...globs }], managerOf(hub, directory))
      await scene.preloader.start()
      expect(await scene.end()).toMatchObject({ success_flag: true })
      // A single file is no group.
      counts.push(scene.manager.get(ref)?.group?.files.length ?? 1)
    }
    expect(counts).toEqual([1, 2, 3])
  })

  it('is refused with globs where it is a plain URL', () => {
    const model = { key: 'llm', url: 'https://example.com/a.gguf', include: ['*'], exclude: ['*.md'] }
    expect(() => new Catalog([model])).toThrow(
      /models\.0\.include: can only be used with a ref.*models\.0\.exclude/,
    )
    expect(() => new Catalog([{ key: 'llm', ref, include: [''] }])).toThrow('models.0.include.0')
    expect(new Catalog([{ key: 'llm', url: 'https://huggingface.co/a/b', include: ['*.json'] }]).entries[0]).toMatchObject({ include: ['*.json'], exclude: [] }) // prettier-ignore
  })
})
