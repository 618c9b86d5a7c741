import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { type SharedName, sharedNames } from '../../scripts/names.mjs'
import { tempDir } from '../support/temp.js'

/** What the gate says of these files. */
function judged(files: Record<string, string>): SharedName[] {
  const folder = tempDir('names')
  for (const room of ['src', 'adapters']) mkdirSync(path.join(folder, room))
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), text)
  }
  return sharedNames(folder)
}

describe('an exported name that means two things', () => {
  it.each([
    ['functions', 'export function same() {}', 'export function same() {}'],
    ['types', 'export interface same {}', 'export type same = string'],
    ['a type and a value', 'export type same = string', 'export const same = 1'],
    ['classes', 'export class same {}', 'export abstract class same {}'],
    ['parts of a pattern', 'export const { same } = { same: 1 }', 'export const [same] = [1]'],
    ['lists of exports', 'const same = 1\nexport { same }', 'const other = 1\nexport { other as same }'],
    ['enums and namespaces', 'export enum same {}', 'export namespace same { export const x = 1 }'],
  ])('is seen in %s', (_kind, one, other) => {
    const found = judged({ 'src/a/one.ts': one, 'src/b/deep/other.ts': other })
    expect(found.map(({ name }) => name)).toEqual(['same'])
    expect(found[0]?.places).toHaveLength(2)
  })

  it('is told with the file and the line of each', () => {
    const files = {
      'src/a.ts': '/** One. */\nexport const same = 1\n',
      'src/b.ts': '\n\n/** Another. */\nexport function same() {}\n',
      'adapters/c.ts': 'export class same {}\n',
    }
    expect(judged(files)).toEqual([{ name: 'same', places: ['adapters/c.ts:1', 'src/a.ts:2', 'src/b.ts:4'] }])
  })

  it('is seen when an adapter shares it with the sources', () => {
    const files = { 'adapters/a.ts': 'export type Live = string', 'src/b.ts': 'export type Live = number' }
    expect(judged(files)).toHaveLength(1)
  })

  it('is seen when a file that no user imports gives another name to what it passes on', () => {
    const files = {
      'src/a.ts': 'export const one = 1',
      'src/b.ts': 'export const other = 1',
      'src/c/index.ts': `export { one as other } from '../a.js'`,
    }
    expect(judged(files).map(({ name }) => name)).toEqual(['other'])
  })
})

describe('an exported name that means one thing', () => {
  it.each<[string, Record<string, string>]>([
    ['passed on', { 'src/a.ts': 'export const x = 1', 'src/b.ts': `export { x } from './a.js'` }],
    ['passed on with all others', { 'src/a.ts': 'export const x = 1', 'src/b.ts': `export * from './a.js'` }],
    [
      'passed on by way of an import',
      { 'src/a.ts': 'export class X {}', 'src/b.ts': `import { X } from './a.js'\nexport { X }` },
    ],
    [
      'from a package',
      {
        'src/a.ts': `export type { Agent } from 'undici'`,
        'src/b.ts': `export type { Agent } from 'undici'`,
      },
    ],
    ['a type and its value', { 'src/a.ts': 'export const x = 1\nexport type x = typeof x' }],
    ['overloads', { 'src/a.ts': 'export function x(): void\nexport function x(a?: 1) { return a }' }],
    [
      'not exported elsewhere',
      { 'src/a.ts': 'export const x = 1', 'src/b.ts': 'const x = 1\nexport const y = x' },
    ],
    ['of other letters', { 'src/a.ts': 'export const x = 1', 'src/b.ts': 'export const X = 1' }],
    ['default exports', { 'src/a.ts': 'export default 1', 'src/b.ts': 'export default 2' }],
    ['shared by adapters', { 'adapters/a.ts': 'export const x = 1', 'adapters/b.ts': 'export const x = 2' }],
    [
      'given by an entry to its users',
      {
        'src/a.ts': 'export type X = string',
        'src/b.ts': 'export type WireX = string',
        'src/client/index.ts': `export type { WireX as X } from '../b.js'`,
      },
    ],
    ['in nothing that is TypeScript', { 'src/a.ts': 'export const x = 1', 'src/b.js': 'export const x = 2' }],
  ])('is left alone: %s', (_kind, files) => {
    expect(judged(files)).toEqual([])
  })
})
