import { describe, expect, it } from 'vitest'
import fc from '../../support/properties.js'
import { looksLikeHtml, parseLfsPointer, substituteIn } from '../../../src/disk/substitutes.js'
import { cpuMs } from '../../support/cost.js'

const text = (value: string) => new TextEncoder().encode(value)

const of = (name: string, content: Uint8Array) => substituteIn(name, content, content.length)

describe('a web page', () => {
  const page = text('<!DOCTYPE html><html><body>Please log in</body></html>')
  const form = text('<form action="/login" method="post"><input name="user"></form>')

  const models =
    'bin pt pth ckpt onnx zip tar.gz h5 npz tflite msgpack json gguf safetensors pkl yaml py model jsonl parquet'
  it.each(models.split(' '))('is not a file with the extension .%s', (extension) => {
    for (const content of [page, form]) expect(of(`model.${extension}`, content)).toMatch(/HTML page/)
  })

  it.each([
    ...[
      'index.html',
      'INDEX.HTM',
      'a.xhtml',
      'a.xht',
      'a.dhtml',
      'a.shtm',
      'a.mht',
      'a.mhtml',
      'a.php',
      'a.php5',
    ],
    ...['a.phtml', 'a.asp', 'a.aspx', 'a.jsp', 'a.jspx', 'a.cfm', 'a.cgi'],
  ])('may be %s', (name) => {
    expect(of(name, page)).toBeNull()
    expect(of(name, form)).toBeNull()
  })

  it.each(['a.html.bin', 'a.qhtml', 'html.bin', 'a.md.bin', 'a.LICENSE'])('is not %s', (name) => {
    for (const content of [page, form]) expect(of(name, content)).toMatch(/HTML page/)
  })

  it.each([
    ...[
      'README.md',
      'LICENSE',
      'notes.txt',
      'notes.text',
      'data.csv',
      'openvino_model.xml',
      'a.xsl',
      'a.xslt',
    ],
    ...['chat_template.jinja', 'a.jinja2', 'a.j2', 'a.svg'],
  ])('is not %s, which may begin with a piece of one', (name) => {
    expect(of(name, page)).toMatch(/HTML page/)
    expect(of(name, text('<!-- markdownlint-disable -->\n<div align="center">\n'))).toBeNull()
    expect(of(name, text('<p align="center"><img src="logo.png"></p>'))).toBeNull()
  })

  it('is recognized in UTF-16', () => {
    expect(of('a.bin', Buffer.from('\ufeff<!doctype html><p>', 'utf16le'))).toMatch(/HTML page/)
    expect(of('a.bin', Buffer.from('\ufeff<!doctype html><p>', 'utf16le').swap16())).toMatch(/HTML page/)
    expect(of('a.bin', Buffer.from('<!doctype html>\xff\xfe', 'latin1'))).toMatch(/HTML page/)
  })
})

describe('a Git LFS pointer', () => {
  const sha256 = '4d7a'.repeat(16)
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize 12345678901\n`

  it.each(['model.bin', 'model.gguf', 'config.json', 'README.md', 'LICENSE', 'index.html'])(
    'is not %s; the digest and size of the file are named',
    (name) => {
      const wrong = of(name, text(pointer))
      expect(wrong).toContain(sha256)
      expect(wrong).toContain('12345678901 bytes')
    },
  )

  it.each([
    pointer,
    pointer.replaceAll('\n', '\r\n'),
    pointer.replace('git-lfs', 'hawser'),
    pointer.replace('\noid', `\next-0-foo sha256:${'0'.repeat(64)}\noid`),
  ])('is recognized (%#)', (content) => {
    expect(parseLfsPointer(text(content))).toEqual({ sha256, size: 12_345_678_901 })
  })

  it.each([
    pointer.replace('v1', 'v2'),
    pointer.replace('size', 'bytes'),
    pointer.replace(sha256, 'abc'),
    ` ${pointer}`,
    `${pointer}${'# more\n'.repeat(200)}`,
    pointer.padEnd(1025, '\n'),
    pointer.replace('oid', 'void'),
    pointer.replace(sha256, `${sha256}0`),
    pointer.replace('size', 'oversize'),
    pointer.replace('12345678901', '12345678901x'),
    '',
  ])('is not just anything (%#)', (content) => {
    expect(of('model.bin', text(content))).toBeNull()
  })

  it('is recognized in a file of up to 1,024 bytes, also of unknown size', () => {
    expect(parseLfsPointer(text(pointer.padEnd(1024, '\n')))).not.toBeNull()
    expect(substituteIn('model.bin', text(pointer), null)).toContain(sha256)
  })

  it('is not the beginning of a larger file', () => {
    expect(substituteIn('model.bin', text(pointer), 10_000)).toBeNull()
  })
})

it('nothing is thrown for any bytes', () => {
  fc.assert(
    fc.property(fc.constantFrom('a.bin', 'a.md', 'a.html', 'a'), fc.uint8Array(), (name, bytes) => {
      expect(of(name, bytes) ?? '.').toMatch(/\.$/)
    }),
  )
})

describe('looksLikeHtml', () => {
  it.each([
    '<!doctype html>',
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN">',
    '\ufeff  \r\n\t<html lang="en">',
    '<HEAD>',
    '<html',
    '<!-- a comment --> <!-- another --><html>',
    '<?xml version="1.0"?><!DOCTYPE html>',
    '<script>location = 1</script>',
    '<title>Sign in</title>',
    '<form action="/login">',
    '<center><h1>403 Forbidden</h1></center>',
  ])('knows %j', (content) => {
    expect(looksLikeHtml(text(content))).toBe(true)
  })

  it.each([
    '',
    ' ',
    '<',
    'GGUF',
    '{"error":"no"}',
    '<xml/>',
    '<htmlx>',
    'text <html>',
    '<?xml version="1.0"?>',
  ])('does not take %j for a page', (content) => {
    expect(looksLikeHtml(text(content))).toBe(false)
  })

  it.each([' '.repeat(1e5), '<!---->'.repeat(1e4), '<!--'.repeat(1e4), '<?xml>'.repeat(1e4)])(
    'is fast on any input (%#)',
    async (content) => {
      // Milliseconds when linear; an exponential pattern would not come back at all.
      const cost = await cpuMs(() => {
        expect(looksLikeHtml(text(`${content}x`))).toBe(false)
      })
      expect(cost).toBeLessThan(500)
    },
  )
})
