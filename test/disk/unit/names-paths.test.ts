/** Paths of several names, and the names that the package makes up. */
import { describe, expect, it } from 'vitest'
import {
  checkFilename,
  displayedPath,
  fallbackFilename,
  madeUpFilename,
  safePath,
} from '../../../src/disk/names.js'
import { failure } from '../../support/failure.js'

describe('safePath', () => {
  it('checks each segment', () => {
    expect(safePath('a/b.gguf')).toBe('a/b.gguf')
    expect(safePath('gro\u0308\u00dfe/a')).toBe('gr\u00f6\u00dfe/a')
    for (const path of ['a/con', 'con/a', 'a//b', '/a', 'a/', '', '../a'])
      expect(failure(() => safePath(path)).code).toBe('UNSAFE_FILENAME')
  })

  it('remembers the segments that it has checked', () => {
    const known = new Map([['con', 'x']])
    expect(safePath('con/a/con', known)).toBe('x/a/x')
    expect([...known]).toEqual([
      ['con', 'x'],
      ['a', 'a'],
    ])
  })

  it('takes paths of up to 1,024 bytes', () => {
    const path = (bytes: number) => 'ab/'.repeat(341).padEnd(bytes, 'x')
    expect(safePath(path(1024))).toHaveLength(1024)
    const shown = `${'ab/'.repeat(13)}a`
    expect(() => safePath(path(1025))).toThrow(`The path "${shown}…" is longer than 1024 bytes.`)
    expect(failure(() => safePath(path(1025))).code).toBe('UNSAFE_FILENAME')
    expect(failure(() => safePath(`${'模/'.repeat(257)}a`)).code).toBe('UNSAFE_FILENAME')
    expect(() => safePath(`模${'/a'.repeat(600)}`)).toThrow('The path "?/a/a')
  })

  it('does not look into a path that is far too long', () => {
    const path = (length: number) => `con/${'ab/'.repeat(1364)}`.padEnd(length, 'x')
    expect(() => safePath(path(4096))).toThrow('it is reserved on Windows')
    expect(() => safePath(path(4097))).toThrow('longer than 1024 bytes')
  })
})

it('displayedPath writes harmful characters as escapes', () => {
  expect(displayedPath('a/\u202eb\n\u061c\ud800 \u00e4模')).toBe('a/\\u202eb\\u000a\\u061c\\ud800 \u00e4模')
})

it('fallbackFilename is a safe name', () => {
  expect(fallbackFilename).toBe('model.gguf')
})

describe('madeUpFilename', () => {
  it.each([
    ['https://civitai.com/api/download/models/128713?type=Model', 'download-128713.bin'],
    ['https://host/files/42/download', 'download-42.bin'],
    ['https://drive.example/uc?export=download&id=1AbC_d-9', 'download-1AbC_d-9.bin'],
    ['https://host/api/v3/download', 'model.bin'],
    ['https://host/v12/download', 'model.bin'],
    ['https://host/v1-a/download', 'download-v1-a.bin'],
    ['https://host/1/2', 'download-2.bin'],
    ['https://host/download', 'model.bin'],
    ['https://host/', 'model.bin'],
    ['https://host/?id=../../1', 'model.bin'],
    ['https://host/a%2f1', 'model.bin'],
    [`https://host/${'1'.repeat(65)}`, 'model.bin'],
  ])('%s → %s', (url, expected) => {
    const name = madeUpFilename(new URL(url), 'bin')
    expect(name).toBe(expected)
    expect(checkFilename(name)).toBe(name)
  })
})
