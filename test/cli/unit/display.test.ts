import { describe, expect, it } from 'vitest'
import { barLines, fitApart, namesApart } from '../../../src/cli/display/apart.js'
import { sumOf } from '../../../src/cli/display/totals.js'
import { displayWidth, fit, type LineState } from '../../../src/cli/format.js'
import fc from '../../support/properties.js'

const part = (number: number) =>
  `a-model-with-a-long-name-${String(number).padStart(5, '0')}-of-00030-q4_k_m.gguf`

describe('names that are shortened', () => {
  it('keep the part in which they differ', () => {
    const shown = fitApart([part(1), part(17), part(30), 'config.json'], 24)
    for (const [index, differing] of ['01', '17', '30'].entries()) expect(shown[index]).toContain(differing)
    expect(shown[0]).toBe('a-model-w…00001…k_m.gguf')
  })

  it('are cut in the middle as before where that tells them apart', () => {
    const names = ['first-model-with-a-long-name.gguf', 'other-model-with-a-long-name.gguf']
    expect(fitApart(names, 16)).toEqual(names.map((name) => fit(name, 16)))
  })

  it('are numbered where nothing else helps', () => {
    const shown = fitApart(
      [
        `${'a'.repeat(30)}b${'c'.repeat(60)}d${'e'.repeat(30)}`,
        `${'a'.repeat(30)}d${'c'.repeat(60)}b${'e'.repeat(30)}`,
      ],
      9,
    )
    expect(new Set(shown).size).toBe(2)
  })

  it('take exactly the cells asked for, and stay different', () => {
    const letter = fc.constantFrom('a', 'b', '-', '0', '1', '通', 'é')
    const name = fc.string({ unit: letter, minLength: 1, maxLength: 50 })
    const names = fc
      .tuple(name, name, fc.uniqueArray(name, { minLength: 1, maxLength: 8 }))
      .map(([before, after, middles]) => [...new Set(middles.map((middle) => `${before}${middle}${after}`))])
    fc.assert(
      fc.property(names, fc.integer({ min: 8, max: 60 }), (all, width) => {
        const shown = fitApart(all, width)
        expect(new Set(shown).size).toBe(all.length)
        for (const text of shown) expect(displayWidth(text)).toBe(width)
      }),
    )
  })
})

describe('files of the same name', () => {
  it('are told apart by the folders above them, no more than needed', () => {
    expect(
      namesApart([
        { name: 'model.gguf', folders: ['host', 'one', 'repo'] },
        { name: 'model.gguf', folders: ['host', 'two', 'repo'] },
        { name: 'model.gguf', folders: ['host', 'two', 'other'] },
        { name: 'config.json', folders: ['host', 'two'] },
      ]),
    ).toEqual(['one/repo/model.gguf', 'two/repo/model.gguf', 'other/model.gguf', 'config.json'])
    expect(
      namesApart([
        { name: 'a', folders: [] },
        { name: 'a', folders: [] },
      ]),
    ).toEqual(['a', 'a'])
  })
})

describe('bars of several downloads', () => {
  it('shorten their names together', () => {
    const state: LineState = {
      name: part(1),
      phase: 'downloading',
      downloaded: 1,
      total: 10,
      percent: 10,
      bytesPerSecond: 0,
      etaSeconds: null,
      connections: 0,
      retry: { code: 'STALLED', seconds: 4, attempt: 3 },
    }
    const [first = '', second = ''] = barLines([state, { ...state, name: part(2), retry: null }], 140)
    expect(first).toMatch(/00001.*retry 4s STALLED \(3\)/)
    expect(second).toMatch(/00002.*░/)
    expect(barLines([], 80)).toEqual([])
  })
})

describe('the sum of downloads', () => {
  const share = { files: 1, filesDone: 0, downloaded: 50, total: 100, bytesPerSecond: 10 }

  it('adds files, bytes and speeds, and tells how long the rest takes', () => {
    const group = { files: 5, filesDone: 2, downloaded: 100, total: 200, bytesPerSecond: 20 }
    expect(sumOf([share, group], 0)).toEqual({
      files: 6,
      filesDone: 2,
      downloaded: 150,
      total: 300,
      isWhole: true,
      bytesPerSecond: 30,
      etaSeconds: 5,
    })
  })

  it('does not pretend to know what it does not', () => {
    expect(sumOf([share], 3)).toMatchObject({ files: 4, isWhole: false, etaSeconds: null })
    expect(sumOf([{ ...share, total: null }], 0)).toMatchObject({
      total: 50,
      isWhole: false,
      etaSeconds: null,
    })
    expect(sumOf([{ ...share, bytesPerSecond: 0 }], 0).etaSeconds).toBeNull()
  })
})
