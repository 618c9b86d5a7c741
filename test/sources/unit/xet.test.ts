/** Tokens of the Xet store, and when the store is used. */
import { describe, expect, it } from 'vitest'
import { xetSpecOf } from '../../../src/download/xet.js'
import { addressesOf, nameOfAddress, xetUrl } from '../../../src/engine/protocol.js'
import { XetTokens } from '../../../src/job/xet-tokens.js'
import { isFresh, isXetFile, parseXetToken } from '../../../src/sources/xet.js'
import { ManualClock } from '../../support/clock.js'

const tokenUrl = 'https://hub.example/api/models/o/n/xet-read-token/main'
const answer = { accessToken: 'secret', exp: 1_000, casUrl: 'https://cas.example/' }

describe('a token', () => {
  it('is read with the address of the store', () => {
    expect(parseXetToken(answer, tokenUrl)).toEqual({
      url: 'https://cas.example',
      token: 'secret',
      expiresAt: 1_000_000,
    })
  })

  it.each<[string, unknown]>([
    ['nothing', null],
    ['no token', { ...answer, accessToken: undefined }],
    ['a token that breaks out of its header', { ...answer, accessToken: 'a\r\nb: c' }],
    ['no time', { ...answer, exp: '1000' }],
    ['no store', { ...answer, casUrl: undefined }],
    ['a store that is no address', { ...answer, casUrl: 'cas' }],
    ['a store below http', { ...answer, casUrl: 'http://cas.example' }],
    ['a store with a password', { ...answer, casUrl: 'https://a:b@cas.example' }],
    ['a store that is a file', { ...answer, casUrl: 'file:///etc' }],
  ])('with %s is refused', (_, json) => {
    expect(() => parseXetToken(json, tokenUrl)).toThrow(/usable token/)
  })

  it('may name a store below http to a hub below http', () => {
    const json = { ...answer, casUrl: 'http://127.0.0.1:1' }
    expect(parseXetToken(json, 'http://127.0.0.1:2/').url).toBe('http://127.0.0.1:1')
  })

  it('is replaced half a minute before it expires', () => {
    const token = parseXetToken(answer, tokenUrl)
    expect(isFresh(token, 969_999)).toBe(true)
    expect(isFresh(token, 970_000)).toBe(false)
  })

  it('serves all that ask at once, until it expires or is refused', async () => {
    const clock = new ManualClock()
    let count = 0
    const request = () => {
      count += 1
      const expiresAt = clock.wallNow() + 60_000
      return Promise.resolve({ url: 'https://cas.example', token: String(count), expiresAt })
    }
    const tokens = new XetTokens(clock)
    const ask = async (refused: string | null = null) => (await tokens.get(tokenUrl, refused, request)).token
    expect(await Promise.all([ask(), ask()])).toEqual(['1', '1'])
    expect(await ask()).toBe('1')
    expect(await Promise.all([ask('1'), ask('1')]), 'refused').toEqual(['2', '2'])
    expect(await ask('1'), 'by one that is late').toBe('2')
    clock.advance(40_000)
    expect(await ask(), 'about to expire').toBe('3')
    await expect(
      tokens.get('https://x.example', null, () => Promise.reject(new Error('no'))),
    ).rejects.toThrow('no')
    expect((await tokens.get('https://x.example', null, request)).token).toBe('4')
  })
})

describe('the store', () => {
  const xet = { hash: 'a'.repeat(64), tokenUrl }
  const file = { xet, size: 1_000, sha256: 'b'.repeat(64) }

  it.each([
    ['auto', 1_000, false],
    ['auto', 50_000_000_000, false],
    ['auto', 50_000_000_001, true],
    ['prefer', 1_000, true],
    [undefined, 1_000, false],
  ] as const)('with %s and %i bytes is first: %s', (mode, size, first) => {
    expect(xetSpecOf({ ...file, size }, mode)).toEqual({ hash: xet.hash, first, older: null })
  })

  it('is first where an older version is on disk, unless it must not be used', () => {
    const versionOf = (hash?: string) => {
      const stamp = { size: 1, mtimeMs: 1, ino: 1, sha256: 'd'.repeat(64), xet: hash }
      return { path: '/models/file', stamp }
    }
    const older = versionOf('c'.repeat(64))
    const base = { ...older, hash: 'c'.repeat(64) }
    expect(xetSpecOf(file, 'auto', older)).toEqual({ hash: xet.hash, first: true, older: base })
    for (const useless of [versionOf(xet.hash), versionOf()])
      expect(xetSpecOf(file, 'auto', useless)).toEqual({ hash: xet.hash, first: false, older: null })
    expect(xetSpecOf(file, 'never', older)).toBeNull()
  })

  it('is not used when it must not be, or when nothing shows that its bytes are right', () => {
    expect(xetSpecOf(file, 'never')).toBeNull()
    expect(xetSpecOf({ ...file, sha256: undefined }, 'prefer')).toBeNull()
    expect(xetSpecOf({ ...file, size: undefined }, 'prefer')).toBeNull()
    expect(xetSpecOf({ ...file, xet: undefined }, 'prefer')).toBeNull()
  })

  it('is announced by its hub only', () => {
    const url = 'https://hub.example/o/n/resolve/main/file'
    expect(isXetFile(xet, url)).toBe(true)
    expect(isXetFile({ ...xet, hash: 'A' }, url)).toBe(false)
    expect(isXetFile({ ...xet, tokenUrl: 'https://evil.example/' }, url)).toBe(false)
    expect(isXetFile({ ...xet, tokenUrl: 'nothing' }, url)).toBe(false)
  })

  it('is an address of the file, before or behind the others, that no request can reach', () => {
    const url = 'https://hub.example:8443/o/n/resolve/main/file'
    const spec = { url, urls: [url, 'https://mirror.example/'], sha256: file.sha256, size: 1 }
    const store = `https://hub.example-8443.xet.invalid/${xet.hash}`
    expect(addressesOf({ ...spec, xet: { hash: xet.hash, first: true } })).toEqual([store, ...spec.urls])
    expect(addressesOf({ ...spec, xet: { hash: xet.hash, first: false } })).toEqual([...spec.urls, store])
    expect(addressesOf(spec)).toEqual(spec.urls)
    expect(xetUrl({ ...spec, size: 0, xet: { hash: xet.hash, first: true } }), 'an empty file').toBeNull()
    expect(
      xetUrl({ url: 'http://[::1]:80/x', sha256: '', size: 1, xet: { hash: 'c', first: true } }),
    ).toContain('.xet.invalid/c')
    expect(nameOfAddress(store)).toBe('the Xet store of hub.example-8443')
    expect(nameOfAddress(url)).toBe('hub.example:8443')
  })
})
