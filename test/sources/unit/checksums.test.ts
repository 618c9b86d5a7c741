import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { withChecksum } from '../../../src/job/sidecar.js'
import { findChecksum, parseChecksums } from '../../../src/sources/checksums.js'
import { parseMetalink } from '../../../src/sources/metalink.js'
import fc, { anyText } from '../../support/properties.js'

const hash = (algorithm: string, text = 'x') => createHash(algorithm).update(text).digest('hex')
const sha256 = hash('sha256')
const other = hash('sha256', 'other')
const names = ['models/llama.gguf']
const find = (text: string, sidecar = 'SHA256SUMS') => {
  const found = findChecksum(parseChecksums(text, sidecar), { names, sidecar })
  return found === null || found === 'contradictory' ? found : found.digests
}

/** Files of checksums, with the digest that they have of `llama.gguf`. */
const good: [string, text: string, sidecar?: string, algorithm?: string][] = [
  ['sha256sum', `${sha256}  llama.gguf\n`],
  ['sha256sum of binary files', `${other} *else.gguf\n${sha256} *llama.gguf\n`],
  ['with a folder', `${sha256}  ./models/llama.gguf\n`],
  ['with another folder', `${sha256}  dist/llama.gguf\n`],
  [
    'the whole path decides',
    `${other}  llama.gguf.old/llama.gguf\n${other}  a/llama.gguf\n${sha256}  models/llama.gguf\n`,
  ],
  ['on Windows', `\ufeff${sha256.toUpperCase()} *models\\llama.gguf\r\n`],
  ['with one space', `${sha256} llama.gguf`],
  ['a digest alone', `${sha256}\n`, 'llama.gguf.sha256'],
  ['of the only file, under another name', `${sha256}  build-7/out.bin\n`, 'llama.gguf.sha256'],
  [
    'with comments and a signature',
    `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n# all\n${sha256}  llama.gguf\n-----BEGIN PGP SIGNATURE-----\niQ\n`,
  ],
  ['BSD', `SHA256 (else) = ${other}\nSHA256 (llama.gguf) = ${sha256}\n`],
  ['BSD of a name with brackets', `SHA256 (a (1)/llama.gguf) = ${sha256}\n`],
  ['BSD of a name with escapes', `\\SHA256 (a\\nb/llama.gguf) = ${sha256}\n`],
  ['BSD with spaces', `SHA256 (my models/llama.gguf) = ${sha256}\r\n`],
  ['OpenSSL', `SHA2-256(llama.gguf)= ${sha256}\n`],
  ['MD5SUMS', `${hash('md5')}  llama.gguf\n`, 'MD5SUMS', 'md5'],
  ['SHA512SUMS', `${hash('sha512')}  llama.gguf\n`, 'SHA512SUMS.txt', 'sha512'],
  ['B3SUMS', `${sha256}  llama.gguf\n`, 'B3SUMS', 'blake3'],
  ['.blake3', `${sha256}\n`, 'llama.gguf.blake3', 'blake3'],
  ['.crc32c', '0123abcd\n', 'llama.gguf.crc32c', 'crc32c'],
]

/** Files of checksums that say nothing of it. */
const bad: [string, text: string][] = [
  ['empty', ''],
  ['a web page', '<!DOCTYPE html><html><body>abc</body></html>'],
  ['another file', `${sha256}  llama.gguf.bak\n`],
  ['a longer name', `${sha256}  my-llama.gguf\n`],
  ['a digest that is cut', `${sha256.slice(1)}  llama.gguf\n`],
  ['something else than hex', `${'g'.repeat(64)}  llama.gguf\n`],
  ['a BSD line that is cut', `SHA256 (llama.gguf) = ${sha256.slice(2)}\n`],
  ['an unknown algorithm', `WHIRLPOOL (llama.gguf) = ${sha256}\n`],
  ['a line of a megabyte', `${sha256}  ${'a/'.repeat(500_000)}llama.gguf\n`],
  ['a tag without an end', `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="llama.gguf`],
]

