import { describe, expect, it } from 'vitest'
import { limitsWith, originOf, prioritiesWith, nameOf } from '../../../src/elements/list/naming.js'
import { downloadOf } from './wire.js'

describe('the name of a download', () => {
  it.each([
    ['hf:owner/repository', { state: 'queued' }, 'hf:owner/repository', 'Hugging Face'],
    ['hf:owner/repository', { state: 'failed', code: 'NOT_FOUND' }, 'hf:owner/repository', 'Hugging Face'],
    ['ms:owner/repository', { state: 'resolving' }, 'ms:owner/repository', 'ModelScope'],
    ['own:thing', { state: 'queued' }, 'own:thing', 'own'],
    ['hf:owner/repository', { state: 'downloading', total: 9 }, 'file', 'hf:owner/repository'],
    ['hf:owner/repository', { state: 'queued', file_count: 3 }, 'file', 'hf:owner/repository'],
    ['ollama:qwen3', { state: 'completed' }, 'file', 'ollama:qwen3'],
    ['https://host:8443/a/b%20c.gguf?token=x', { state: 'queued' }, 'file', 'host:8443/a/b c.gguf'],
    ['https://host/', { state: 'queued' }, 'file', 'host'],
    ['https://host/%zz', { state: 'queued' }, 'file', 'host/%zz'],
  ] as const)('of %s in %j is %s, from %s', (url, of, title, origin) => {
    const download = downloadOf(url, { filename: 'file', ...of })
    expect(nameOf(download)).toBe(title)
    expect(originOf(download)).toBe(origin)
  })
})

describe('what can be chosen', () => {
  it('holds what is set', () => {
    expect(limitsWith(null)).toContain(0)
    expect(limitsWith(3e6)).toContain(3e6)
    expect(limitsWith(3e6)).toEqual([...limitsWith(3e6)].sort((a, b) => a - b))
    expect(prioritiesWith(0)).toEqual([10, 0, -10])
    expect(prioritiesWith(3)).toEqual([10, 3, 0, -10])
  })
})
