import { describe, expect, it } from 'vitest'
import { queryFor, quantisationRef } from '../../../src/elements/look/query.js'
import { lookStrings } from '../../../src/elements/look/strings.js'

describe('what somebody looks for', () => {
  it.each([
    ['hf:owner/repo', 'inspect hf:owner/repo'],
    ['https://example.com/a.gguf', 'inspect https://example.com/a.gguf'],
    ['owner/repo', 'inspect hf:owner/repo'],
    ['qwen3 8b', 'search qwen3 8b'],
    ['qwen3', 'search qwen3'],
    ['a/b/c', 'search a/b/c'],
  ])('%s', (text, expected) => {
    const query = queryFor(text)
    expect(query.kind === 'search' ? `search ${query.text}` : `inspect ${query.url}`).toBe(expected)
  })

  it('can be downloaded in one quantisation if it is a whole repository', () => {
    expect(quantisationRef({ url: 'hf:owner/repo' }, 'Q4_K_M')).toBe('hf:owner/repo:Q4_K_M')
    for (const url of [
      'hf:owner/repo:Q8_0',
      'hf:owner/repo/a.gguf',
      'ms:owner/repo',
      'https://example.com/a.gguf',
    ])
      expect(quantisationRef({ url }, 'Q4_K_M')).toBeNull()
  })

  it('is said in both languages, with the same places', () => {
    const english = lookStrings('en-US')
    const placesOf = (text = '') => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort()
    for (const [key, text] of Object.entries(lookStrings('zh-CN'))) {
      const other = Object.entries(english).find(([name]) => name === key)?.[1]
      expect(text, key).toMatch(/\p{Script=Han}/u)
      expect(placesOf(text), key).toEqual(placesOf(other))
    }
  })
})
