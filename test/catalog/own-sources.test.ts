import { describe, expect, it } from 'vitest'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { DownloadError } from '../../src/errors.js'
import { DownloadManager } from '../../src/manager/manager.js'
import type { Source } from '../../src/sources/source.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { messagesIn, open } from './support.js'

function sourceAt(url: string, fields: Partial<Source> = {}): Source {
  return {
    name: 'mine',
    match: (ref) => ref.startsWith('mine:'),
    resolve: () => Promise.resolve({ files: [{ filename: 'model.dat', urls: [url], headers: {} }] }),
    ...fields,
  }
}

async function refusal(catalog: Catalog, sources: Source[]): Promise<DownloadError | null> {
  await using manager = new DownloadManager({ directory: tempDir(), sources, store: 'memory' })
  try {
    await new Preloader({ manager, catalog }).close()
    return null
  } catch (error) {
    if (error instanceof DownloadError) return error
    throw error
  }
}

describe('refs of a catalog', () => {
  const internal = new Catalog([{ key: 'internal', ref: 'hf:internal-model' }])

  it('are checked by the sources of the manager, not by those that they replace', async () => {
    const own = sourceAt('https://host/a', { name: 'huggingface', match: (ref) => ref.startsWith('hf:') })
    expect(await refusal(internal, [own])).toBeNull()
    const error = await refusal(internal, [])
    expect(error?.code).toBe('INVALID_OPTIONS')
    expect(error?.issues[0]?.path).toBe('models.0.ref')
  })

  it('are reported with every problem, and with the file that they were read from', async () => {
    const catalog = new Catalog(
      [
        { key: 'a', ref: 'hf:org' },
        { key: 'b', ref: 'hf:org/model' },
        { key: 'c', ref: 'nobody:knows' },
      ],
      { file: '/somewhere/models.json' },
    )
    const error = await refusal(catalog, [])
    expect(error?.issues.map(({ path }) => path)).toEqual(['models.0.ref', 'models.2.ref'])
    expect(error?.message).toContain('models.json: ')
  })

  it('meet in one file only when the names that the sources of the manager give say so', async () => {
    const catalog = new Catalog([
      { key: 'a', ref: 'mine:a' },
      { key: 'b', ref: 'mine:b' },
    ])
    expect(await refusal(catalog, [sourceAt('https://host/a')])).toBeNull()
    const named = sourceAt('https://host/a', { filenameOf: () => 'model.gguf' })
    expect((await refusal(catalog, [named]))?.issues.map(({ path }) => path)).toEqual(['models.1.filename'])
  })

  it('stand in the logs as they were written', async () => {
    await using origin = await startOrigin()
    origin.serve('/model.dat', { content: randomContent(1_000, 'one') })
    await using scene = await open([{ key: 'mine', ref: 'mine:owner/repo@v1' }], {
      directory: tempDir(),
      sources: [sourceAt(origin.url('/model.dat'))],
    })
    await scene.preloader.start()
    const end = await scene.end()
    expect(messagesIn(end).join('\n')).toContain('mine:owner/repo@v1')
  })
})
