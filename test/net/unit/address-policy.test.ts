/** Which addresses and hosts remote callers may reach: FAULTS.md row 42, before any socket. */
import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  isPublicAddress,
  judgeHost,
  judgeUrl,
  publicOnly,
  type RemoteGrant,
} from '../../../src/net/address-policy.js'

const allowing = (...allowedHosts: string[]): RemoteGrant => ({ allowPrivateNetwork: false, allowedHosts })
const dotted = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
const number = (address: string) =>
  address.split('.').reduce((value, part) => value * 256 + Number(part), 0) >>> 0

/** First and last address of each range that is refused. */
const refusedIPv4 = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['168.63.129.16', '168.63.129.16'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.31.196.0', '192.31.196.255'],
  ['192.52.193.0', '192.52.193.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['192.175.48.0', '192.175.48.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '255.255.255.255'],
] as const

/** Decides by the table above alone. */
const isRefused = (value: number) =>
  refusedIPv4.some(([first, last]) => number(first) <= value && value <= number(last))

const anyIPv4 = fc.integer({ min: 0, max: 0xffff_ffff })
const privateIPv4 = fc
  .constantFrom(...refusedIPv4)
  .chain(([first, last]) => fc.integer({ min: number(first), max: number(last) }))
const publicIPv4 = anyIPv4.filter((value) => !isRefused(value))
const group = fc.integer({ min: 0, max: 0xffff })

describe('IPv4', () => {
  it.each(refusedIPv4)(
    'from %s to %s is refused, and what is just beside it only by its own range',
    (first, last) => {
      expect([isPublicAddress(first), isPublicAddress(last)]).toEqual([false, false])
      for (const value of [number(first) - 1, number(last) + 1]) {
        if (value < 0 || value > 0xffff_ffff) continue
        expect(isPublicAddress(dotted(value)), dotted(value)).toBe(!isRefused(value))
      }
    },
  )

  it.each([
    ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '99.84.1.1', '100.63.255.255', '100.128.0.0'],
    ...['126.255.255.255', '128.0.0.0', '140.82.121.3', '151.101.1.69', '168.63.129.15', '168.63.129.17'],
    ...['169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '185.199.108.133', '192.0.1.0'],
    ...['192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255'],
  ])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true)
  })

  it('is public exactly where no range holds it', () => {
    fc.assert(
      fc.property(fc.oneof(anyIPv4, privateIPv4), (value) => {
        expect(isPublicAddress(dotted(value))).toBe(!isRefused(value))
      }),
    )
  })
})

describe('IPv6', () => {
  it.each([
    ...['::', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:808:808', '::8.8.8.8'],
    ...['::127.0.0.1', '::ffff:0:127.0.0.1', '64:ff9b::8.8.8.8', '64:ff9b::7f00:1', '64:ff9b:1::a00:1'],
    ...[
      '100::1',
      '100:0:0:1::1',
      '1fff:ffff::',
      '2001::',
      '2001:0:4136:e378:8000:63bf:3fff:fdd2',
      '2001:1::1',
    ],
    ...[
      '2001:2::1',
      '2001:3::1',
      '2001:4:112::1',
      '2001:10::1',
      '2001:20::1',
      '2001:30::1',
      '2001:1ff:ffff::1',
    ],
    ...[
      '2001:db8::1',
      '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
      '2002::',
      '2002:7f00:1::1',
      '2002:808:808::1',
    ],
    ...[
      '2620:4f:8000::1',
      '3fff::1',
      '3fff:fff::1',
      '4000::',
      '5f00::1',
      'fc00::1',
      'fd00::1',
      'fd00:ec2::254',
    ],
    ...[
      'fd20:ce::254',
      'fe80::1',
      'fe80::1%eth0',
      'fe80::a9fe:a9fe',
      'febf::1',
      'fec0::1',
      'ff00::',
      'ff02::1',
    ],
    ...['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])('%s is refused', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })

  it.each([
    ...['2000::', '2001:200::1', '2001:4860:4860::8888', '2001:db7:ffff::1', '2001:db9::1', '2003::1'],
    ...['2400:cb00::1', '2606:4700:4700::1111', '2620:4f:7fff::1', '2620:4f:8001::1', '2a00:1450:4001::200e'],
    ...['2c0f:fb50::1', '3ffe:ffff::1', '3fff:1000::1'],
  ])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true)
  })

  it('of the assigned blocks of the registries is public, whatever follows', () => {
    const block = fc.constantFrom(
      0x2003,
      0x2400,
      0x240e,
      0x2600,
      0x2607,
      0x2800,
      0x2804,
      0x2a00,
      0x2a10,
      0x2c0f,
    )
    fc.assert(
      fc.property(block, fc.array(group, { minLength: 7, maxLength: 7 }), (first, rest) => {
        const address = [first, ...rest].map((part) => part.toString(16)).join(':')
        expect(isPublicAddress(address), address).toBe(true)
      }),
    )
  })

  it('outside of 2000::/3 is refused', () => {
    fc.assert(
      fc.property(
        group.filter((first) => first < 0x2000 || first > 0x3fff),
        fc.array(group, { minLength: 7, maxLength: 7 }),
        (first, rest) => {
          expect(isPublicAddress([first, ...rest].map((part) => part.toString(16)).join(':'))).toBe(false)
        },
      ),
    )
  })

  it('that holds an IPv4 address is refused, whichever it holds', () => {
    const forms: ((high: string, low: string) => string)[] = [
      (high, low) => `::${high}:${low}`,
      (high, low) => `::ffff:${high}:${low}`,
      (high, low) => `::ffff:0:${high}:${low}`,
      (high, low) => `64:ff9b::${high}:${low}`,
      (high, low) => `64:ff9b:1::${high}:${low}`,
      (high, low) => `2002:${high}:${low}::1`,
      (high, low) => `2001:0:${high}:${low}::1`,
    ]
    fc.assert(
      fc.property(anyIPv4, fc.constantFrom(...forms), (value, form) => {
        const address = form((value >>> 16).toString(16), (value & 0xffff).toString(16))
        expect(isPublicAddress(address), address).toBe(false)
      }),
    )
  })
})

describe('an address', () => {
  it.each([
    '',
    ' ',
    'localhost',
    'example.com',
    '127.0.0.1:80',
    '[::1]',
    '1.2.3.4.5',
    '256.1.1.1',
    ':::1',
    'g::1',
  ])('that is none, %j, is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })

  it('is judged without throwing, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(typeof isPublicAddress(text)).toBe('boolean')
        expect(['open', 'check', 'refuse']).toContain(judgeHost(publicOnly, text, 80))
      }),
    )
  })
})

