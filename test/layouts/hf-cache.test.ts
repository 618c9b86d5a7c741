/** What lies where in a cache of the Hugging Face libraries. */
import { posix } from 'node:path'
import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  blobFolder,
  cachePlaceOf,
  linkTarget,
  refPath,
  repositoryFolder,
  snapshotPath,
} from '../../src/layouts/hf-paths.js'
import { hubCache, knownCaches } from '../../src/layouts/known-caches.js'
import type { ResolvedFile } from '../../src/sources/source.js'

const commit = 'a'.repeat(40)
const sha256 = 'b'.repeat(64)
const gitOid = 'c'.repeat(40)

function fileOf(more: Partial<ResolvedFile> = {}): ResolvedFile {
  return {
    filename: 'model.gguf',
    urls: ['https://example.com/model.gguf'],
    sha256,
    revision: commit,
    repository: { type: 'models', name: 'owner/name', revision: 'main' },
    headers: {},
    ...more,
  }
}

function codeOf(run: () => unknown): string | null {
  try {
    run()
    return null
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'none'
  }
}

describe('a place in the cache', () => {
  it('is called as the libraries call it', () => {
    expect(repositoryFolder('models', 'owner/name')).toBe('models--owner--name')
    expect(repositoryFolder('datasets', 'owner/na.me_x')).toBe('datasets--owner--na.me_x')
    const place = cachePlaceOf(fileOf({ filename: 'onnx/model.onnx' }))
    expect(blobFolder(place)).toEqual(['models--owner--name', 'blobs'])
    expect(snapshotPath(place)).toEqual(['models--owner--name', 'snapshots', commit, 'onnx', 'model.onnx'])
    expect(refPath(place)).toEqual(['models--owner--name', 'refs', 'main'])
    expect(linkTarget(place)).toBe(`../../../blobs/${sha256}`)
    expect(linkTarget({ path: 'model.gguf', blob: gitOid })).toBe(`../../blobs/${gitOid}`)
  })

  it('of a file that git keeps is called by its object, of one with a digest by that', () => {
    expect(cachePlaceOf(fileOf({ sha256: undefined, gitOid })).blob).toBe(gitOid)
    expect(cachePlaceOf(fileOf({ gitOid })).blob).toBe(sha256)
  })

  it('has no ref when the commit itself was asked for, and a nested one for a pull request', () => {
    const at = (revision: string) =>
      refPath(cachePlaceOf(fileOf({ repository: { type: 'models', name: 'o/n', revision } })))
    expect(at(commit)).toBeNull()
    expect(at('refs/pr/1')).toEqual(['models--o--n', 'refs', 'refs', 'pr', '1'])
  })

  it.each([
    ['no repository', { repository: undefined }, 'INVALID_OPTIONS'],
    ['no commit', { revision: undefined }, 'PROTOCOL_ERROR'],
    ['a commit that is none', { revision: '../../x' }, 'PROTOCOL_ERROR'],
    ['neither digest nor object', { sha256: undefined }, 'PROTOCOL_ERROR'],
    ['an object that is none', { sha256: undefined, gitOid: '../x' }, 'PROTOCOL_ERROR'],
    [
      'a repository that climbs',
      { repository: { type: 'models', name: '../x', revision: 'main' } },
      'PROTOCOL_ERROR',
    ],
    [
      'a ref that climbs',
      { repository: { type: 'models', name: 'o/n', revision: 'a/../b' } },
      'PROTOCOL_ERROR',
    ],
    [
      'a ref without a name',
      { repository: { type: 'models', name: 'o/n', revision: 'a//b' } },
      'PROTOCOL_ERROR',
    ],
    ['a path that climbs', { filename: '../model.gguf' }, 'UNSAFE_FILENAME'],
    ['a path of a device', { filename: 'a/con.gguf' }, 'UNSAFE_FILENAME'],
  ] as const)('is refused for %s', (_, more, code) => {
    expect(codeOf(() => cachePlaceOf(fileOf(more)))).toBe(code)
  })

  it('lies below the root, and its link leads to its blob, whatever the names', () => {
    const segment = fc.oneof(
      fc.string({ minLength: 1, maxLength: 12 }),
      fc.constantFrom('..', '.', '', 'a', 'a b', 'ü', 'con', 'x.part', '-', '--'),
    )
    const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'))
    fc.assert(
      fc.property(path, path, path, (filename, name, revision) => {
        let place
        try {
          place = cachePlaceOf(fileOf({ filename, repository: { type: 'spaces', name, revision } }))
        } catch {
          return
        }
        const at = (segments: readonly string[]) => posix.join('/root', ...segments)
        const snapshot = at(snapshotPath(place))
        const blob = at([...blobFolder(place), place.blob])
        expect(posix.resolve(posix.dirname(snapshot), linkTarget(place))).toBe(blob)
        const folder = `/root/${place.folder}`
        expect(posix.dirname(folder)).toBe('/root')
        expect(snapshot.startsWith(`${folder}/snapshots/${commit}/`)).toBe(true)
        const ref = refPath(place)
        if (ref !== null) expect(at(ref).startsWith(`${folder}/refs/`)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('the caches of this machine', () => {
  const machine = (env: Record<string, string>, platform = 'linux') => ({ env, home: '/home/me', platform })

  it.each([
    [{}, '/home/me/.cache/huggingface/hub'],
    [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
    [{ XDG_CACHE_HOME: '/x', HF_HOME: '/hf' }, '/hf/hub'],
    [{ HF_HOME: '~/hf' }, '/home/me/hf/hub'],
    [{ HF_HOME: '/hf', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
    [{ HF_HUB_CACHE: '/new', HUGGINGFACE_HUB_CACHE: '/old' }, '/new'],
    [{ HF_HUB_CACHE: '  ', HF_HOME: '' }, '/home/me/.cache/huggingface/hub'],
    [{ HF_HUB_CACHE: 'relative' }, '/home/me/.cache/huggingface/hub'],
  ])('of the hub, with %j, is %s', (env, expected) => {
    expect(hubCache(machine(env))).toBe(expected)
  })

  it('are known for every program', () => {
    const caches = knownCaches(machine({ OLLAMA_MODELS: '/o', LLAMA_CACHE: '/l', HF_HOME: '/hf' }))
    expect(caches.hub).toEqual(['/hf/hub', '/home/me/.cache/huggingface/hub'])
    expect(caches.ollama[0]).toBe('/o')
    expect(caches.lmStudio).toEqual(['/home/me/.lmstudio/models', '/home/me/.cache/lm-studio/models'])
    expect(caches.llamaCpp).toEqual(['/l'])
    const own = ['/home/me/.cache/modelscope/hub/models', '/home/me/.cache/modelscope/hub']
    expect(caches.modelScope).toEqual(own)
    const given = ['/ms/models', '/ms', '/ms/hub/models', '/ms/hub']
    expect(knownCaches(machine({ MODELSCOPE_CACHE: '/ms' })).modelScope).toEqual([...given, ...own])
    expect(knownCaches(machine({}, 'darwin')).llamaCpp).toEqual(['/home/me/Library/Caches/llama.cpp'])
    expect(knownCaches(machine({})).ollama[0]).toBe('/home/me/.ollama/models')
  })

  it.each(['linux', 'darwin', 'win32'])('need no home folder on %s', (platform) => {
    const homeless = (env: Record<string, string>) => ({ ...machine(env, platform), home: null })
    const { hub, ollama, lmStudio, llamaCpp } = knownCaches(homeless({ HF_HOME: '~/hf' }))
    expect([...hub, ...lmStudio, ...llamaCpp]).toEqual([])
    expect(ollama).toEqual(platform === 'linux' ? ['/usr/share/ollama/.ollama/models'] : [])
    expect(hubCache(homeless({ HF_HOME: '/hf' }))).toBe('/hf/hub')
    expect(knownCaches(homeless({ OLLAMA_MODELS: '/o', LLAMA_CACHE: '/l' }))).toMatchObject({
      llamaCpp: ['/l'],
    })
  })
})