describe('a file of checksums', () => {
  it.each(good)('%s', (_, text, sidecar, algorithm = 'sha256') => {
    expect(find(text, sidecar)).toMatchObject([{ algorithm }])
    expect(find(text, sidecar)).not.toMatchObject([{ value: other }])
  })

  it.each(bad)('%s says nothing', (_, text) => expect(find(text)).toBeNull())

  it('several entries of a file agree, or say nothing', () => {
    expect(
      find(`${sha256}  llama.gguf\n${sha256}  llama.gguf\nMD5 (llama.gguf) = ${hash('md5')}`),
    ).toHaveLength(2)
    expect(find(`${sha256}  llama.gguf\n${other}  llama.gguf\n`)).toBe('contradictory')
  })

  it('escapes of GNU are undone', () => {
    expect(parseChecksums(`\\${sha256}  a\\nb\\\\c`, 'SHA256SUMS')[0]?.name).toBe('a\nb\\c')
    expect(parseChecksums(`${sha256}  a\\nb`, 'SHA256SUMS')[0]?.name).toBe('a\\nb')
  })

  it('escapes of GNU are undone in BSD style, too', () => {
    expect(parseChecksums(`\\SHA256 (a\\nb\\\\c (1)) = ${sha256}`, 'SHA256SUMS')[0]?.name).toBe('a\nb\\c (1)')
    expect(parseChecksums(`SHA256 (a\\nb) = ${sha256}`, 'SHA256SUMS')[0]?.name).toBe('a\\nb')
  })

  it.each<[string, string, string?]>([
    ['a BSD line with more behind the digest', `SHA256 (llama.gguf) = ${sha256} x`],
    ['a BSD line with more before the digest', `SHA256 (llama.gguf) x = ${sha256}`],
    ['a BSD line without a sign', `SHA256 (llama.gguf) ${sha256}`],
    ['a BSD line without a digest', 'SHA256 (llama.gguf) = '],
    ['a BSD line of an algorithm that is none', `Fingerprint (llama.gguf) = ${sha256}`],
    ['a BSD line that begins with something else', `x SHA256 (llama.gguf) = ${sha256}`],
    ['a bracket that opens only', `SHA256 (llama.gguf = ${sha256}`],
    ['a bracket that closes before it opens', `SHA256 ) = ${sha256} (llama.gguf`],
    ['a line that begins with something else', `x ${sha256}  llama.gguf`],
    ['a name that touches the digest', `${sha256}-llama.gguf`],
    ['a number of digits that no algorithm has', `${sha256}00  llama.gguf`],
    ['a name with blanks before it', `${sha256}    llama.gguf`],
  ])('%s says nothing', (_, text, sidecar) => expect(find(text, sidecar)).toBeNull())

  it.each([
    ['a BSD line with blanks at its end', `SHA256 (llama.gguf) = ${sha256} \t`],
    ['a BSD line in capitals', `SHA256 (llama.gguf) = ${sha256.toUpperCase()}`],
    ['two folders that are the one that it is in', `${sha256}  ././models/llama.gguf`],
    ['a tab between digest and name', `${sha256}\tllama.gguf`],
    ['a line of the longest length', `${sha256}  ${'a/'.repeat((8_192 - 66 - 10) / 2)}llama.gguf`],
  ])('%s counts', (_, text) => expect(find(text)).toEqual([{ algorithm: 'sha256', value: sha256 }]))

  it('has empty lines, and ends of lines of any kind', () => {
    const text = `\n\r\n${sha256}  a\r\n\n${other}  b\r`
    expect(parseChecksums(text, 'S').map(({ name }) => name)).toEqual(['a', 'b'])
    expect(parseChecksums(`${sha256}  a\rb`, 'S').map(({ name }) => name)).toEqual(['a\rb'])
  })

  it('has a digest alone with blanks behind it, and escapes of returns', () => {
    expect(parseChecksums(`${sha256}  \n${other} `, 'S').map(({ name }) => name)).toEqual([null, null])
    expect(parseChecksums(`\\${sha256}  a\\rb\\x`, 'S')[0]?.name).toBe('a\rb\\x')
    expect(parseChecksums(`${sha256}  a`, 'S')).toEqual([
      { name: 'a', digests: [{ algorithm: 'sha256', value: sha256 }], size: null, urls: [], pieces: null },
    ])
  })

  it.each([
    ['a.gguf.sum.b3', 'blake3'],
    ['b3sum', 'blake3'],
    ['checksums-blake3.txt', 'blake3'],
    ['blake3.md5', 'sha256'],
    ['blake3.sha256', 'sha256'],
    ['sha256-of.blake3', 'blake3'],
    [`${'x'.repeat(60)}.blake3`, 'blake3'],
    [`blake3.${'x'.repeat(64)}`, 'sha256'],
    ['summer-blake3', 'blake3'],
    ['CRC32', 'sha256'],
  ])('whose name is %j has %s digests of 64 digits', (sidecar, algorithm) => {
    expect(parseChecksums(`${sha256}  a`, sidecar)[0]?.digests).toEqual([{ algorithm, value: sha256 }])
  })

  it('without names is about the file in question, if all its entries are', () => {
    const md5 = hash('md5')
    expect(find(`${sha256}\n${md5}`, 'anything')).toHaveLength(2)
    expect(find(`${sha256}\n${other}`, 'anything')).toBe('contradictory')
    expect(find(`${sha256}\n${md5}  else.gguf`, 'anything')).toBeNull()
    expect(find('', 'llama.gguf.sha256')).toBeNull()
  })

  it('is about a file that it is named after, if it has one entry', () => {
    const entries = parseChecksums(`${sha256}  out.bin`, 'x')
    const found = (sidecar: string, list: readonly string[]) =>
      findChecksum(entries, { names: list, sidecar }) !== null
    expect(found('llama.gguf.sha256', ['else.gguf', 'models/llama.gguf'])).toBe(true)
    expect(found('llama.ggufs', names)).toBe(false)
    expect(found('my-llama.gguf.sha256', names)).toBe(false)
    expect(find(`${sha256}  out.bin\n${other}  else.bin`, 'llama.gguf.sha256')).toBeNull()
  })

  it('lists paths, which may be within others, but not around them', () => {
    const entries = parseChecksums(`${sha256}  b/x.gguf\n${other}  x.gguf.b`, 'S')
    expect(findChecksum(entries, { names: ['a/b/x.gguf'], sidecar: 'S' })).toMatchObject({ name: 'b/x.gguf' })
    expect(findChecksum(entries, { names: ['b/x.gguf/y'], sidecar: 'S' })).toBeNull()
    const dotted = parseChecksums(`${sha256}  a./x.gguf`, 'S')
    expect(findChecksum(dotted, { names: ['a./x.gguf'], sidecar: 'S' })).toMatchObject({ name: 'a./x.gguf' })
    expect(findChecksum(dotted, { names: ['ax.gguf'], sidecar: 'S' })).toBeNull()
  })

  it('has no more entries than memory is meant for', () => {
    expect(parseChecksums('0123abcd\n'.repeat(1_000_000), 'x.crc32')).toHaveLength(200_000)
    expect(parseChecksums(`${'\n'.repeat(1_000_000)}${sha256}`, 'x')).toHaveLength(1)
  })

  it('finds what it lists, whatever the names are', () => {
    const name = anyText({ minLength: 1, maxLength: 20 }).filter(
      (text) => !/[\r\n\\/]|^\s*$|^[ *]/.test(text),
    )
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 8 }), (list) => {
        const text = list.map((one) => `${hash('sha256', one)}  ${one}`).join('\n')
        for (const one of list)
          expect(
            findChecksum(parseChecksums(text, 'SHA256SUMS'), { names: [one], sidecar: 'SHA256SUMS' }),
          ).toMatchObject({
            digests: [{ value: hash('sha256', one) }],
          })
      }),
    )
  })

  it('of any text is entries with digests of the right length', () => {
    const part = fc.oneof(
      anyText({ maxLength: 10 }),
      fc.constantFrom(
        '<metalink',
        '<file name="a">',
        '</file>',
        '<hash type="sha-256">',
        sha256,
        '</hash>',
        '<!--',
        '-->',
        '<![CDATA[',
        '\n',
        '  ',
        'SHA256 (',
        ') = ',
        '&amp;',
        '&#0;',
        '<pieces length="1" type="sha-1">',
      ),
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        for (const { digests } of parseChecksums(parts.join(''), 'SHA256SUMS'))
          for (const { value } of digests) expect(value).toMatch(/^(?:[0-9a-f]{2})+$/)
      }),
    )
  })
})

