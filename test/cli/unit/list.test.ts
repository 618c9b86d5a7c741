import { describe, expect, it } from 'vitest'
import { decodeText } from '../../../src/util/decode.js'
import { ListError, parseList } from '../../../src/cli/input/list.js'
import { dividedName, isSource } from '../../../src/cli/input/named.js'
import fc, { anyText } from '../../support/properties.js'

const hex = 'ab'.repeat(32)
const listed = (text: string) => parseList(text).map(({ url, options }) => [url, options])

/** The line and the message of the mistake in a list. */
function mistake(text: string): string {
  try {
    parseList(text)
  } catch (error) {
    if (error instanceof ListError) return `${error.line}: ${error.message}`
    throw error
  }
  return 'none'
}

describe('a list of URLs', () => {
  it('has a URL or a ref per line, with comments and blank lines', () => {
    const text = '# models\n\nhttps://a.example/1.gguf\n   \n  # more\nhf:owner/repo  \n'
    expect(parseList(text)).toEqual([
      { url: 'https://a.example/1.gguf', line: 3, options: {} },
      { url: 'hf:owner/repo', line: 6, options: {} },
    ])
  })

  it('sets options on the indented lines below a URL, by spaces or tabs, in any order', () => {
    const text = [
      'https://a.example/1',
      '  out=one.gguf',
      '\tdir=sub/dir',
      '',
      '  # its digest',
      `    SHA256 = sha256:${hex.toUpperCase()}`,
      '  mode=llm',
      '  size=12',
      '  header=Authorization: Bearer a=b',
      '  header=X-Other: 1',
      '  include=*.json',
      '  include=*.txt',
      '  exclude=big/',
      '  mirror=https://b.example/1',
      '  layout=flat',
      '  connections=4',
      '  limit-rate=1k',
      'https://a.example/2',
      `  checksum=sha-256=${hex}`,
      '  output=two.gguf',
      '  directory=d',
    ].join('\n')
    expect(listed(text)).toEqual([
      [
        'https://a.example/1',
        {
          filename: 'one.gguf',
          directory: 'sub/dir',
          sha256: hex,
          mode: 'llm',
          size: 12,
          headers: { Authorization: 'Bearer a=b', 'X-Other': '1' },
          include: ['*.json', '*.txt'],
          exclude: ['big/'],
          urls: ['https://b.example/1'],
          layout: 'flat',
          connections: 4,
          maxBytesPerSecond: 1024,
        },
      ],
      ['https://a.example/2', { sha256: hex, filename: 'two.gguf', directory: 'd' }],
    ])
  })

  it('takes mirrors after tabs, and a name before the URL', () => {
    expect(listed('x.gguf=https://a.example/1\thttps://b.example/1\t\n')).toEqual([
      ['https://a.example/1', { filename: 'x.gguf', urls: ['https://b.example/1'] }],
    ])
  })

  it('takes JSON lines with the fields of a request, in which null is no value', () => {
    const text = [
      JSON.stringify({ url: 'hf:o/r', filename: 'x', sha256: null, mode: null, headers: { a: 'b' } }),
      '  {"urls":["https://a.example/1","https://b.example/1"]}',
      '"https://c.example/1"',
      'https://d.example/1',
      '  out=d',
    ].join('\n')
    expect(listed(text)).toEqual([
      ['hf:o/r', { filename: 'x', mode: null, headers: { a: 'b' } }],
      ['https://a.example/1', { urls: ['https://a.example/1', 'https://b.example/1'] }],
      ['https://c.example/1', {}],
      ['https://d.example/1', { filename: 'd' }],
    ])
  })

  it.each([
    ['an option before any URL', '# x\n  out=a\nhttps://a', /^2: .*above/],
    ['an unknown option', 'https://a\n  outt=a', /^2: "outt" is not an option.*out=, dir=/],
    ['a secret as an option', 'https://a\n  Authorization: Bearer hunter2=', /^2: This is not(?!.*hunter2)/],
    ['no value', 'https://a\n  out', /^2: .*out=…/],
    ['an empty value', 'https://a\n\n  dir=', /^3: .*empty/],
    ['an inherited name', 'https://a\n  constructor=1', /^2: "constructor" is not/],
    ['a path as name', 'https://a\n  out=sub/x', /^2: .*UNSAFE_FILENAME.*dir=/],
    ['a path before a URL', 'https://b\nsub/x=https://a', /^2: .*UNSAFE_FILENAME/],
    ['a short digest', 'https://a\n  sha256=abc', /^2: .*64/],
    ['another digest', 'https://a\n  checksum=sha3-256=abc', /^2: .*sha-256=/],
    ['a digest of another length', 'https://a\n  checksum=md5=abc', /^2: .*blake3/],
    ['a bad size', 'https://a\n  size=-1', /^2: .*whole number/],
    ['a bad header', 'https://a\n  header=nothing', /^2: .*Name: value/],
    ['a bad layout', 'https://a\n  layout=tree', /^2: .*flat, hf-cache/],
    ['broken JSON', 'https://a\n{"url":"https://b"', /^2: .*JSON/],
    ['a JSON list', '[{"url":"https://a"}]', /^1: .*jq -c/],
    ['an unknown field', '{"url":"https://a","file":"x"}', /^1: "file" is not a field/],
    ['an inherited field', '{"url":"https://a","__proto__":{}}', /^1: .*not a field/],
    ['a field of callers only', '{"url":"https://a","remote":false}', /^1: "remote"/],
    ['no URL', '{"filename":"x"}', /^1: .*no url/],
    ['a number as URL', '{"url":5}', /^1: .*no url/],
    ['an option below JSON', '{"url":"https://a"}\n  out=x', /^2: .*inside/],
    ['a long line', `https://a/${'x'.repeat(600_000)}`, /^1: .*longer/],
    ['too many', 'https://a\n'.repeat(100_001), /^100001: .*100000/],
  ])('names the line of a mistake: %s', (_name, text, message) => {
    expect(mistake(text)).toMatch(message)
  })

  it('counts the same lines with every line ending', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const lines = ['https://a', '', '  out=x', 'https://b', '  nope=1']
      expect(mistake(lines.join(end))).toMatch(/^5: /)
    }
  })

  it('never fails otherwise, and gives every URL the line that it is on', () => {
    const line = fc.oneof(
      fc.constantFrom('https://a/1', 'hf:o/r', '  out=x', '\tdir=y', '# c', '', '{"url":"u"}', 'a=b:cd', '{'),
      anyText({ maxLength: 12 }),
    )
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        const text = lines.join('\n')
        const all = text.split(/\r\n|[\n\r]/)
        try {
          for (const one of parseList(text)) expect(all[one.line - 1]).toContain(one.url)
        } catch (error) {
          if (!(error instanceof ListError)) throw error
          expect(all[error.line - 1]?.trim()).not.toBe('')
        }
      }),
    )
  })
})

