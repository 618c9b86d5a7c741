import { posix, win32 } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isInside } from '../../../src/disk/inside.js'
import fc from '../../support/properties.js'

describe('isInside', () => {
  it.each([
    ['/models', '/models', true],
    ['/models', '/models/', true],
    ['/models', '/models/a/b', true],
    ['/models/', '/models/a', true],
    ['/models', '/models/..a', true],
    ['/models', '/models/...', true],
    ['/models', '/models/a/../b', true],
    ['/models', '/models/c:x', true],
    ['/', '/anything', true],
    ['/models', '/', false],
    ['/models', '/modelsx', false],
    ['/models', '/model', false],
    ['/models', '/models/..', false],
    ['/models', '/models/../x', false],
    ['/models', '/x/models', false],
    ['/a/b', '/a', false],
  ])('of %s, %s: %s', (folder, path, inside) => {
    expect(isInside(folder, path, posix)).toBe(inside)
  })

  it.each([
    ['C:\\models', 'C:\\models\\a', true],
    ['C:\\models', 'c:\\MODELS\\a', true],
    ['C:\\models', 'C:/models/a', true],
    ['C:\\models', 'C:\\models\\..a', true],
    ['C:\\models', 'C:\\', false],
    ['C:\\models', 'C:\\modelsx', false],
    ['C:\\models', 'D:\\models\\a', false],
    ['C:\\models', '\\\\server\\share\\models', false],
    ['\\\\server\\share', '\\\\server\\share\\a', true],
    ['\\\\server\\share', '\\\\server\\other\\a', false],
  ])('of %s, %s on Windows: %s', (folder, path, inside) => {
    expect(isInside(folder, path, win32)).toBe(inside)
  })

  it('holds exactly for what begins with the folder, once it is resolved', () => {
    const part = fc.constantFrom('a', 'b', 'ab', '..', '.', '..a', 'a..')
    const paths = fc.array(part, { maxLength: 5 }).map((parts) => `/${parts.join('/')}`)
    fc.assert(
      fc.property(paths, paths, (folder, path) => {
        const [base, resolved] = [posix.resolve(folder), posix.resolve(path)]
        const expected = resolved === base || resolved.startsWith(base === '/' ? '/' : `${base}/`)
        expect(isInside(folder, path, posix)).toBe(expected)
      }),
    )
  })
})
