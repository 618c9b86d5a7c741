import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { localeFor } from '../../../src/elements/strings.js'
import { chooseLocale, localeOfEnvironment, localeOfTag } from '../../../src/util/locale.js'

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

describe('the language of a terminal', () => {
  it.each([
    [{ LANG: 'zh_CN.UTF-8' }, 'zh-CN'],
    [{ LANG: 'zh_CN.utf8' }, 'zh-CN'],
    [{ LANG: 'zh_CN' }, 'zh-CN'],
    [{ LANG: 'zh_TW.UTF-8@radical' }, 'zh-CN'],
    [{ LANG: 'zh_CN.UTF-8', LC_MESSAGES: 'en_US.UTF-8' }, 'en-US'],
    [{ LANG: 'en_US.UTF-8', LC_MESSAGES: 'zh_CN.UTF-8' }, 'zh-CN'],
    [{ LANG: 'en_US.UTF-8', LC_MESSAGES: 'en_US.UTF-8', LC_ALL: 'zh_CN.UTF-8' }, 'zh-CN'],
    [{ LANG: 'zh_CN.UTF-8', LC_ALL: '' }, 'zh-CN'],
    [{ LANG: 'zh_CN.UTF-8', LC_ALL: 'C' }, 'en-US'],
    [{ LANG: 'zh_CN.UTF-8', LC_ALL: 'C.UTF-8' }, 'en-US'],
    [{ LANG: 'POSIX' }, 'en-US'],
    [{ LANG: 'de_DE.UTF-8' }, 'en-US'],
    [{ LANG: 'zh_CN.GBK' }, 'en-US'],
    [{ LC_CTYPE: 'zh_CN.UTF-8', LANG: 'en_US.UTF-8' }, 'en-US'],
  ])('of %j is %s, whatever the system speaks', (environment, locale) => {
    for (const tag of ['zh-CN', 'en-US', 'fr'])
      expect(localeOfEnvironment(environment, () => tag)).toBe(locale)
  })

  it.each([
    ['zh-Hans-CN', 'zh-CN'],
    ['en-US-u-va-posix', 'en-US'],
    ['fr', 'en-US'],
    ['', 'en-US'],
  ])('is that of the system (%s) where the environment names none', (tag, locale) => {
    expect(localeOfEnvironment({ LANG: '' }, () => tag)).toBe(locale)
  })

  it('is told by the tags that the dashboard understands', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constantFrom('zh', 'ZH-cn', 'en_GB', 'zh_TW', ' en', 'zhx', 'e', 'fr-CH'), fc.string()),
        (tag) => {
          expect(localeOfTag(tag) ?? 'en-US').toBe(localeFor([tag]))
        },
      ),
    )
  })
})
