import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { Places } from '../../../src/download/destination.js'
import { listTree, tempDir } from '../../support/temp.js'

function failure(run: () => unknown): DownloadError | null {
  try {
    run()
  } catch (error) {
    if (error instanceof DownloadError) return error
    throw error
  }
  return null
}

describe('Places', () => {
  const places = new Places('/models', ['llm', 'embed'], 'llm')

  it('puts files below the folder of their mode', () => {
    expect(places.pathOf({ directory: null, mode: 'embed', filename: 'a.gguf' })).toBe(
      join('/models', 'embed', 'a.gguf'),
    )
    expect(places.pathOf({ directory: null, mode: null, filename: 'a.gguf' })).toBe(join('/models', 'a.gguf'))
  })

  it('puts files below another directory that was named, and knows its spellings', () => {
    const at = (directory: string | null) => places.pathOf({ directory, mode: 'llm', filename: 'a' })
    expect(at('sub')).toBe(join('/models', 'sub', 'llm', 'a'))
    expect(at('/else/where')).toBe(join('/else', 'where', 'llm', 'a'))
    expect(places.folderOf({ directory: 'sub', mode: null })).toBe(join('/models', 'sub'))
    for (const own of ['/models', '.', './', '/models/sub/..', '../models'])
      expect(places.directoryOf(own)).toBeNull()
    for (const sub of ['sub', '/models/sub', './x/../sub/']) expect(places.directoryOf(sub)).toBe('sub')
    expect(places.directoryOf('..models')).toBe('..models')
    expect(places.directoryOf('/modelsx')).toBe('/modelsx')
    expect(places.directoryOf('../other')).toBe('/other')
  })

  it('knows the default, the registered modes, and none', () => {
    expect(places.modeOf(undefined)).toBe('llm')
    expect(places.modeOf('embed')).toBe('embed')
    expect(places.modeOf(null)).toBeNull()
    expect(new Places('/models', ['llm'], null).modeOf(undefined)).toBeNull()
  })

  it('counts the default mode among the registered ones', () => {
    const other = new Places('/models', ['llm'], 'voice')
    expect(other.modeOf('voice')).toBe('voice')
    expect(other.modeOf('llm')).toBe('llm')
  })

  it.each(['rerank', '', '..', 'LLM', 'llm/', '__proto__'])('refuses the mode %j', (mode) => {
    const error = failure(() => places.modeOf(mode))
    expect(error?.code).toBe('INVALID_OPTIONS')
    expect(error?.issues).toEqual([{ path: 'mode', message: 'must be one of llm, embed' }])
  })

  it('deletes part and journal, and only those', async () => {
    const directory = tempDir('places')
    mkdirSync(join(directory, 'llm'))
    for (const name of ['a', 'a.part', 'a.part.json', 'b.part'])
      writeFileSync(join(directory, 'llm', name), name)
    const here = new Places(directory, ['llm'], 'llm')
    await here.discardBytes({ directory: null, mode: 'llm', filename: 'b', named: false })
    await here.discardBytes({ directory: null, mode: 'llm', filename: 'a', named: true })
    await here.discardBytes({ directory: null, mode: 'llm', filename: 'a', named: true })
    expect(await listTree(directory)).toEqual(['llm/', 'llm/a', 'llm/b.part'])
  })

  it('deletes a finished file, also one that is gone', async () => {
    const directory = tempDir('places')
    writeFileSync(join(directory, 'a'), 'a')
    writeFileSync(join(directory, 'b'), 'b')
    const here = new Places(directory, [], null)
    await here.deleteFile({ directory: null, mode: null, filename: 'a' })
    await here.deleteFile({ directory: null, mode: null, filename: 'a' })
    expect(await listTree(directory)).toEqual(['b'])
    expect(readFileSync(join(directory, 'b'), 'utf8')).toBe('b')
  })
})
