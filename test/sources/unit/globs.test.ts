import { describe, expect, it } from 'vitest'
import { matches, selector, selects } from '../../../src/sources/globs.js'
import { failure } from '../../support/failure.js'

describe('selects', () => {
  it.each([
    ['everything without globs', 'a', undefined, undefined, true],
    ['everything with empty lists', 'a', [], [], true],
    ['what one glob includes', 'a.gguf', ['*.bin', '*.gguf'], undefined, true],
    ['nothing else', 'a.txt', ['*.bin', '*.gguf'], undefined, false],
    ['everything that is not excluded', 'a', undefined, ['b'], true],
    ['not what one of several globs excludes', 'b', undefined, ['a', 'b'], false],
    ['not what is included and excluded', 'a', ['a'], ['a'], false],
    ['not what is neither included nor excluded', 'a.bin', ['*.gguf'], ['b'], false],
  ])('%s', (_, path, include, exclude, expected) => {
    expect(selects(path, include, exclude)).toBe(expected)
  })
})

describe('matches', () => {
  it.each([
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/*/b', 'a/x/y/b', false],
    ['a/*x/b', 'a/yx/b', true],
    ['a/*x/b', 'a/y/yx/b', false],
    ['a/x*/b', 'a/xy/b', true],
    ['a/x*/b', 'a/xy/y/b', false],
    ['a/xy/b', 'a/z/b', false],
    ['a/***/b', 'a/x/b', true],
    ['a/***/b', 'a/x/y/b', false],
    ['a/', 'a/x/y', true],
    ['a/', 'b/a/x', false],
    ['/a', 'a', true],
    ['/a', 'b/a', false],
    ['a', 'b/a', true],
    ['a', '', false],
    ['', '', true],
    ['?', '模', true],
    ['?', 'ab', false],
    ['?', '', false],
  ])('%j, %j: %s', (glob, path, expected) => {
    expect(matches(glob, path)).toBe(expected)
  })
})

describe('bounds', () => {
  it('a glob has up to 1,000 characters', () => {
    expect(matches('a'.repeat(1_000), 'a'.repeat(1_000))).toBe(true)
    expect(failure(() => matches('a'.repeat(1_001), 'a'))).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: 'A glob is longer than 1,000 characters.',
    })
  })

  it('the globs of a selector may be compared with a limited number of characters in all paths together', () => {
    const message = 'take too long to match against so many files; use fewer or simpler ones'
    const select = selector(['*.gguf'], undefined)
    expect(select('a.gguf')).toBe(true)
    const wrong = failure(() => select('a'.repeat(20_000_000)))
    expect(wrong).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: `The globs of include and exclude ${message}.`,
      issues: [{ path: 'include', message }],
    })
  })

  it('without globs nothing is compared', () => {
    const select = selector(undefined, undefined)
    for (let times = 0; times < 30; times += 1) expect(select('a'.repeat(1_000_000))).toBe(true)
  })
})
