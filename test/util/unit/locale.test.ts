import fc from '../../support/properties.js'
import { expect, it } from 'vitest'
import { chooseLocale } from '../../../src/util/locale.js'

it.each([
  [null, 'en-US'],
  ['', 'en-US'],
  ['zh-CN', 'zh-CN'],
  ['zh', 'zh-CN'],
  ['ZH-hant-TW', 'zh-CN'],
  ['en-GB', 'en-US'],
  ['fr-FR, de;q=0.9', 'en-US'],
  ['zh-CN,zh;q=0.9,en;q=0.8', 'zh-CN'],
  ['en;q=0.8, zh-CN;q=0.9', 'zh-CN'],
  ['fr, zh;q=0.5, en;q=0.1', 'zh-CN'],
  ['zh;q=0, en;q=0.1', 'en-US'],
  ['zh;q=0', 'en-US'],
  ['*', 'en-US'],
  ['zh;q=1.5', 'zh-CN'],
  [',;q=,zh', 'zh-CN'],
] as const)('%j is answered in %s', (field, locale) => {
  expect(chooseLocale(field, 'en-US')).toBe(locale)
})

it('what asks for none of ours gets what the host prefers', () => {
  for (const field of [null, '', 'fr', '*', 'zh;q=0', 'en;q=0'])
    expect(chooseLocale(field, 'zh-CN')).toBe('zh-CN')
})

it('whatever comes, one of the two is the answer', () => {
  fc.assert(
    fc.property(fc.string(), (field) => {
      expect(['en-US', 'zh-CN']).toContain(chooseLocale(field, 'en-US'))
    }),
  )
})
