import { describe, expect, it } from 'vitest'
import { modelsIn, quantisationsOf, worthReading } from '../../../src/inspect/contents.js'

const file = (filename: string, size: number | null = 100) => ({ filename, size })
const shown = (files: ReturnType<typeof file>[]) =>
  modelsIn(files).map(({ format, files: parts, expected, quantisation, size }) => [
    format,
    parts.map(({ filename }) => filename).join(' '),
    expected,
    quantisation,
    size,
  ])

describe('the models among files', () => {
  it('are single files, and all parts of split ones', () => {
    const files = [
      file('README.md'),
      file('Q4_K_M/m-Q4_K_M-00002-of-00002.gguf', 7),
      file('Q4_K_M/m-Q4_K_M-00001-of-00002.gguf', 5),
      file('m-q8_0.gguf', 30),
      file('model-00001-of-00003.safetensors', 9),
      file('model-00003-of-00003.safetensors', null),
      file('model.safetensors.index.json'),
      file('vae/model.safetensors', 3),
    ]
    expect(shown(files)).toEqual([
      ['gguf', 'Q4_K_M/m-Q4_K_M-00001-of-00002.gguf Q4_K_M/m-Q4_K_M-00002-of-00002.gguf', 2, 'Q4_K_M', 12],
      ['gguf', 'm-q8_0.gguf', 1, 'Q8_0', 30],
      ['safetensors', 'model-00001-of-00003.safetensors model-00003-of-00003.safetensors', 3, null, null],
      ['safetensors', 'vae/model.safetensors', 1, null, 3],
    ])
  })

  it('keep parts of different sets apart', () => {
    const names = ['m-00001-of-00002.gguf', 'm-00001-of-00003.gguf', 'a/m-00002-of-00002.gguf']
    expect(modelsIn(names.map((name) => file(name)))).toHaveLength(3)
  })
})

describe('quantisations', () => {
  it('have the size of all their files, the smallest first', () => {
    const models = modelsIn([
      file('m-Q8_0.gguf', 80),
      file('m-Q4_K_M-00001-of-00002.gguf', 20),
      file('m-Q4_K_M-00002-of-00002.gguf', 25),
      file('m-UD-IQ1_S.gguf', null),
      file('mmproj-m-F16.gguf', 5),
      file('model.safetensors', 9),
    ])
    expect(quantisationsOf(models)).toEqual([
      { name: 'Q4_K_M', files: 2, size: 45 },
      { name: 'Q8_0', files: 1, size: 80 },
      { name: 'UD-IQ1_S', files: 1, size: null },
    ])
  })
})

describe('headers worth reading', () => {
  it('are that of the smallest quantisation, and of what only belongs to a model last', () => {
    const models = modelsIn([
      file('mmproj-m-F16.gguf', 500),
      file('m-Q8_0.gguf', 80),
      file('Q2/m-Q2_K.gguf', 20),
      file('other-Q4_0.gguf', 30),
    ])
    expect(worthReading(models).map(({ files: [first] }) => first.filename)).toEqual([
      'other-Q4_0.gguf',
      'Q2/m-Q2_K.gguf',
      'mmproj-m-F16.gguf',
    ])
  })

  it('are not more than a few', () => {
    expect(
      worthReading(modelsIn(Array.from({ length: 100 }, (_, n) => file(`part${n}.safetensors`)))),
    ).toHaveLength(4)
  })
})
