import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Catalog, type CatalogModel } from '../../src/catalog/catalog.js'
import { DownloadError } from '../../src/errors.js'
import { tempDir } from '../support/temp.js'

const digest = 'ab'.repeat(32)
const one: CatalogModel = { key: 'one', url: 'https://models.example/one.gguf' }

/** The issues of the error, as `path: message`. */
function issuesOf(models: unknown): string[] {
  try {
    // Anything that a file, or a caller in plain JavaScript, may contain.
    new Catalog(models as CatalogModel[])
  } catch (error) {
    if (!(error instanceof DownloadError)) throw error
    expect(error.code).toBe('INVALID_OPTIONS')
    for (const { path, message } of error.issues) expect(error.message).toContain(`${path}: ${message}`)
    return error.issues.map((issue) => `${issue.path}: ${issue.message}`)
  }
  return []
}

describe('Catalog', () => {
  it('fills the defaults in', () => {
    expect(new Catalog([one]).entries).toEqual([
      {
        key: 'one',
        name: 'one',
        url: 'https://models.example/one.gguf',
        urls: [],
        include: [],
        exclude: [],
        mode: 'llm',
        filename: 'one.gguf',
        sha256: null,
        size: null,
        required: true,
        auto_download: true,
        description: '',
      },
    ])
  })

  it('takes the first mirror where there is no url, and checks each', () => {
    const [a, b] = ['https://a.example/x.gguf', 'https://b.example/x.gguf']
    expect(new Catalog([{ key: 'k', urls: [a, b] }]).get('k')).toMatchObject({ url: a, urls: [b] })
    expect(new Catalog([{ key: 'k', url: b, urls: [a, b] }]).get('k')).toMatchObject({ url: b, urls: [a] })
    expect(() => new Catalog([{ key: 'k', url: a, urls: [b, 'ftp://c.example/x'] }])).toThrow(
      /models\.0\.urls\.1/,
    )
    expect(() => new Catalog([{ key: 'k', url: a, urls: [] }])).toThrow(/models\.0\.urls/)
  })

  it('takes all fields, a list or an object, and finds by key', () => {
    const full: CatalogModel = {
      key: 'bge-m3',
      name: 'BGE M3',
      url: 'https://models.example/x?download=true',
      urls: ['https://mirror.example/x'],
      mode: 'embed',
      filename: 'bge.safetensors',
      sha256: `sha256:${digest.toUpperCase()}`,
      size: 12,
      required: false,
      auto_download: false,
      description: 'finds',
    }
    const catalog = new Catalog({ models: [one, full] })
    expect(catalog.get('bge-m3')).toEqual({ ...full, include: [], exclude: [], sha256: digest })
    expect(catalog.get('two')).toBeUndefined()
    expect(catalog.get('toString')).toBeUndefined()
    expect(catalog.file).toBeNull()
  })

  it('does not know the name of a file that only the server names', () => {
    expect(
      new Catalog([{ key: 'x', url: 'https://models.example/download' }]).entries[0]?.filename,
    ).toBeNull()
  })

  it('tells everything that is wrong, and where', () => {
    const bad = [
      one,
      { key: 'two' },
      { key: 'three', url: 'https://a/3.gguf', sha256: 'xyz', size: -1 },
      { key: 'bad key', url: 'https://a/4.gguf', extra: 1 },
    ]
    const issues = issuesOf(bad)
    expect(issues).toContain('models.2.sha256: must be 64 hexadecimal digits')
    expect(issues.some((issue) => issue.startsWith('models.2.size: '))).toBe(true)
    expect(issues.some((issue) => issue.startsWith('models.3.key: must be letters'))).toBe(true)
    expect(issues.some((issue) => issue.startsWith('models.3: ') && issue.includes('extra'))).toBe(true)
    expect(issuesOf([one, { key: 'two' }])).toEqual(['models.1.url: is missing'])
  })

  it.each([
    [{ url: 'ftp://a/b.gguf' }, 'models.0.url: '],
    [{ url: 'not a url' }, 'models.0.url: '],
    [{ url: 'https://a/b.gguf', filename: '../b' }, 'models.0.filename: '],
    [{ url: 'https://a/..%2fb.gguf' }, 'models.0.url: '],
    [{ ref: 'hf:org/model', url: 'https://a/b.gguf' }, 'models.0.ref: cannot be combined with url'],
    [{ url: 'https://a/b.gguf', mode: '' }, 'models.0.mode: '],
    [{ url: 'https://a/b.gguf', required: 'yes' }, 'models.0.required: '],
  ])('refuses %j', (fields, start) => {
    const issues = issuesOf([{ key: 'x', ...fields }])
    expect(issues.length).toBeGreaterThan(0)
    expect(issues[0]?.startsWith(start)).toBe(true)
  })

  it.each(['all', '', ' a', 'a,b', '__proto__', 'a'.repeat(65), 'ä'])('refuses the key %j', (key) => {
    expect(issuesOf([{ ...one, key }])[0]).toMatch(/^models\.0\.key: /)
  })

  it.each(['7', 'null', '"x"', '{}', '{"models":{}}', '{"models":[],"more":1}', '[[]]'])(
    'refuses %s',
    (text) => {
      expect(issuesOf(JSON.parse(text)).length).toBeGreaterThan(0)
    },
  )

  it('refuses a key, a URL or a file that is there twice', () => {
    expect(issuesOf([one, { ...one, url: 'https://a/2.gguf' }])).toEqual([
      'models.1.key: duplicates the key of models.0',
    ])
    expect(issuesOf([one, { key: 'two', url: `${one.url ?? ''}#x`, filename: 'other.gguf' }])).toEqual([
      'models.1.url: duplicates the URL of models.0',
    ])
    const elsewhere = 'https://mirror.example/ONE.gguf'
    expect(issuesOf([one, { key: 'two', url: elsewhere }])).toEqual([
      'models.1.filename: duplicates the file of models.0',
    ])
    expect(issuesOf([one, { key: 'two', url: elsewhere, mode: 'embed' }])).toEqual([])
    expect(issuesOf([one, { key: 'two', url: elsewhere, filename: 'two.gguf' }])).toEqual([])
  })
})

