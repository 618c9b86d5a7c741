import { describe, expect, it } from 'vitest'
import { chinese } from '../../../src/elements/chinese.js'
import { upstreamStrings } from '../../../src/elements/details/upstream-strings.js'
import { pageStrings } from '../../../src/elements/page/strings.js'
import { bringLanguage, fill, languageFor, localeFor } from '../../../src/elements/strings.js'
import { downloadErrorCodes } from '../../../src/errors.js'

const placesOf = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort()

describe('the texts', () => {
  it('are the same in every language, with the same places', async () => {
    const english = languageFor('en-US')!
    expect(Object.keys(chinese.strings).sort()).toEqual(Object.keys(english.strings).sort())
    for (const [key, text] of Object.entries(english.strings)) {
      const other = Object.entries(chinese.strings).find(([name]) => name === key)?.[1] ?? ''
      expect([key, placesOf(other)]).toEqual([key, placesOf(text)])
      expect(other, key).toMatch(/\S/)
      expect(other, key).toMatch(/[\p{Script=Han}：/]/u)
    }
    for (const stringsOf of [pageStrings, upstreamStrings]) {
      const page = Object.entries<string>(stringsOf('en-US'))
      for (const [key, text] of Object.entries<string>(stringsOf('zh-CN'))) {
        const other = page.find(([name]) => name === key)?.[1] ?? ''
        expect(text, key).not.toBe(other)
        expect([key, placesOf(text)]).toEqual([key, placesOf(other)])
      }
    }
  })

  it('come when they are spoken', async () => {
    expect(languageFor('zh-CN')).toBeNull()
    await bringLanguage('zh-CN')
    expect(languageFor('zh-CN')).toBe(chinese)
    await bringLanguage('en-US')
    expect(languageFor('en-US')?.strings.pause).toBe('Pause')
  })

  it('say every reason in Chinese but that somebody canceled', () => {
    const missing = downloadErrorCodes.filter((code) => chinese.reasons[code] === undefined)
    expect(missing.filter((code) => code !== 'CANCELED')).toEqual([])
  })

  it('have their places filled', () => {
    expect(fill('{done} of {total}', { done: 1, total: '2' })).toBe('1 of 2')
    expect(fill('{nobody} knows', {})).toBe('{nobody} knows')
    expect(fill('{a}', { a: '{b}', b: 'x' })).toBe('{b}')
  })
})

describe('the language', () => {
  it.each([
    [['zh'], 'zh-CN'],
    [['zh-Hant-TW'], 'zh-CN'],
    [['ZH_cn'], 'zh-CN'],
    [['en-GB'], 'en-US'],
    [['fr', 'zh-CN', 'en'], 'zh-CN'],
    [['fr', 'en', 'zh'], 'en-US'],
    [['fr'], 'en-US'],
    [['zhuang', ''], 'en-US'],
    [[], 'en-US'],
  ])('for %j is %s', (tags, locale) => {
    expect(localeFor(tags)).toBe(locale)
  })
})
