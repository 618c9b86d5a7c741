import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { keptPath } from '../../../src/cli/input/kept-path.js'
import { foldersKept, requestOf, wantedOf } from '../../../src/cli/input/wanted.js'
import { identify } from '../../../src/sources/identify.js'
import { sourceRegistry } from '../../../src/sources/resolver.js'

const sources = sourceRegistry()
const folder = resolve('/models')

describe('what is wanted', () => {
  it('is each URL once, however it is spelled', () => {
    const wanted = wantedOf(['https://A.example/x', 'hf:o/r'], [], { sources })
    expect([...wanted.keys()]).toEqual(['https://a.example/x', 'hf:o/r'])
    const url = 'https://a.example/x'
    const again = [{ url, line: 3, file: 'l', options: {} }]
    expect(wantedOf([url, url], again, { sources }).size).toBe(1)
  })

  it.each([
    [
      [{ url: 'https://a.example/x', line: 4, file: 'l.txt', options: { filename: 'y' } }],
      /^l.txt, line 4: https.*other options \(on the command line\)/,
    ],
    [[{ url: 'nonsense', line: 9, file: 'l.txt', options: {} }], /^l.txt, line 9: .*INVALID_URL/],
    [
      [{ url: 'https://b.example/x', line: 2, file: 'l.txt', options: { mode: '../x' } }],
      /^l.txt, line 2: mode: .*INVALID_OPTIONS/,
    ],
  ])('is refused with the place where it was given: %j', (listed, message) => {
    expect(() => wantedOf(['https://a.example/x'], listed, { sources })).toThrow(message)
  })

  it('becomes a request with the options of the run, unless it has its own', () => {
    const [one] = wantedOf(
      [],
      [
        {
          url: 'https://a.example/x',
          line: 1,
          file: 'l',
          options: { directory: 'sub', headers: { B: '2' } },
        },
      ],
      { sources },
    ).values()
    if (one === undefined) throw new Error('Nothing is wanted.')
    const shared = { headers: { A: '1' }, force: true }
    expect(requestOf(one, shared, { folder }, null)).toEqual({
      headers: { A: '1', B: '2' },
      force: true,
      directory: resolve(folder, 'sub'),
    })
    expect(requestOf(one, shared, { folder, mode: 'llm' }, ['o', 'r'])).toMatchObject({
      directory: resolve(folder, 'sub/llm/o/r'),
      mode: null,
    })
  })
})

describe('the paths that are kept', () => {
  const kept = (text: string, restrictNames = false) =>
    keptPath(text, identify(text, sources, null, restrictNames), restrictNames)

  it.each([
    ['https://a.example/o/r/x.gguf?y=1', ['o', 'r'], []],
    ['https://a.example//o/%E6%A8%A1/x.gguf', ['o', '模'], []],
    ['https://a.example/x.gguf', [], []],
    ['hf:owner/repo/sub/x.gguf@main', ['owner', 'repo'], ['sub']],
    ['hf:datasets/owner/repo/x.csv', ['datasets', 'owner', 'repo'], []],
    ['https://huggingface.co/owner/repo/resolve/main/sub/x.gguf', ['owner', 'repo'], ['sub']],
    ['hf:owner/repo', ['owner', 'repo'], null],
    ['hf:owner/repo:Q4_K_M', ['owner', 'repo'], null],
    ['ms:owner/repo/sub/x.gguf', ['owner', 'repo'], ['sub']],
    ['ms:owner/repo', ['owner', 'repo'], null],
    ['gh:owner/repo@v1/x.gguf', ['owner', 'repo'], []],
    ['gh:owner/repo@v1/', ['owner', 'repo'], null],
    ['ollama:llama3.2:1b', ['library', 'llama3.2'], []],
  ])('of %s', (text, folders, inside) => {
    expect(kept(text)).toEqual({ folders, inside })
  })

  it.each([
    'https://a.example/con/x.gguf',
    'https://a.example/a%2Fb/x.gguf',
    'https://a.example/.model-downloader/x',
  ])('have safe names only: %s', (url) => {
    expect(() => kept(url)).toThrow(/can't be used/)
    expect(kept(url, true).folders).toHaveLength(1)
  })

  it('end above the folder of a group', async () => {
    const ref = { folders: ['o', 'r'], inside: null }
    expect(await foldersKept(ref, async () => 1)).toEqual(['o', 'r'])
    expect(await foldersKept(ref, async () => 3)).toEqual(['o'])
    const asks = () => Promise.reject(new Error('It must not be asked.'))
    expect(await foldersKept({ folders: ['o', 'r'], inside: ['s'] }, asks)).toEqual(['o', 'r', 's'])
  })
})