const metalink = (inside: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<!-- a > b --><metalink xmlns="urn:ietf:params:xml:ns:metalink">${inside}</metalink>`

describe('Metalink', () => {
  it('tells name, size, digests, mirrors in their order, and pieces', () => {
    const text = metalink(`
      <published>2026-01-01T00:00:00Z</published>
      <file name="llama&amp;co.gguf">
        <identity>x</identity><size>5</size>
        <hash type="md5">${hash('md5')}</hash><hash type="sha-256"> ${sha256} </hash><hash type="foo">00</hash>
        <pieces length="3" type="sha-1"><hash>${hash('sha1', 'a')}</hash><hash>${hash('sha1', 'b')}</hash></pieces>
        <url priority="2">https://b.example/x?a=1&amp;b=2</url>
        <m:url location="de" priority='1'>https://a.example/x</m:url>
        <url>ftp://c.example/x</url><metaurl mediatype="torrent">https://c.example/t</metaurl>
      </file>
      <file name="empty"/><file name='second'><hash type="sha-256"><![CDATA[${other}]]></hash></file>`)
    expect(parseMetalink(text)).toEqual([
      {
        name: 'llama&co.gguf',
        size: 5,
        digests: [
          { algorithm: 'md5', value: hash('md5') },
          { algorithm: 'sha256', value: sha256 },
        ],
        urls: ['https://a.example/x', 'https://b.example/x?a=1&b=2'],
        pieces: { algorithm: 'sha1', length: 3, hashes: [hash('sha1', 'a'), hash('sha1', 'b')] },
      },
      {
        name: 'second',
        size: null,
        digests: [{ algorithm: 'sha256', value: other }],
        urls: [],
        pieces: null,
      },
    ])
  })

  it.each([
    [
      'of another number than the size has',
      `<size>9</size><pieces length="3" type="sha-1"><hash>${hash('sha1')}</hash></pieces>`,
    ],
    ['of an unknown algorithm', `<pieces length="3" type="foo"><hash>00</hash></pieces>`],
    ['without a length', `<pieces type="sha-1"><hash>${hash('sha1')}</hash></pieces>`],
    [
      'of which one is malformed',
      `<pieces length="3" type="sha-1"><hash>${hash('sha1')}</hash><hash>x</hash></pieces>`,
    ],
  ])('pieces %s are left out', (_, inside) => {
    expect(parseMetalink(metalink(`<file name="a">${inside}</file>`))).toMatchObject([
      { pieces: null, digests: [] },
    ])
  })

  it('has no entities that expand', () => {
    const text = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>${metalink('<file name="&a;&a;"><hash type="md5">&a;</hash></file>')}`
    expect(parseMetalink(text)).toMatchObject([{ name: '&a;&a;', digests: [] }])
  })
})

