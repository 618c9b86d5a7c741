/** The second names (8.3) that NTFS and FAT give to files: whoever opens one opens another file. */
import { describe, expect, it } from 'vitest'
import { checkFilename, cleanFilename, safePath } from '../../../src/disk/names.js'

describe('a short name', () => {
  it.each([
    ['MODELS~1.GGU', 'MODELS_1.GGU'],
    ['models~1', 'models_1'],
    // After four files that begin alike, most of the name is a checksum.
    ['MO5F2A~1.GGU', 'MO5F2A_1.GGU'],
    ['A~1.b', 'A_1.b'],
    ['ABCDE~12.BIN', 'ABCDE_12.BIN'],
    ['MODÈLE~1.GGU', 'MODÈLE_1.GGU'],
    ['A~B~1.TXT', 'A_B_1.TXT'],
  ])('%s is refused, and cleaned to %s', (name, cleaned) => {
    expect(() => checkFilename(name)).toThrow(/"[^"]+" can't be used: it is a short name/)
    expect(() => safePath(`folder/${name}`)).toThrow(/short name/)
    expect(() => safePath(`${name}/model.gguf`)).toThrow(/short name/)
    expect(cleanFilename(name)).toBe(cleaned)
  })

  it.each([
    'a~1b.gguf',
    'model~1.safetensors',
    'long-name~1.bin',
    'model~1.gguf',
    'a~.bin',
    '~1.bin',
    'v1.2~1.bin',
  ])('%s is none', (name) => {
    expect(checkFilename(name)).toBe(name)
    expect(cleanFilename(name)).toBe(name)
  })
})