/** One part of an IPv4 address as `URL` takes it: decimal, octal or hexadecimal, with zeros in front. */
const spelledPart = (value: number, bits: number) =>
  fc
    .record({ base: fc.constantFrom(8, 10, 16), zeros: fc.integer({ min: 0, max: 3 }), upper: fc.boolean() })
    .map(({ base, zeros, upper }) => {
      const digits = (value % 2 ** bits).toString(base)
      if (base === 10) return digits
      const text = (base === 8 ? '0' : '0x') + '0'.repeat(zeros) + digits
      return upper ? text.toUpperCase() : text
    })

const wide = (text: string) =>
  text.replace(/./g, (char) => (char === '.' ? '\u3002' : String.fromCodePoint(char.charCodeAt(0) + 0xfee0)))
const percent = (text: string) =>
  text.replace(/./g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`)

/** All ways to write an IPv4 address that end up as the same one. */
const spelled = (value: number): fc.Arbitrary<string> =>
  fc
    .integer({ min: 1, max: 4 })
    .chain((parts) => {
      const leading = Array.from({ length: parts - 1 }, (_, index) => (value >>> (24 - 8 * index)) & 255)
      const lastBits = 8 * (5 - parts)
      return fc.tuple(
        ...leading.map((part) => spelledPart(part, 8)),
        spelledPart(value % 2 ** lastBits, lastBits),
      )
    })
    .map((parts) => parts.join('.'))
    .chain((text) => fc.constantFrom(text, `${text}.`, wide(text), percent(text)))

describe('a URL', () => {
  it('with a private IPv4 address is refused in every spelling that a URL may have', () => {
    fc.assert(
      fc.property(
        privateIPv4.chain((value) => fc.tuple(fc.constant(value), spelled(value))),
        fc.constantFrom('http', 'https'),
        fc.constantFrom('', ':80', ':8080'),
        ([value, host], scheme, port) => {
          const url = new URL(`${scheme}://${host}${port}/model.gguf`)
          expect(url.hostname, host).toBe(dotted(value))
          expect(judgeUrl(publicOnly, url), host).toBe('refuse')
        },
      ),
      { numRuns: 500 },
    )
  })

  it('with a public IPv4 address passes in every spelling', () => {
    fc.assert(
      fc.property(
        publicIPv4.chain((value) => spelled(value)),
        (host) => {
          expect(judgeUrl(publicOnly, new URL(`https://${host}/model.gguf`)), host).toBe('check')
        },
      ),
    )
  })

  it.each([
    ...['ftp://example.com/', 'file:///etc/passwd', 'data:,x', 'ws://example.com/', 'gopher://example.com/'],
    ...['https://user@example.com/', 'https://user:pass@example.com/', 'https://:pass@example.com/'],
    ...[
      'http://[::1]/',
      'http://[::ffff:127.0.0.1]/',
      'http://[64:ff9b::1.1.1.1]:8080/',
      'http://[fe80::1]/',
    ],
  ])('%s is refused', (url) => {
    expect(judgeUrl(publicOnly, new URL(url))).toBe('refuse')
    expect(judgeUrl(allowing('elsewhere'), new URL(url))).toBe('refuse')
  })

  it('needs http or https, without user and password, also where everything may be reached', () => {
    const all: RemoteGrant = { allowPrivateNetwork: true, allowedHosts: [] }
    expect(judgeUrl(all, new URL('http://127.0.0.1/'))).toBe('open')
    expect(judgeUrl(all, new URL('ftp://127.0.0.1/'))).toBe('refuse')
    expect(judgeUrl(all, new URL('http://user:pass@127.0.0.1/'))).toBe('refuse')
  })
})
