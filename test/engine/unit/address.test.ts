import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { Address, type FreshAddress } from '../../../src/engine/fetch/mirror.js'

const given = { url: 'https://host/a', headers: { cookie: 'x' } }
const refused = new DownloadError('ACCESS_DENIED', 'HTTP 403', { status: 403 })

/** An address whose requests are answered by the test. */
function make(renewable = false) {
  const asked: { status: number; answer: (fresh: FreshAddress) => void; fail: (error: Error) => void }[] = []
  const ask = (status: number) =>
    new Promise<FreshAddress>((answer, fail) => asked.push({ status, answer, fail }))
  const address = new Address(given, ask, renewable)
  return { address, asked }
}

const redirectedHop = { url: new URL('https://cdn/b'), headers: {}, count: 1 }

describe('Address', () => {
  it('begins where the caller said', () => {
    const { address } = make()
    expect(address.hop()).toEqual({ url: new URL(given.url), headers: given.headers, count: 0 })
  })

  it('remembers where the redirects led, until that may be stale', () => {
    const { address } = make()
    address.useHop(redirectedHop)
    expect(address.hop()).toBe(redirectedHop)
    address.noteDelay()
    expect(address.hop().url.href).toBe(given.url)
  })

  it('asks for a fresh address once, however many connections want one', async () => {
    const { address, asked } = make()
    address.useHop(redirectedHop)
    const first = address.refresh(refused)
    expect(address.refreshing).toBe(true)
    expect(await address.refresh(refused)).toBe(false)
    expect(asked.map(({ status }) => status)).toEqual([403])
    asked[0]?.answer({ url: 'https://host/fresh', headers: { cookie: 'y' } })
    expect(await first).toBe(true)
    expect(address.refreshing).toBe(false)
    expect(address.hop()).toEqual({
      url: new URL('https://host/fresh'),
      headers: { cookie: 'y' },
      count: 0,
    })
  })

  describe('that a source has named', () => {
    const fresh = { url: given.url, headers: { cookie: 'y' } }

    it.each([400, 401, 402, 403, 404, 410])('may be stale when its first request gets %i', (status) => {
      expect(make(true).address.mayBeStale(status)).toBe(true)
      expect(make().address.mayBeStale(status)).toBe(false)
    })

    it.each([undefined, 405, 407, 416, 451, 501])('is not stale because of %s', (status) => {
      expect(make(true).address.mayBeStale(status)).toBe(false)
    })

    it.each([
      ['another token', fresh, true],
      ['another URL', { ...given, url: 'https://host/b' }, true],
      ['a further header', { ...given, headers: { cookie: 'x', range: 'x' } }, true],
      ['the same address', { ...given, headers: { ...given.headers } }, false],
    ])('is renewed once, and %s says whether that helps', async (_name, answer, helps) => {
      const { address, asked } = make(true)
      const renewed = address.renew(401)
      expect([address.refreshing, address.mayBeStale(401)]).toEqual([true, false])
      asked[0]?.answer(answer)
      expect(await renewed).toBe(helps)
      expect(address.hop()).toMatchObject({ url: new URL(answer.url), headers: answer.headers })
      expect([address.refreshing, address.mayBeStale(401)]).toEqual([false, false])
    })

    it('may have expired again when a request was sent again later', async () => {
      const { address, asked } = make(true)
      for (let round = 0; round < 3; round += 1) {
        const renewed = address.renew(401)
        asked[round]?.answer({ ...given, headers: { cookie: `${round}` } })
        expect(await renewed).toBe(true)
        expect(address.mayBeStale(401)).toBe(false)
        address.noteDelay()
        expect(address.mayBeStale(401)).toBe(true)
      }
      address.noteBytes()
      address.noteDelay()
      expect(address.mayBeStale(401)).toBe(false)
    })

    it('is not stale once it has worked, or has been refreshed', () => {
      const { address } = make(true)
      address.noteBytes()
      expect(address.mayBeStale(401)).toBe(false)
      const other = make(true)
      void other.address.refresh(refused)
      expect(other.address.mayBeStale(401)).toBe(false)
    })
  })

  it('gives up when fresh addresses are of no use, and not when bytes came in between', async () => {
    const { address, asked } = make()
    const refresh = async () => {
      const result = address.refresh(refused)
      asked.at(-1)?.answer(given)
      return result
    }
    for (let n = 0; n < 5; n += 1) {
      expect(await refresh()).toBe(true)
      address.noteBytes()
    }
    expect(await refresh()).toBe(true)
    expect(await refresh()).toBe(true)
    await expect(refresh()).rejects.toBe(refused)
    expect(address.refreshing).toBe(false)
  })

  it('hands on why there is no fresh address', async () => {
    const { address, asked } = make()
    const waiting = address.refresh(refused)
    const gone = new DownloadError('NOT_FOUND', 'gone')
    asked[0]?.fail(gone)
    await expect(waiting).rejects.toBe(gone)
    expect(address.refreshing).toBe(false)
    expect(address.hop().url.href).toBe(given.url)
  })
})
