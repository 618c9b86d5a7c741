import fc, { anyText } from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import { checkFilename, safePath } from '../../../src/disk/names.js'
import { groupFolder } from '../../../src/job/group-start.js'
import { Slices } from '../../../src/util/slices.js'
import { maxGroupFiles, planGroup } from '../../../src/job/group-rules.js'

const file = (filename: string) => ({ filename, urls: ['https://a.example/f'], headers: {} })

async function codeOf(...paths: string[]): Promise<string | null> {
  try {
    await planGroup(paths.map(file))
    return null
  } catch (error) {
    if (isDownloadError(error)) return error.code
    throw error
  }
}

const errorOf = (files: Parameters<typeof planGroup>[0]) => planGroup(files).catch((error: unknown) => error)

const segment = fc.oneof(
  fc.constantFrom('a', 'A', 'b', 'b.gguf', 'B.GGUF', '.', '..', '', 'con', 'a.part', 'x ', '.gitattributes'),
  anyText({ maxLength: 6 }),
)
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))

describe('the plan of a group', () => {
  it('lets no path climb, and no segment be what a file name must not be', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(path, { maxLength: 5 }), fc.boolean(), async (paths, restrict) => {
        let planned
        try {
          planned = await planGroup(paths.map(file), restrict)
        } catch (error) {
          expect(isDownloadError(error, 'UNSAFE_FILENAME') || isDownloadError(error, 'CONFLICT')).toBe(true)
          return
        }
        const { placed, refused } = planned
        expect([...placed, ...refused].map((one) => one.file.filename).sort()).toEqual([...paths].sort())
        const keys = placed.map((one) => one.path.toUpperCase().toLowerCase().normalize('NFC'))
        expect(new Set(keys).size).toBe(keys.length)
        for (const { shown } of refused) expect(shown).not.toMatch(/[\p{Cc}\p{Cs}\u202e]/u)
        for (const one of [...placed, ...refused]) {
          for (const part of one.path.split('/')) {
            expect(checkFilename(part)).toBe(part)
            expect(part).not.toMatch(/^\.{0,2}$|[\\:]/)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('never puts two files in one place, nor a file where a folder must be', async () => {
    const plain = fc.stringMatching(/^[abAB]$/)
    const paths = fc.array(
      fc.array(plain, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
      { minLength: 1, maxLength: 6 },
    )
    await fc.assert(
      fc.asyncProperty(paths, async (wanted) => {
        const lower = wanted.map((one) => one.toLowerCase())
        const meets = lower.some((one, index) =>
          lower.some((other, at) => at !== index && (other === one || other.startsWith(`${one}/`))),
        )
        expect(await codeOf(...wanted)).toBe(meets ? 'CONFLICT' : null)
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    [['../a'], 'UNSAFE_FILENAME'],
    [['/etc/passwd'], 'UNSAFE_FILENAME'],
    [['a//b'], 'UNSAFE_FILENAME'],
    [['a\\..\\b'], 'UNSAFE_FILENAME'],
    [['a/nul.gguf'], 'UNSAFE_FILENAME'],
    [['a/b.part'], 'UNSAFE_FILENAME'],
    [['Model.gguf', 'model.GGUF'], 'CONFLICT'],
    // Composed and decomposed spelling of one name.
    [['caf\u00e9', 'cafe\u0301'], 'CONFLICT'],
    [['stra\u00dfe', 'STRASSE'], 'CONFLICT'],
    // Two capital letters of one small one.
    [['\u03f4', '\u03b8'], 'CONFLICT'],
    [['a', '../b'], 'UNSAFE_FILENAME'],
    [['a', 'b/./c'], 'UNSAFE_FILENAME'],
    [['a', 'b//c'], 'UNSAFE_FILENAME'],
    [['onnx', 'onnx/model.onnx'], 'CONFLICT'],
    [['onnx/model.onnx', 'ONNX'], 'CONFLICT'],
    [['a', 'a.b', 'b/a'], null],
  ])('%j: %s', async (paths, code) => {
    expect(await codeOf(...paths)).toBe(code)
  })

  it.each([
    [['a/b', 'a/b'], 'The source names a/b twice; choose one with include or exclude.'],
    [
      ['a', 'A'],
      'The source has both a and A, which are the same file on many systems; choose one with include or exclude.',
    ],
    [
      ['a/b/c', 'A/b'],
      'The source has A/b as a file and as the folder of a/b/c; choose one with include or exclude.',
    ],
    [
      ['a', 'a/b/c'],
      'The source has a as a file and as the folder of a/b/c; choose one with include or exclude.',
    ],
  ])('says what is wrong with %j', async (paths, message) => {
    await expect(planGroup(paths.map(file))).rejects.toThrow(message)
  })

  const odd = ['a\\b.bin', 'aux.json', 'dir./a', 'a.part', 'a\u202eb', `${'x'.repeat(300)}.bin`, 'x/y\n']

  it('leaves out files with odd names only', async () => {
    const { placed, refused } = await planGroup(['a', ...odd, 'b'].map(file))
    expect(placed.map((one) => one.path)).toEqual(['a', 'b'])
    expect(refused.map((one) => one.file.filename)).toEqual(odd)
    expect(refused.map((one) => one.shown)).toEqual(
      odd.map((name) => name.replace('\u202e', '\\u202e').replace('\n', '\\u000a')),
    )
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'UNSAFE_FILENAME' })
  })

  it('stores them under cleaned names if asked to, unless another file has that name', async () => {
    const { placed, refused } = await planGroup(['_aux.json', 'ab', 'a', ...odd].map(file), true)
    expect(placed.map((one) => one.path)).toEqual([
      ...['_aux.json', 'ab', 'a', 'a_b.bin', 'dir/a', 'a.part_', `${'x'.repeat(234)}.bin`, 'x/y_'],
    ])
    expect(refused.map((one) => one.file.filename)).toEqual(['aux.json', 'a\u202eb'])
  })

  it('has bounds', async () => {
    expect(await codeOf('x'.repeat(200) + '/y'.repeat(500))).toBe('UNSAFE_FILENAME')
    expect(() => safePath('x/'.repeat(400) + 'y')).not.toThrow()
    const many = Array.from({ length: maxGroupFiles + 1 }, (_, index) => String(index))
    const message = 'names 10001 files, more than 10000; choose some with include or exclude'
    expect(await errorOf(many.map(file))).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: `The ref ${message}.`,
      issues: [{ path: 'url', message }],
    })
    expect(await codeOf(...many.slice(1))).toBeNull()
  })

  it('counts its work by the length of the paths, up to what is looked at, and rests after each file', async () => {
    let [spent, rests] = [0, 0]
    const slices = new (class extends Slices {
      override spend(units: number): void {
        spent += units
        super.spend(units)
      }
      override rest(): Promise<void> {
        rests += 1
        return super.rest()
      }
    })()
    await planGroup([file('abcd'), file('ab:d')], false, slices)
    expect([spent, rests]).toEqual([2 * 4 + 4 * (200 + 16 * 4), 0])
    await planGroup(
      [file('x'), file('y:')],
      false,
      new (class extends Slices {
        override get isOver() {
          return true
        }
        override rest(): Promise<void> {
          rests += 1
          return Promise.resolve()
        }
      })(),
    )
    expect(rests).toBe(2 + 2 + 1 + 1)
    spent = 0
    await planGroup([file('a'), file('x'.repeat(5_000))], false, slices)
    expect(spent).toBe(1 + 5_000 + 2 * (200 + 16) + 2 * (200 + 16 * 4_096))
  })

  it('has bounds for its folders, too', async () => {
    const deep = (segments: number) => file(Array.from({ length: segments }, () => 'x').join('/'))
    const { placed, refused } = await planGroup([deep(319_999), file('a')])
    expect([placed.length, refused.length]).toEqual([1, 1])
    const message = 'names files in too many folders inside each other; choose some with include or exclude'
    expect(await errorOf([deep(320_000), file('a')])).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: `The ref ${message}.`,
      issues: [{ path: 'url', message }],
    })
  })

  it.each([
    ['nothing is left of a folder', '\u200b/a', '_/a'],
    ['it then has 1,024 bytes', `${'ab/'.repeat(340)}a:bc`, `${'ab/'.repeat(340)}a_bc`],
    ['it had 4,096 characters', `${'\u200b'.repeat(4_095)}a`, 'a'],
  ])('stores a file under its cleaned path, also if %s', async (_, name, path) => {
    expect((await planGroup([file(name)], true)).placed.map((one) => one.path)).toEqual([path])
  })

  it.each([
    ['1,025 bytes', `${'ab/'.repeat(340)}a:bcd`],
    ['4,097 characters', `${'\u200b'.repeat(4_096)}a`],
  ])('does not store a path of %s', async (_, name) => {
    expect((await planGroup([file('x'), file(name)], true)).refused).toHaveLength(1)
  })

  it('shows a name of any length, but not all of it', async () => {
    const shownOf = async (name: string) => (await planGroup([file('x'), file(name)])).refused[0]?.shown
    expect(await shownOf(`${'x'.repeat(1_023)}:`)).toBe(`${'x'.repeat(1_023)}:`)
    expect(await shownOf(`${'x'.repeat(1_024)}:`)).toBe(`${'x'.repeat(1_024)}…`)
    expect(await shownOf('\n'.repeat(1_000_000))).toHaveLength(6 * 1_024 + 1)
  })

  it('refuses a file whose cleaned path is still too long, without a path of its own', async () => {
    const long = 'x/'.repeat(600) + 'y'
    const longer = 'x/'.repeat(3_000) + 'y'
    const { placed, refused } = await planGroup(['a', long, longer].map(file), true)
    expect(placed.map((one) => one.path)).toEqual(['a'])
    expect(refused.map((one) => one.path)).toEqual(['_', '_'])
  })
})

describe('the folder of a group', () => {
  const unnamed = { named: false, layout: 'flat', filename: 'model.gguf' } as const
  it.each([
    ['model', 'model'],
    ['Makefile', 'Makefile'],
    ['a:b', 'a_b'],
    ['aux', '_aux'],
    ['.github', '_.github'],
    ['node_modules', '_node_modules'],
    ['..', 'model'],
    ['x'.repeat(300), 'x'.repeat(238)],
  ])('of the source named %j is %j', (name, folder) => {
    expect(groupFolder(unnamed, { name, files: [] })).toBe(folder)
  })

  it('is the one that the caller names', () => {
    const named = { ...unnamed, named: true, filename: '.mine' }
    expect(groupFolder(named, { name: 'model', files: [] })).toBe('.mine')
  })
})
