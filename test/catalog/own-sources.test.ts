import { describe, expect, it } from 'vitest'
import { Catalog, type CatalogEntry, type CatalogModel } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { DownloadError } from '../../src/errors.js'
import { internals } from '../../src/manager/internals.js'
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

/** The problems that a preloader reports, as `path: message`, and the entries as the sources of its manager resolve them. */
async function preloaded(
  models: readonly CatalogModel[],
  sources: Source[] = [],
): Promise<{ issues: string[]; entries: readonly CatalogEntry[] }> {
  const catalog = new Catalog(models)
  const error = await refusal(catalog, sources)
  if (error !== null) {
    expect(error.code).toBe('INVALID_OPTIONS')
    return { issues: error.issues.map(({ path, message }) => `${path}: ${message}`), entries: [] }
  }
  await using manager = new DownloadManager({ directory: tempDir(), sources, store: 'memory' })
  return { issues: [], entries: catalog.identifiedBy(manager[internals].sources).entries }
}

const refs = (...texts: string[]) => texts.map((ref, index) => ({ key: `k${index}`, ref }))

const fails = () => {
  throw new TypeError('oops')
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

describe('what may be a ref of a source of the host', () => {
  it.each([
    'mine:owner/repo@v1',
    'mine:owner/repo?layers=all#x',
    'mine://bucket/a.gguf',
    '@mine/model',
    'owner/repo',
    'C:\\mine\\a.gguf',
    'host:8080/mine',
    'a mine b',
    'https://mine.example/owner%5Crepo.x',
  ])('is accepted as ref (%s), with and without globs, and refused when no source knows it', async (ref) => {
    const other: CatalogModel = { key: 'one', url: 'https://a.example/1.gguf' }
    const mine = sourceAt('https://host/a', { match: (text) => text === ref })
    const broken = sourceAt('https://host/a', { match: fails })
    for (const globs of [{}, { include: ['*.json'] }, { exclude: ['*.json'] }]) {
      const models = [other, { key: 'x', ref, ...globs }]
      expect((await preloaded(models, [mine])).issues).toEqual([])
      const { issues } = await preloaded(models)
      expect(issues[0]).toMatch(/^models\.1\.ref: /)
      expect((await preloaded(models, [broken])).issues).toEqual(issues)
    }
  })

  it('is accepted as ref when it is a link, and is a plain URL when no source knows it', async () => {
    const ref = 'https://mine.example/owner/repo'
    const mine = sourceAt('https://host/a', { match: (text) => text === ref })
    expect((await preloaded([{ key: 'x', ref, include: ['*.json'] }], [mine])).issues).toEqual([])
    expect((await preloaded([{ key: 'x', ref }])).issues).toEqual([])
    expect((await preloaded([{ key: 'x', ref, include: ['*.json'] }])).issues).toEqual([
      'models.0.include: can only be used with a ref that stands for several files',
    ])
  })

  it.each(['mine:owner/repo', 'MINE:x', 'host:8080/mine', 'hf:internal-model', 'https://ollama.com/library'])(
    'is accepted as url, too: %s',
    async (url) => {
      const mine = sourceAt('https://host/a', { match: (text) => text === url })
      expect((await preloaded([{ key: 'x', url }], [mine])).issues).toEqual([])
    },
  )

  it('is refused as url when no source of the manager knows it', async () => {
    expect((await preloaded([{ key: 'x', url: 'mine:owner/repo' }])).issues).toEqual([
      'models.0.url: Only http and https URLs can be downloaded, not mine:',
    ])
  })

  it.each(['s4://bucket/x', 'C:\\x', 'a b', 'owner/repo', 'https://', 'https://a/..%2fb.gguf'])(
    'is not the url %s, which is refused at once',
    (url) => {
      expect(() => new Catalog([{ key: 'x', url }])).toThrow('models.0.url: ')
    },
  )

  it('is not a plain URL, with which globs are refused at once', () => {
    expect(() => new Catalog([{ key: 'x', url: 'https://a/b.gguf', include: ['*'] }])).toThrow(
      'models.0.include: ',
    )
  })

  it('is not a mirror', () => {
    for (const fields of [{ urls: ['mine:x'] }, { ref: 'mine:x', urls: ['mine:y'] }])
      expect(() => new Catalog([{ key: 'x', ...fields }])).toThrow('models.0.urls.0: ')
  })

  it('does not hide the other problems of its model', () => {
    const model = { key: 'x', ref: '@mine/model', filename: '../x' }
    expect(() => new Catalog([model])).toThrow('catalog: models.0.filename: ')
  })
})

describe('the names of files', () => {
  it('are those that the sources of the manager give', async () => {
    const models: CatalogModel[] = [
      { key: 'a', ref: 'hf:internal-model' },
      { key: 'b', url: 'hf:other-model' },
      { key: 'c', ref: 'hf:third/model/a.gguf' },
      { key: 'd', ref: 'hf:fourth', filename: 'given.bin' },
      { key: 'e', ref: 'https://mine.example/download/a.gguf' },
    ]
    const hub = sourceAt('https://host/a', {
      name: 'huggingface',
      match: (ref) => ref.startsWith('hf:'),
      filenameOf: (ref) => ref.slice(3).replaceAll('/', '-'),
    })
    const links = sourceAt('https://host/a', {
      match: (ref) => ref.startsWith('https://mine.example/'),
      filenameOf: () => 'linked.gguf',
    })
    const names = (await preloaded(models, [hub, links])).entries.map(({ filename }) => filename)
    expect(names).toEqual(['internal-model', 'other-model', 'third-model-a.gguf', 'given.bin', 'linked.gguf'])
  })

  it('count as duplicates once the sources of the manager have given them', async () => {
    const models = refs('hf:owner/one/model.gguf', 'hf:owner/two/model.gguf')
    expect((await preloaded(models)).issues).toEqual(['models.1.filename: duplicates the file of models.0'])
    const own = sourceAt('https://host/a', { name: 'huggingface', match: (ref) => ref.startsWith('hf:') })
    expect((await preloaded(models, [own])).issues).toEqual([])
    const given = models.map((model, index) => ({ ...model, filename: index === 0 ? 'x' : 'X' }))
    expect(() => new Catalog(given)).toThrow('models.1.filename: ')
  })

  it.each([
    ['throws', fails],
    // What a source in plain JavaScript may return.
    ['returns a number', (() => 7) as unknown as () => string],
  ])('are a problem at the place of the model when filenameOf %s', async (_, filenameOf) => {
    const source = sourceAt('https://host/a', {
      match: (ref) => ref.startsWith('mine:') || ref.startsWith('https://mine.example/'),
      filenameOf,
    })
    const models: CatalogModel[] = [
      { key: 'a', ref: 'mine:x' },
      { key: 'b', url: 'mine:y' },
      { key: 'c', url: 'https://a.example/1.gguf' },
      { key: 'd', url: 'https://mine.example/a.gguf' },
      { key: 'e', ref: 'mine:z', filename: 'given.bin' },
    ]
    const { issues } = await preloaded(models, [source])
    expect(issues.map((issue) => issue.replace(/failure: .*/, 'failure'))).toEqual(
      ['0.ref', '1.url', '3.url', '4.ref'].map((place) => `models.${place}: Unexpected failure`),
    )
  })
})

describe('two refs of a catalog', () => {
  it.each([
    ['gh:owner/repo@v1/a#1.gguf', 'gh:owner/repo@v1/a#2.gguf'],
    ['mine:x?1', 'mine:x?2'],
    ['mine://Host/a', 'mine://host/a'],
    ['mine:a/../b', 'mine:b'],
    ['@team/model', '@Team/model'],
  ])('differ: %s and %s', async (first, second) => {
    const own = sourceAt('https://host/a', { match: (ref) => !ref.startsWith('gh:') })
    expect((await preloaded(refs(first, second), [own])).issues).toEqual([])
  })

  it.each([
    ['hf:owner/repo', 'HF:owner/repo'],
    ['gh:owner/repo@v1/a#1.gguf', 'GH:owner/repo@v1/a#1.gguf'],
    ['@team/model', '@team/model'],
    ['https://huggingface.co/owner/repo', 'https://huggingface.co/owner/repo#x'],
    ['https://huggingface.co/owner/repo', 'HTTPS://HUGGINGFACE.CO:443/owner/repo'],
  ])('are the same: %s and %s', (first, second) => {
    expect(() => new Catalog(refs(first, second))).toThrow('models.1.url: duplicates the URL of models.0')
  })

  it('are told apart from a url in the same way', () => {
    const catalog = (url: string) => () => new Catalog([...refs('hf:owner/repo'), { key: 'x', url }])
    expect(catalog('hf:owner/repo#x')).not.toThrow()
    expect(catalog('HF:owner/repo')).toThrow('models.1.url: duplicates the URL of models.0')
  })
})
