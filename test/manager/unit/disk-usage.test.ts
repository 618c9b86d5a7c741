import { describe, expect, it } from 'vitest'
import type { FoundFile } from '../../../src/disk/walk.js'
import { spaceOfEach, type CountedFile } from '../../../src/manager/space/measure.js'
import { usageByModel } from '../../../src/manager/space/report.js'

function found(path: string, size: number, more: Partial<FoundFile> = {}): FoundFile {
  return { path, size, allocated: size, links: 1, volume: '1', inode: 0n, atimeMs: 0, ...more }
}

const sum = (files: readonly CountedFile[]) => files.reduce((all, { bytes }) => all + bytes, 0)

describe('what files count', () => {
  it('is their size, whatever the file system allocates for them', () => {
    expect(
      sum(spaceOfEach([found('/m/a', 10, { allocated: 4096 }), found('/m/b', 10, { allocated: 0 })])),
    ).toBe(20)
  })

  it('is the same for one and for several hard links of a file', () => {
    const links = [found('/m/a', 10, { links: 3, inode: 7n }), found('/m/b', 10, { links: 3, inode: 7n })]
    expect(sum(spaceOfEach(links))).toBe(10)
    expect(sum(spaceOfEach([...links, found('/n/a', 10, { links: 2, inode: 7n, volume: '2' })]))).toBe(20)
    expect(spaceOfEach(links).map(({ freeable }) => freeable)).toEqual([0, 0])
  })

  it('is what is allocated of an unfinished file, and all of it while another process writes it', () => {
    const part = found('/m/a.part', 100, { allocated: 30 })
    expect(spaceOfEach([part])).toMatchObject([{ bytes: 30, pending: 0 }])
    const locked = [part, found('/m/a.part.lock', 7)]
    expect(spaceOfEach(locked)[0]).toMatchObject({ bytes: 100, pending: 70 })
    expect(spaceOfEach(locked, (target) => target === '/m/a')[0]).toMatchObject({ bytes: 30, pending: 0 })
  })
})

describe('the usage by model', () => {
  const folders = [
    { mode: null, folder: '/m' },
    { mode: 'llm', folder: '/m/llm' },
  ]
  const owner = { url: 'https://a/', mode: 'llm', filename: 'big', pinned: false }
  const told = (paths: readonly string[], owners = [{ ...owner, path: '/m/llm/big' }]) =>
    usageByModel(spaceOfEach(paths.map((path, index) => found(path, 100 - index))), owners, folders).map(
      ({ mode, filename, url, bytes }) => [mode, filename, url, bytes],
    )

  it('adds up the files of a group with what is unfinished of it', () => {
    expect(told(['/m/llm/big/a', '/m/llm/big/sub/b.part'])).toEqual([['llm', 'big', 'https://a/', 199]])
    expect(told(['/m/llm/big', '/m/llm/big.part', '/m/llm/big.part.json'])).toEqual([
      ['llm', 'big', 'https://a/', 199],
    ])
  })

  it('names what belongs to no download after its first folder, or the file', () => {
    expect(told(['/m/llm/x/y/z', '/m/llm/x/w', '/m/other', '/far/away'], [])).toEqual([
      ['llm', 'x', null, 199],
      [null, 'other', null, 98],
      [null, 'away', null, 97],
    ])
  })

  it('gives no address to what several downloads share, and shows repositories by their names', () => {
    const hub = { ...owner, mode: null, filename: 'models--o--n', path: '/m/models--o--n' }
    const entries = usageByModel(
      spaceOfEach([found('/m/models--o--n/blobs/1', 5)]),
      [hub, { ...hub, url: 'https://b/', pinned: true }],
      folders,
    )
    expect(entries).toEqual([
      { mode: null, filename: 'models--o--n', name: 'o/n', url: null, bytes: 5, pinned: true },
    ])
  })

  it('is bounded, and the largest come first', () => {
    const files = spaceOfEach(Array.from({ length: 3_000 }, (_, index) => found(`/m/${index}`, index + 1)))
    const entries = usageByModel(files, [], folders)
    expect([entries.length, entries[0]?.bytes]).toEqual([1_000, 3_000])
  })
})
