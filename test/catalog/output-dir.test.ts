import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, posix, win32 } from 'node:path'
import fc, { anyText } from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { insideRoots, outputDirectory } from '../../src/catalog/output-dir.js'
import { DownloadError } from '../../src/errors.js'
import { tempDir } from '../support/temp.js'

const linux = { base: '/srv/models', roots: ['/srv/models', '/data'] }
const windows = { base: 'C:\\models', roots: ['C:\\models', 'D:\\big', '\\\\nas\\share'] }

const refused = expect.objectContaining({
  code: 'UNSAFE_FILENAME',
  issues: [expect.objectContaining({ path: 'output_dir' })],
})

/** The error, or the resulting path. */
function judge(given: string, path: typeof posix): unknown {
  try {
    return insideRoots(given, path === win32 ? windows : linux, path).directory
  } catch (error) {
    return error
  }
}

describe('the spelling of an output folder', () => {
  it.each([
    ['sub', '/srv/models/sub'],
    ['./sub/deeper/', '/srv/models/sub/deeper'],
    ['/srv/models', '/srv/models'],
    ['/data/模型 1', '/data/模型 1'],
    ['.', '/srv/models'],
  ])('on POSIX %s is %s', (given, directory) => {
    expect(judge(given, posix)).toBe(directory)
  })

  it.each([
    '..',
    '../x',
    'a/../b',
    '/srv/models/../x',
    '/etc',
    '/srv/modelsx',
    '/',
    'a\0b',
    'a\nb',
    'C:\\x',
    'c:x',
    '\\\\host\\share',
    '//host/share',
    'a\\..\\b',
    '.model-downloader',
    'sub/.model-downloader/x',
    'CON',
    'a/nul.txt',
    'a:stream',
    'trailing.',
    'trailing ',
    'a\u202eb',
    'x.part',
    'a'.repeat(300),
  ])('on POSIX %j is refused', (given) => {
    expect(judge(given, posix)).toEqual(refused)
  })

  it.each([
    ['sub', 'C:\\models\\sub'],
    ['sub/x\\y', 'C:\\models\\sub\\x\\y'],
    ['c:\\MODELS\\x', 'c:\\MODELS\\x'],
    ['D:\\big\\x', 'D:\\big\\x'],
    ['\\\\nas\\share\\x', '\\\\nas\\share\\x'],
  ])('on Windows %s is %s', (given, directory) => {
    expect(judge(given, win32)).toBe(directory)
  })

  it.each([
    '..\\x',
    'a/../b',
    'C:x',
    'C:',
    'E:\\x',
    'C:\\windows',
    '\\windows',
    '\\\\host\\share',
    '//host/share/x',
    '\\\\?\\C:\\models\\x',
    '\\\\.\\C:\\models',
    'a:b',
    'C:\\models\\x:y',
    'aux',
    'a\0',
  ])('on Windows %j is refused', (given) => {
    expect(judge(given, win32)).toEqual(refused)
  })

  it('never leaves the roots, whatever is given', () => {
    const piece = fc.constantFrom(
      '..',
      '.',
      '/',
      '\\',
      'a',
      'C:',
      '//',
      ' ',
      '%2e%2e',
      '~',
      '\u2024',
      '...',
      'srv',
      'models',
    )
    const text = fc.oneof(
      anyText(),
      fc.array(piece).map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(text, fc.constantFrom(posix, win32), (given, path) => {
        const found = judge(given, path)
        if (typeof found !== 'string') {
          expect(found).toBeInstanceOf(DownloadError)
          return
        }
        const { roots } = path === win32 ? windows : linux
        const under = roots.some((root) => {
          const way = path.relative(root, found)
          return way === '' || (!way.split(path.sep).includes('..') && !path.isAbsolute(way))
        })
        expect(under).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

describe('an output folder on disk', () => {
  const make = () => {
    const base = join(tempDir(), 'models')
    mkdirSync(base)
    return { base, rules: { base, roots: [base] }, outside: tempDir() }
  }

  it('is the base by default, also when that is in no root', async () => {
    const { base } = make()
    for (const given of [undefined, '', '  ']) {
      expect(await outputDirectory(given, ['llm'], { base, roots: ['/elsewhere'] })).toBe(base)
    }
  })

  it('need not be there, nor its root', async () => {
    const { base, rules } = make()
    expect(await outputDirectory('a/b', ['llm', null], rules)).toBe(join(base, 'a', 'b'))
    const root = join(base, 'not', 'there')
    expect(await outputDirectory(join(root, 'x'), ['llm'], { base, roots: [root] })).toBe(join(root, 'x'))
  })

  it('may lie in a root that is a link, and behind a link that stays inside', async () => {
    const { base, rules, outside } = make()
    mkdirSync(join(base, 'real'))
    symlinkSync(join(base, 'real'), join(base, 'link'))
    expect(await outputDirectory('link/x', ['llm'], rules)).toBe(join(base, 'link', 'x'))
    const alias = join(outside, 'alias')
    symlinkSync(base, alias)
    expect(await outputDirectory(join(alias, 'x'), ['llm'], { base, roots: [alias] })).toBe(join(alias, 'x'))
  })

  it('is refused behind a link that leads outside, at any depth, also of a mode or to nowhere', async () => {
    const { base, rules, outside } = make()
    symlinkSync(outside, join(base, 'out'))
    mkdirSync(join(base, 'sub'))
    symlinkSync(outside, join(base, 'sub', 'llm'))
    symlinkSync(join(outside, 'nowhere'), join(base, 'dangling'))
    for (const given of ['out', 'out/x/y', 'sub', 'dangling', 'dangling/x'])
      await expect(outputDirectory(given, ['embed', 'llm'], rules)).rejects.toEqual(refused)
    expect(await outputDirectory('sub', ['embed'], rules)).toBe(join(base, 'sub'))
  })

  it("leaves the host's own links directly in a root alone", async () => {
    const { base, rules, outside } = make()
    symlinkSync(outside, join(base, 'llm'))
    expect(await outputDirectory(base, ['llm'], rules)).toBe(base)
  })

  it('is refused below a file', async () => {
    const { base, rules } = make()
    writeFileSync(join(base, 'file'), '')
    await expect(outputDirectory('file/x', ['llm'], rules)).rejects.toEqual(refused)
  })
})