describe('Catalog.fromFile', () => {
  const write = (text: string | Buffer) => {
    const file = join(tempDir(), 'models.json')
    writeFileSync(file, text)
    return file
  }

  it.each([
    ['an object', JSON.stringify({ $schema: './x.json', models: [one] })],
    ['a list', JSON.stringify([one])],
    ['a byte order mark in front', `\ufeff${JSON.stringify([one])}`],
    ['UTF-16, as PowerShell writes it', Buffer.from(`\ufeff${JSON.stringify([one])}`, 'utf16le')],
    ['UTF-16 in the other order', Buffer.from(`\ufeff${JSON.stringify([one])}`, 'utf16le').swap16()],
    ['UTF-16 without a mark', Buffer.from(JSON.stringify([one]), 'utf16le')],
  ])('reads %s', async (_, text) => {
    const file = write(text)
    const catalog = await Catalog.fromFile(file)
    expect(catalog.file).toBe(file)
    expect(catalog.entries.map((entry) => entry.key)).toEqual(['one'])
  })

  it('follows a symbolic link, as configuration in containers is one', async () => {
    const link = join(tempDir(), 'link.json')
    symlinkSync(write(JSON.stringify([one])), link)
    expect((await Catalog.fromFile(link)).entries).toHaveLength(1)
  })

  it.each([
    [
      'is not JSON, without quoting it',
      '{"models": [\n{"url": "https://a/?token=s3cret" x',
      /models\.json: it is not valid JSON( \(line 2\))?$/,
    ],
    ['is empty', '', /it is not valid JSON/],
    ['is in another encoding', Buffer.from('[\n"\xe9"]', 'latin1'), /line 2 is neither UTF-8 nor UTF-16/],
    ['is UTF-16 that was cut', Buffer.from('\ufeff[]', 'utf16le').subarray(0, 5), /line 1 is neither/],
    ['is no catalog', '{"models":[{}]}', /models\.0\.key/],
    ['is far too large', ' '.repeat(5 * 1024 * 1024), /larger than 4 MiB/],
  ])('refuses one that %s', async (_, text, message) => {
    const error: unknown = await Catalog.fromFile(write(text)).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringMatching(message) })
    expect(String(error)).not.toContain('s3cret')
  })

  it('refuses a folder, and says when nothing is there', async () => {
    await expect(Catalog.fromFile(tempDir())).rejects.toMatchObject({
      message: expect.stringMatching(/not a file/),
    })
    await expect(Catalog.fromFile(join(tempDir(), 'x.json'))).rejects.toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(/no such file/),
    })
  })
})
