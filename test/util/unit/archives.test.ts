import { describe, expect, it } from 'vitest'
import { isInArchive, placesOf } from '../../../src/util/archives.js'

describe('a file of an app that is packed', () => {
  it.each([
    ['/app/resources/app.asar/x/y.js', '/app/resources/app.asar.unpacked/x/y.js'],
    ['C:\\app\\resources\\app.asar\\x\\y.js', 'C:\\app\\resources\\app.asar.unpacked\\x\\y.js'],
    ['/app/resources/other.asar/y.js', '/app/resources/other.asar.unpacked/y.js'],
    // Only the outermost one has a folder beside it.
    ['/a/app.asar/b.asar/y.js', '/a/app.asar.unpacked/b.asar/y.js'],
  ])('is looked for beside the archive first: %s', (path, beside) => {
    expect(isInArchive(path)).toBe(true)
    expect(placesOf(path, true)).toEqual([beside, path])
    expect(placesOf(path, false)).toEqual([path])
  })

  it.each([
    '/app/node_modules/model-downloader/dist/engine-worker.js',
    '/app/resources/app.asar.unpacked/x/y.js',
    '/app/asar/y.js',
    '/app/app.asarx/y.js',
    '/app/models.asar',
  ])('is where it is: %s', (path) => {
    expect(isInArchive(path)).toBe(false)
    expect(placesOf(path, true)).toEqual([path])
  })
})
