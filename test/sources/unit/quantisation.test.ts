import { describe, expect, it } from 'vitest'
import { quantOf, selectQuant } from '../../../src/sources/quantisation.js'
import fc from '../../support/properties.js'

describe('quantOf', () => {
  it.each([
    ['model-Q4_K_M.gguf', 'Q4_K_M'],
    ['Model.q8_0.gguf', 'Q8_0'],
    ['model_Q8_0.GGUF', 'Q8_0'],
    ['Q2_K.gguf', 'Q2_K'],
    ['m-UD-Q4_K_XL-00001-of-00003.gguf', 'UD-Q4_K_XL'],
    ['BF16/m-00001-of-00002.gguf', 'BF16'],
    ['Q4_K_M/m-IQ2_XXS.gguf', 'IQ2_XXS'],
    ['m-TQ1_0.gguf', 'TQ1_0'],
    ['m-TQ2_0.gguf', 'TQ2_0'],
    ['Qwen2.5-0.5B-fp16.gguf', 'FP16'],
    ['m-F16.gguf', 'F16'],
    ['m-fp32.gguf', 'FP32'],
    ['m.f32.gguf', 'F32'],
    ['gpt-oss-20b-MXFP4.gguf', 'MXFP4'],
    ['Q8_0.ggufs/m.gguf', 'Q8_0'],
    ['gpt-oss-20b-mxfp4_moe.gguf', 'MXFP4_MOE'],
  ])('of %s is %s', (file, quant) => {
    expect(quantOf(file)).toBe(quant)
  })

  it('is only looked for in paths of up to 1,024 characters', () => {
    const path = (length: number) => 'm-Q8_0.gguf'.padStart(length, 'x')
    expect(quantOf(path(1_024))).toBe('Q8_0')
    expect(quantOf(path(1_025))).toBeNull()
  })

  it.each([
    ['no quantisation', 'Qwen3-8B.gguf'],
    ['a longer word', 'mQ4_0.gguf'],
    ['a word that goes on', 'm-BF16x.gguf'],
    ['another number', 'm-TQX_0.gguf'],
    ['letters for a number', 'm-TQ1_X.gguf'],
  ])('finds nothing in the name with %s', (_, file) => {
    expect(quantOf(file)).toBeNull()
  })
})

/** The error that is thrown. */
function failure(files: readonly string[], quant: string): unknown {
  try {
    selectQuant(
      files.map((path) => ({ path })),
      quant,
    )
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

const select = (files: readonly string[], quant: string) =>
  selectQuant(
    files.map((path) => ({ path })),
    quant,
  ).map(({ path }) => path)

const parts = (stem: string, count: number) =>
  Array.from({ length: count }, (_, n) => {
    const part = (number: number) => String(number).padStart(5, '0')
    return `${stem}-${part(n + 1)}-of-${part(count)}.gguf`
  })

describe('selectQuant', () => {
  it('finds the only file, in upper or lower case', () => {
    const files = ['m-Q4_0.gguf', 'm-Q8_0.gguf', 'README.md']
    expect(select(files, 'Q8_0')).toEqual(['m-Q8_0.gguf'])
    expect(select(files, 'q4_0')).toEqual(['m-Q4_0.gguf'])
  })

  it.each([
    ['a projector', 'mmproj-Q8_0.gguf'],
    ['an importance matrix', 'm-Q8_0.imatrix.gguf'],
    ['the digest of a model', 'm-Q8_0.gguf.sha256'],
    ['a document', 'README-Q8_0.md'],
    ['another quantisation', 'm-Q4_0.gguf'],
    ['a file without one', 'm.gguf'],
  ])('does not take %s for the model', (_, other) => {
    expect(select([other, 'm-Q8_0.gguf', other], 'Q8_0')).toEqual(['m-Q8_0.gguf'])
    expect(failure([other], 'Q8_0')).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('takes a model in a folder that holds projectors too', () => {
    expect(select(['with-mmproj/m-Q8_0.gguf'], 'Q8_0')).toEqual(['with-mmproj/m-Q8_0.gguf'])
  })

  it('returns all parts in order, in whatever order they are listed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.infiniteStream(fc.nat()), (count, dice) => {
        const all = parts('Q8_0/m-Q8_0', count)
        const order = all.map((file) => ({ file, key: Number(dice.next().value) }))
        const shuffled = order.sort((a, b) => a.key - b.key).map(({ file }) => file)
        const others = ['m-Q4_0.gguf', 'mmproj-Q8_0.gguf', 'README-Q8_0.md']
        expect(select([...others, ...shuffled], 'q8_0')).toEqual(all)
      }),
    )
  })

  it.each([1, 2, 3])('misses part %d of three', (missing) => {
    const rest = parts('m-Q8_0', 3).filter((_, index) => index !== missing - 1)
    expect(failure(rest, 'Q8_0')).toMatchObject({
      code: 'NOT_FOUND',
      message: `Part ${String(missing)} of 3 is missing from the repository.`,
    })
  })

  it('takes only the end of a path for the number of a part', () => {
    const file = 'm-00001-of-00002.gguf.parts/m-Q8_0.gguf'
    expect(select([file], 'Q8_0')).toEqual([file])
  })

  it('does not count a part of number 0', () => {
    const all = parts('m-Q8_0', 2)
    expect(select(['m-Q8_0-00000-of-00002.gguf', ...all], 'Q8_0')).toEqual(all)
  })

  it.each([
    ['two models', ['a-Q8_0.gguf', 'b-Q8_0.gguf']],
    ['a file and a set of parts', ['m-Q8_0.gguf', ...parts('m-Q8_0', 2)]],
    ['sets of different part counts', [...parts('m-Q8_0', 2), ...parts('m-Q8_0', 3)]],
    ['sets that complete each other', [parts('m-Q8_0', 2)[0]!, parts('m-Q8_0', 3)[1]!]],
    ['two folders', ['a/m-Q8_0.gguf', 'b/m-Q8_0.gguf']],
  ])('does not choose between %s', (_, files) => {
    expect(failure(files, 'Q8_0')).toMatchObject({ code: 'INVALID_URL', retryable: false })
  })

  it('names the first five of the files to choose from', () => {
    const files = ['a', 'b', 'c', 'd', 'e', 'f'].map((stem) => `${stem}-Q8_0.gguf`)
    const five = 'a-Q8_0.gguf, b-Q8_0.gguf, c-Q8_0.gguf, d-Q8_0.gguf, e-Q8_0.gguf'
    expect(failure(files.slice(0, 5), 'Q8_0')).toHaveProperty('message', expect.stringContaining(`(${five})`))
    expect(failure(files, 'Q8_0')).toHaveProperty('message', expect.stringContaining(`(${five}, …)`))
  })

  it('names the quantisations that there are, each once, when there is none such', () => {
    const files = ['m-Q8_0.gguf', 'm-Q4_0.gguf', 'n-Q4_0.gguf', 'm.gguf']
    expect(failure(files, 'Q2_K')).toMatchObject({
      code: 'NOT_FOUND',
      message: 'The repository has no Q2_K GGUF file; it has Q4_0, Q8_0.',
    })
    for (const none of [[], ['m.gguf'], ['README.md']]) {
      expect(failure(none, 'Q2_K')).toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('it has no GGUF file with a quantisation in its name'),
      })
    }
  })
})
