import fc, { anyText } from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import { checkFilename } from '../../../src/disk/names.js'
import { maxGroupFiles, planGroup, safePath } from '../../../src/job/group-rules.js'

const file = (filename: string) => ({ filename, urls: ['https://a.example/f'], headers: {} })

function codeOf(...paths: string[]): string | null {
  try {
    planGroup(paths.map(file))
    return null
  } catch (error) {
    if (isDownloadError(error)) return error.code
    throw error
  }
}

const segment = fc.oneof(
  fc.constantFrom('a', 'A', 'b', 'b.gguf', 'B.GGUF', '.', '..', '', 'con', 'a.part', 'x ', '.gitattributes'),
  anyText({ maxLength: 6 }),
)
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))

describe('the plan of a group', () => {
  it('lets no path climb, and no segment be what a file name must not be', () => {
    fc.assert(
      fc.property(fc.array(path, { maxLength: 5 }), (paths) => {
        let planned
        try {
          planned = planGroup(paths.map(file))
        } catch (error) {
          expect(isDownloadError(error, 'UNSAFE_FILENAME') || isDownloadError(error, 'CONFLICT')).toBe(true)
          return
        }
        expect(planned.map((one) => one.file.filename)).toEqual(paths)
        for (const one of planned) {
          for (const part of one.path.split('/')) {
            expect(checkFilename(part)).toBe(part)
            expect(part).not.toMatch(/^\.{0,2}$|[\\:]/)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('never puts two files in one place, nor a file where a folder must be', () => {
    const plain = fc.stringMatching(/^[abAB]$/)
    const paths = fc.array(
      fc.array(plain, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
      { minLength: 1, maxLength: 6 },
    )
    fc.assert(
      fc.property(paths, (wanted) => {
        const lower = wanted.map((one) => one.toLowerCase())
        const meets = lower.some((one, index) =>
          lower.some((other, at) => at !== index && (other === one || other.startsWith(`${one}/`))),
        )
        expect(codeOf(...wanted)).toBe(meets ? 'CONFLICT' : null)
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
    [['onnx', 'onnx/model.onnx'], 'CONFLICT'],
    [['onnx/model.onnx', 'ONNX'], 'CONFLICT'],
    [['a', 'a.b', 'b/a'], null],
  ])('%j: %s', (paths, code) => {
    expect(codeOf(...paths)).toBe(code)
  })

  it('has bounds', () => {
    expect(codeOf('x'.repeat(200) + '/y'.repeat(500))).toBe('UNSAFE_FILENAME')
    expect(() => safePath('x/'.repeat(400) + 'y')).not.toThrow()
    const many = Array.from({ length: maxGroupFiles + 1 }, (_, index) => String(index))
    expect(codeOf(...many)).toBe('INVALID_OPTIONS')
    expect(codeOf(...many.slice(1))).toBeNull()
  })
})