describe('the encoding of a list', () => {
  const text = 'https://a.example/模型.gguf\r\n  out=模.gguf\r\n'
  const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16()

  it.each([
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a mark', Buffer.from(`\ufeff${text}`)],
    ['UTF-16 of PowerShell', Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16 in the other order', swapped(Buffer.from(`\ufeff${text}`, 'utf16le'))],
    ['UTF-16 without a mark', Buffer.from(text, 'utf16le')],
    ['UTF-16 in the other order, without a mark', swapped(Buffer.from(text, 'utf16le'))],
  ])('may be %s', (_name, bytes) => {
    expect(decodeText(bytes)).toEqual({ text })
  })

  it('names the first line that is none of them', () => {
    expect(decodeText(Buffer.from('a\nb\n\xc3\n', 'latin1'))).toEqual({ badLine: 3 })
    expect(decodeText(Buffer.from('a\nb\n\xe6\xa8', 'latin1'))).toEqual({ badLine: 3 })
    expect(decodeText(Buffer.alloc(0))).toEqual({ text: '' })
  })

  it('gives back every text in every encoding', () => {
    fc.assert(
      fc.property(anyText(), (any) => {
        const one = any.replaceAll(/[\0\ufeff]/g, '')
        expect(decodeText(Buffer.from(one))).toEqual({ text: one })
        expect(decodeText(Buffer.from(`\ufeff${one}`, 'utf16le'))).toEqual({ text: one })
      }),
    )
  })
})

describe('NAME=URL', () => {
  it.each([
    ['a.gguf=https://x.example/1?a=b', 'a.gguf', 'https://x.example/1?a=b'],
    ['my model=v2.gguf=hf:owner/repo/file', 'my model=v2.gguf', 'hf:owner/repo/file'],
    ['sub/x=https://x.example/1', 'sub/x', 'https://x.example/1'],
    ['=https://x.example/1', '', 'https://x.example/1'],
    ['https://x.example/?next=https://y.example', null, 'https://x.example/?next=https://y.example'],
    ['hf:owner/repo', null, 'hf:owner/repo'],
    ['--proxy=http://x.example', null, '--proxy=http://x.example'],
    ['a=b', null, 'a=b'],
    ['x=C:\\models', null, 'x=C:\\models'],
  ])('%s', (text, name, url) => {
    expect(dividedName(text)).toEqual({ name, url })
  })

  it('is recognised like a URL', () => {
    expect(['a=hf:o/r', 'hf:o/r', 'https://a'].every(isSource)).toBe(true)
    expect(['--proxy=http://a', 'a=b', 'C:\\x', 'get', '-H', 'x=C:\\y'].some(isSource)).toBe(false)
  })
})