describe('what is expected of a transfer', () => {
  const spec = {
    id: '',
    url: '',
    directory: '',
    filename: null,
    sha256: null,
    size: null,
    headers: {},
    connections: 1,
    maxBytesPerSecond: null,
    force: false,
    remote: null,
    proxy: false,
    known: null,
    share: null,
  } as const
  const line = `${sha256}  llama.gguf`

  it('is the digest of the file', () => {
    expect(withChecksum(spec, line, names, 'https://h/SHA256SUMS?x=1')).toMatchObject({
      sha256,
      sha256From: 'sidecar',
    })
    const md5 = withChecksum(spec, `MD5 (llama.gguf) = ${hash('md5')}`, names, '/a/MD5SUMS')
    expect(md5).toMatchObject({
      sha256: null,
      digests: [{ algorithm: 'md5', value: hash('md5'), from: 'sidecar' }],
    })
  })

  it('stays what a caller said, and must not contradict it', () => {
    const given = { ...spec, sha256, sha256From: 'caller' as const }
    expect(withChecksum(given, line, names, 'S')).toMatchObject({ sha256From: 'caller' })
    expect(() => withChecksum({ ...given, sha256: other }, line, names, 'S')).toThrow(/but .* is expected/)
    const meta = metalink(
      `<file name="llama.gguf"><size>5</size><hash type="sha-256">${sha256}</hash></file>`,
    )
    expect(() => withChecksum({ ...spec, size: 6 }, meta, names, 'x.meta4')).toThrow(/5 bytes, but 6/)
  })

  it.each([
    ['nothing', '', /no digest in a form/],
    ['other files', `${sha256}  else.gguf`, /no digest for llama.gguf; it lists 1 other/],
    ['two things', `${line}\n${other}  llama.gguf`, /several different digests/],
  ])('fails if the file of checksums says %s', (_, text, message) => {
    expect(() => withChecksum(spec, text, names, 'SHA256SUMS')).toThrow(message)
  })

  it('are bytes that nobody trusts, if a remote caller names who lists the mirrors', () => {
    const meta = metalink(
      `<file name="llama.gguf"><hash type="sha-256">${sha256}</hash><url>https://m.example/x</url></file>`,
    )
    const remote = { allowPrivateNetwork: false, allowedHosts: [] }
    expect(withChecksum({ ...spec, remote }, meta, names, 'x')).toMatchObject({
      untrusted: true,
      urls: ['https://m.example/x'],
    })
    expect(withChecksum(spec, meta, names, 'x')).toMatchObject({ untrusted: false })
  })
})
