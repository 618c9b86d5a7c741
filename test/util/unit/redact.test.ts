import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { redactUrl, redactUrls } from '../../../src/util/redact.js'

describe('redactUrl', () => {
  it.each([
    ['https://host/a.gguf', 'https://host/a.gguf'],
    ['https://host:8443/dir/a.gguf', 'https://host:8443/dir/a.gguf'],
    ['https://host/a.gguf?X-Amz-Signature=abc&x=1', 'https://host/a.gguf?…'],
    ['https://host/a.gguf?sv=2024&sig=abc%2F', 'https://host/a.gguf?…'],
    ['https://host/a.gguf?', 'https://host/a.gguf?…'],
    ['https://me:pw@host/a.gguf', 'https://host/a.gguf'],
    ['https://me@host/a.gguf?token=t#frag', 'https://host/a.gguf?…'],
    ['https://a@b:p@ss@host/x', 'https://host/x'],
    ['https://host/models/@scope/a.gguf', 'https://host/models/@scope/a.gguf'],
    ['https://host/a#access_token=abc', 'https://host/a'],
    ['me:pw@host/file?x', 'host/file?…'],
    ['not a url?secret', 'not a url?…'],
    ['hf://me:pw@host/a', 'hf://host/a'],
    ['h2+f.x-y://me:pw@host/a', 'h2+f.x-y://host/a'],
    ['2://me:pw@host/a', 'host/a'],
    ['x hf://me:pw@host/a', 'host/a'],
    ['HTTPS://me:pw@host/@a', 'HTTPS://host/@a'],
    ['http:me:pw@host/@a', 'http:host/@a'],
    ['https:\\\\me:pw@host\\@a', 'https:\\\\host\\@a'],
    ['https:///me:pw@host/@a', 'https:///host/@a'],
    ['https://me:pw@host/a\n@b', 'https://host/a\n@b'],
    ['https://host', 'https://host'],
    ['', ''],
  ])('%s → %s', (url, expected) => {
    expect(redactUrl(url)).toBe(expected)
  })

  it('never lets a password, a query value or a fragment through', () => {
    // Marked so that a piece of it cannot stand in the host or path by chance.
    const secret = fc.stringMatching(/^[A-Za-z0-9%_.~-]{1,40}$/).map((text) => `SECRET${text}SECRET`)
    fc.assert(
      fc.property(
        secret,
        fc.webUrl({ withQueryParameters: false, withFragments: false }),
        fc.constantFrom('userinfo', 'user', 'query', 'second', 'fragment'),
        (text, base, place) => {
          const [scheme, rest] = base.split('://')
          const url = {
            userinfo: `${scheme}://me:${text}@${rest}`,
            user: `${scheme}://${text}@${rest}`,
            query: `${base}?token=${text}`,
            second: `${base}?a=b&${text}=1`,
            fragment: `${base}#${text}`,
          }[place]
          expect(redactUrl(url)).not.toContain('SECRET')
          expect(redactUrls(`could not fetch ${url}, giving up`)).not.toContain('SECRET')
        },
      ),
    )
  })
})

describe('redactUrls', () => {
  it('leaves the text around an address alone', () => {
    expect(redactUrls('See https://u:p@host/a?sig=1, then (http://b/c?d).')).toBe(
      'See https://host/a?…, then (http://b/c?…).',
    )
    expect(redactUrls('no address here?')).toBe('no address here?')
  })

  it.each(['.', ',', ';', ':', '!', "'", ')', ']', '}', '.)', "'],", ''])(
    'takes %j for what follows it',
    (end) => {
      expect(redactUrls(`At http://me:pw@host/a?b${end}`)).toBe(`At http://host/a?…${end}`)
      expect(redactUrls(`At http://me:pw@host/a${end} or b`)).toBe(`At http://host/a${end} or b`)
    },
  )

  it.each([
    ['<https://me:pw@host/a?b>', '<https://host/a?…>'],
    ['"HTTPS://me:pw@host/a?b" c', '"HTTPS://host/a?…" c'],
    ['http:\\\\me:pw@host/a?b\nc?d', 'http:\\\\host/a?…\nc?d'],
    ['http:/me@host', 'http:/me@host'],
    ['ftp://me@host', 'ftp://me@host'],
  ])('%j → %j', (text, expected) => {
    expect(redactUrls(text)).toBe(expected)
  })
})
