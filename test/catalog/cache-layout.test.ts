/** Models that are kept in a cache of the Hugging Face libraries. */
import { existsSync } from 'node:fs'
import { realpath, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Catalog, type CatalogModel } from '../../src/catalog/catalog.js'
import { huggingFace } from '../../src/index.js'
import type { DownloadManagerOptions } from '../../src/manager/options.js'
import { sourceRegistry } from '../../src/sources/resolver.js'
import { withHome } from '../layouts/home.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { type Hub, startHub } from '../support/hub.js'
import { tempDir } from '../support/temp.js'
import { open } from './support.js'

const files = {
  'model.gguf': ggufContent(40_000, 'm'),
  'config.json': textContent('{"a":1}'),
  'onnx/x.bin': randomContent(20_000, 'x'),
}

const ref = 'hf:owner/model'

const optionsOf = (hub: Hub, directory: string, more: DownloadManagerOptions = {}) => ({
  directory,
  sources: [huggingFace({ endpoint: hub.url, token: null })],
  worker: false,
  ...more,
})

const both: readonly CatalogModel[] = [
  { key: 'whole', ref, layout: 'hf-cache' },
  { key: 'one', ref: 'hf:owner/single/model.gguf', layout: 'hf-cache', sha256: files['model.gguf'].sha256() },
]

describe('a catalog with the layout hf-cache', () => {
  it('is preloaded into the cache, and known to be ready, also after a restart and without a network', async () => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    const single = hub.add('owner/single', { files })
    const directory = tempDir('cache-layout')
    const snapshot = join(directory, 'models--owner--model', 'snapshots', commit)
    {
      await using scene = await open(both, optionsOf(hub, directory))
      const before = await scene.preloader.modelsStatus()
      expect(before.models['whole']).toMatchObject({ ready: false, cache_hint: directory })
      await scene.preloader.start()
      expect(await scene.end()).toMatchObject({ success_flag: true, completed: 2 })
      expect(existsSync(join(snapshot, 'onnx', 'x.bin'))).toBe(true)
      const { models, any_missing: missing } = await scene.preloader.modelsStatus()
      expect(missing).toBe(false)
      expect(models['whole']).toMatchObject({ ready: true, cache_hint: snapshot })
      expect(models['one']).toMatchObject({
        ready: true,
        cache_hint: join(directory, 'models--owner--single', 'snapshots', single, 'model.gguf'),
      })
    }
    hub.origin.stopListening()
    const asked = hub.origin.requests().length
    await using scene = await open(both, optionsOf(hub, directory))
    expect((await scene.preloader.modelsStatus()).any_missing).toBe(false)
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true, completed: 2 })
    expect(hub.origin.requests()).toHaveLength(asked)

    // A link without its blob, a blob of another size, and a blob without its link are not ready.
    await rm(join(snapshot, 'config.json'))
    expect((await scene.preloader.modelsStatus()).models['whole']?.ready).toBe(false)
    await writeFile(
      join(directory, 'models--owner--single', 'blobs', files['model.gguf'].sha256()),
      'something else',
    )
    expect((await scene.preloader.modelsStatus()).models['one']?.ready).toBe(false)
  })

  it("goes into the environment's cache without a folder, where a file of another program is ready", async () => {
    await withHome(async (home) => {
      await using hub = await startHub()
      const commit = hub.add('owner/model', { files })
      const cache = join(home, '.cache', 'huggingface', 'hub')
      process.env['HF_HUB_CACHE'] = cache
      const elsewhere = { sources: optionsOf(hub, '').sources, worker: false, store: 'memory' as const }
      const models: readonly CatalogModel[] = [{ key: 'one', ref: `${ref}/config.json`, layout: 'hf-cache' }]
      {
        await using scene = await open(models, elsewhere)
        await scene.preloader.start()
        expect(await scene.end()).toMatchObject({ success_flag: true })
      }
      await using scene = await open(models, elsewhere)
      const { models: found } = await scene.preloader.modelsStatus()
      expect(found['one']?.ready).toBe(true)
      expect(found['one']?.cache_hint.startsWith(cache)).toBe(true)

      // Where links are refused, the snapshot has the file itself, and there is no blob.
      const snapshot = join(cache, 'models--owner--model', 'snapshots', commit, 'config.json')
      await rename(await realpath(snapshot), snapshot)
      await using later = await open(models, elsewhere)
      expect((await later.preloader.modelsStatus()).models['one']?.ready).toBe(true)
    })
  })

  it('is that of the manager where a model sets neither mode nor file name', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const directory = tempDir('cache-layout')
    const models: readonly CatalogModel[] = [
      { key: 'cached', ref: `${ref}/config.json` },
      { key: 'moded', ref: `${ref}/model.gguf`, mode: 'embed' },
      { key: 'flat', ref: `${ref}/onnx/x.bin`, layout: 'flat' },
    ]
    await using scene = await open(models, optionsOf(hub, directory, { layout: 'hf-cache' }))
    await scene.preloader.start()
    expect(await scene.end()).toMatchObject({ success_flag: true })
    const { models: found } = await scene.preloader.modelsStatus()
    expect(Object.values(found).map(({ ready }) => ready)).toEqual([true, true, true])
    expect(found['cached']?.cache_hint).toContain('models--owner--model')
    expect(found['moded']?.cache_hint).toBe(join(directory, 'embed', 'model.gguf'))
    expect(found['flat']?.cache_hint).toBe(join(directory, 'llm', 'x.bin'))
  })

  it.each<[string, CatalogModel]>([
    ['with a mode', { key: 'a', ref, layout: 'hf-cache', mode: 'llm' }],
    ['with a file name', { key: 'a', ref, layout: 'hf-cache', filename: 'x.gguf' }],
    ['with a URL', { key: 'a', url: 'https://models.example/x.gguf', layout: 'hf-cache' }],
    ['with another source', { key: 'a', ref: 'ms:owner/model', layout: 'hf-cache' }],
  ])('is refused %s', (_, model) => {
    expect(() => new Catalog([model]).identifiedBy(sourceRegistry())).toThrow(/models\.0\.layout: /)
  })
})
