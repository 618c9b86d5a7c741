import fc, { anyText } from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { type DownloadError, isDownloadError } from '../../../src/errors.js'
import {
  checkFilename,
  cleanFilename,
  filenameFromContentDisposition,
  filenameFromServer,
  filenameFromUrl,
  longestSuffix,
} from '../../../src/disk/names.js'

/** What happened: the name, null, or the code of the error. */
function outcome(run: () => string | null): string | null {
  try {
    return run()
  } catch (error) {
    if (isDownloadError(error)) return `!${error.code}`
    throw error
  }
}

const unsafe = '!UNSAFE_FILENAME'

/** The error that refuses a name. */
function refusal(name: string): DownloadError {
  try {
    checkFilename(name)
  } catch (error) {
    if (isDownloadError(error, 'UNSAFE_FILENAME')) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('checkFilename', () => {
  it.each([
    'model.gguf',
    'Qwen2.5-7B-Instruct-Q4_K_M-00001-of-00002.gguf',
    'with space.bin',
    'größe.bin',
    '模型.safetensors',
    '🦙.gguf',
    '.env',
    '.gitattributes',
    '...a',
    'a..b',
    'console.log',
    'com.txt',
    'com10',
    'lpt',
    'auxiliary.bin',
    // They end like the names of devices, or like ours.
    'falcon.gguf',
    'deacon',
    'my.model-downloader',
    '.model-downloader.log',
    'a.part.json.md',
    'a.partition',
    'null',
    'part',
    'model.partial',
    'a.part.gguf',
    'model.json',
    'sha256-abc',
    "it's (1) [x] {y} #&;=+,@!$%^~`.bin",
  ])('lets %j pass', (name) => {
    expect(checkFilename(name)).toBe(name)
  })

  it.each([
    '',
    '.',
    '..',
    '/',
    'a/b',
    '../x',
    '/etc/passwd',
    'a\\b',
    '..\\x',
    'C:\\x',
    'C:x',
    '\\\\server\\share',
    'file.txt:stream',
    'file::$DATA',
    'a\0b',
    'a\nb',
    'a\tb',
    'a\u007fb',
    'a\u0085b',
    'a\u009fb',
    'a\u200bb',
    'a\u200fb',
    'a\u202eb',
    'a\u2028b',
    'a\u2066b',
    'a\ufeffb',
    'a\u061cb',
    'a<b',
    'a>b',
    'a"b',
    'a|b',
    'a?b',
    'a*b',
    'CON',
    'con',
    'Con.gguf',
    'con .gguf',
    'NUL.tar.gz',
    'prn.x',
    'AUX',
    'COM0',
    'com1',
    'COM9.bin',
    'lpt3.bin',
    'COM¹',
    'lpt².x',
    'COM³',
    'CONIN$',
    'conout$.txt',
    'a.',
    'a ',
    'a.gguf. ',
    ' a',
    'a\ud800b',
    'a\udc00',
    'model.gguf.part',
    'model.gguf.PART',
    'model.gguf.part.json',
    'model.gguf.part.json.a1b2c3',
    'model.gguf.part.live',
    'model.gguf.part.live.a1b2c3',
    'model.gguf.part.lock',
    '.part',
    '.model-downloader',
    '.Model-Downloader',
  ])('refuses %j', (name) => {
    expect(outcome(() => checkFilename(name))).toBe(unsafe)
  })

  it('leaves room for the longest suffix', () => {
    const most = 255 - longestSuffix
    expect(longestSuffix).toBe('.part.json.'.length + 6)
    expect(checkFilename('a'.repeat(most))).toHaveLength(most)
    expect(outcome(() => checkFilename('a'.repeat(most + 1)))).toBe(unsafe)
    // 79 characters of three bytes each are 237, one more is too much.
    expect(checkFilename('模'.repeat(79))).toBe('模'.repeat(79))
    expect(outcome(() => checkFilename('模'.repeat(80)))).toBe(unsafe)
  })

  it('gives one name one spelling', () => {
    expect(checkFilename('gro\u0308\u00dfe.bin')).toBe('gr\u00f6\u00dfe.bin')
  })

  it.each([
    ['', 'it is empty'],
    ['.', 'it stands for a folder'],
    ['..', 'it stands for a folder'],
    ['a/b', 'it contains a path separator'],
    ['a\nb', 'it contains a control character'],
    ['a\u202eb', 'it contains an invisible or direction-changing character'],
    ['a:b', 'it contains one of : < > " | ? *'],
    ['a\ud800b', 'it is not valid Unicode'],
    [' a', 'it begins with a space'],
    ['a.', 'it ends with a dot or a space'],
    ['con.gguf', 'it is reserved on Windows'],
    ['a.part', 'its extension is reserved for incomplete downloads'],
    ['.model-downloader', 'it is reserved for the list of downloads'],
    ['a'.repeat(239), 'it is longer than 238 bytes'],
  ])('says why %j is refused', (name, reason) => {
    expect(refusal(name).message).toMatch(` can't be used: ${reason}.`)
  })

  it('shows a refused name without its harm', () => {
    expect(refusal('evil\u202e\u001b[31m\nname').message).toContain('"evil\\u202e\\u001b[31m\\u000aname"')
  })

  it('shows the first 60 characters of a long name', () => {
    const letters = 'abcdefghij'.repeat(6)
    expect(refusal(`${letters.slice(0, -1)}:`).message).toContain(`"${letters.slice(0, -1)}:"`)
    expect(refusal(`${letters}:`).message).toContain(`"${letters}…"`)
  })

  it('lets nothing pass that POSIX or Windows would take for something else', () => {
    const nasty = fc.constantFrom(
      ...[
        '/',
        '\\',
        '.',
        ' ',
        ':',
        '\0',
        '\n',
        '\u202e',
        '\ud800',
        'con',
        'nul',
        'COM1',
        '.part',
        '\u0308',
        'a',
        'ſ',
      ],
    )
    const names = fc.oneof(
      anyText(),
      fc.array(nasty, { maxLength: 6 }).map((parts) => parts.join('')),
      fc.string({ unit: 'grapheme', minLength: 40, maxLength: 90 }),
    )
    const reserved = new Set(['CON', 'PRN', 'AUX', 'NUL', 'CONIN$', 'CONOUT$'])
    for (const digit of '0123456789¹²³') reserved.add(`COM${digit}`).add(`LPT${digit}`)
    fc.assert(
      fc.property(names, (input) => {
        const name = outcome(() => checkFilename(input))
        if (name === unsafe || name === null) return
        expect(Buffer.from(name).toString()).toBe(name)
        expect(name).toBe(input.normalize('NFC'))
        expect(Buffer.byteLength(name)).toBeGreaterThan(0)
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(238)
        for (const character of name) {
          const point = character.codePointAt(0) ?? 0
          expect(point < 0x20 || (point >= 0x7f && point < 0xa0)).toBe(false)
          expect('/\\:<>"|?*\u061c\ufeff'.includes(character)).toBe(false)
          expect((point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e)).toBe(false)
          expect(point >= 0x2060 && point <= 0x206f).toBe(false)
        }
        expect(['.', ' ']).not.toContain(name.at(-1))
        expect(name.startsWith(' ')).toBe(false)
        expect(reserved.has((name.split('.')[0] ?? '').trimEnd().toUpperCase())).toBe(false)
        expect(name.toUpperCase().endsWith('.PART')).toBe(false)
        expect(checkFilename(name)).toBe(name)
      }),
      { numRuns: 500 },
    )
  })
})

describe('filenameFromUrl', () => {
  it.each([
    ['https://host/a/model.gguf', 'model.gguf'],
    ['https://host/model.gguf?download=true#x', 'model.gguf'],
    ['https://host/my%20model.gguf', 'my model.gguf'],
    ['https://host/%E6%A8%A1%E5%9E%8B.gguf', '模型.gguf'],
    ['https://host/模型.gguf', '模型.gguf'],
    ['https://host/model.gguf-split-a', 'model.gguf-split-a'],
    ['https://host/v1.5-model', 'v1.5-model'],
    ['https://host/100%25.gguf', '100%.gguf'],
    // Not UTF-8, or no escape at all: as it is written.
    ['https://host/100%.gguf', '100%.gguf'],
    ['https://host/caf%E9.gguf', 'caf%E9.gguf'],
    // Decoded once, not twice.
    ['https://host/a%252fb.gguf', 'a%2fb.gguf'],
    ['https://host/', null],
    ['https://host', null],
    ['https://host/models/', null],
    ['https://host/download', null],
    ['https://host/.gguf', null],
    ['https://host/a.', null],
    ['https://host/api.php/files/42', null],
    // Some object stores escape the slashes of a path.
    ['https://host/o/models%2Fmodel.gguf?alt=media', 'model.gguf'],
    ['https://host/o/a%2fb%2Fmy%20model.gguf', 'my model.gguf'],
    ['https://host/o/a%2fb%ff.gguf', 'b%ff.gguf'],
    ['https://host/o/models%2F', null],
    ['https://host/o/a.b%2Fmodel', null],
    ['https://host/x%2f..%2fevil.gguf', unsafe],
    ['https://host/%2fcon.gguf', unsafe],
    ['https://host/..%2fevil.gguf', unsafe],
    ['https://host/..%2F..%2Fetc%2Fpasswd', unsafe],
    ['https://host/..%5cevil.gguf', unsafe],
    ['https://host/..%5cevil%ff.gguf', unsafe],
    ['https://host/a%00.gguf', unsafe],
    ['https://host/a%0a.gguf', unsafe],
    ['https://host/con.gguf', unsafe],
    ['https://host/model.gguf.part', unsafe],
    ['https://host/c:evil.gguf', unsafe],
    ['https://host/a.gguf%E2%80%AE', unsafe],
    [`https://host/${'a'.repeat(300)}.gguf`, unsafe],
  ])('%s → %j', (url, expected) => {
    expect(outcome(() => filenameFromUrl(new URL(url)))).toBe(expected)
  })

  it('says that a path leads upwards', () => {
    expect(() => filenameFromUrl(new URL('https://host/a%2f..%2fb.gguf'))).toThrow(
      'The file name "a/../b.gguf" can\'t be used: it leads to another folder.',
    )
  })

  it('gives a safe name, null or UNSAFE_FILENAME for any path', () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true }), anyText(), (base, tail) => {
        const url = new URL(base)
        url.pathname += tail
        const name = outcome(() => filenameFromUrl(url))
        if (name !== null && name !== unsafe) expect(checkFilename(name)).toBe(name)
      }),
    )
  })
})

describe('filenameFromContentDisposition', () => {
  it.each([
    ['attachment; filename=model.gguf', 'model.gguf'],
    ['attachment; filename="my model.gguf"', 'my model.gguf'],
    ['inline; filename="model.gguf"', 'model.gguf'],
    ['ATTACHMENT; FILENAME="model.gguf"', 'model.gguf'],
    ['attachment;filename=model.gguf;', 'model.gguf'],
    ['attachment; name="x"; filename="model.gguf"', 'model.gguf'],
    [`attachment; filename="x.gguf"; filename*=UTF-8''%E6%A8%A1.gguf`, '模.gguf'],
    [`attachment; filename*=UTF-8''%E6%A8%A1.gguf; filename="x.gguf"`, '模.gguf'],
    [`attachment; filename*=iso-8859-1'en'caf%E9.gguf`, 'café.gguf'],
    // Unknown encoding: the plain `filename` is used.
    [`attachment; filename="x.gguf"; filename*=utf-16''%00x`, 'x.gguf'],
    // RFC 6266 does not know escapes in a plain filename.
    ['attachment; filename="a%20b.gguf"', 'a%20b.gguf'],
    // Raw UTF-8, seen as Latin-1; and real Latin-1.
    ['attachment; filename="\u00e6\u00a8\u00a1.gguf"', '模.gguf'],
    ['attachment; filename="mod\u00c3\u00a8le.gguf"', 'modèle.gguf'],
    ['attachment; filename="\u00e6\u00a8\u00a1"', '模'],
    ['attachment; filename="caf\u00e9.gguf"', 'café.gguf'],
    // Decoded already, by whoever made the header.
    ['attachment; filename="模.gguf"', '模.gguf'],
    ['attachment; filename="模\u00c3\u00a8.gguf"', '模\u00c3\u00a8.gguf'],
    ['attachment; filename="\u00c3\u00a8模.gguf"', '\u00c3\u00a8模.gguf'],
    [`attachment; filename*=UTF-8''%C3%83%C2%A8.gguf`, '\u00c3\u00a8.gguf'],
    ['attachment', null],
    ['', null],
    ['attachment; filename=', null],
    ['attachment; filename=""', null],
    ['attachment; filename="unterminated', null],
    ['filename=model.gguf', null],
    [';;;===;"', null],
    ['attachment; filename="model:v1?.gguf"', 'model_v1_.gguf'],
    ['attachment; filename="a*<b>|.gguf"', 'a__b__.gguf'],
    ['attachment; filename="a\\"b.gguf"', 'a_b.gguf'],
    ['attachment; filename="models/7b/model.gguf"', 'model.gguf'],
    ['attachment; filename="/srv/models/model.gguf"', 'model.gguf'],
    ['attachment; filename="C:\\models\\model.gguf"', 'model.gguf'],
    ['attachment; filename="C:\\\\models\\\\model.gguf"', 'model.gguf'],
    ['attachment; filename=models\\model.gguf', 'model.gguf'],
    ['attachment; filename="C:model.gguf"', 'C_model.gguf'],
    [`attachment; filename*=UTF-8''models%2Fmodel.gguf`, 'model.gguf'],
    [`attachment; filename*=UTF-8''a%00%0ab.gguf`, 'a__b.gguf'],
    [`attachment; filename*=UTF-8''a%E2%80%AEfugg.exe`, 'afugg.exe'],
    ['attachment; filename=NUL', '_NUL'],
    ['attachment; filename="aux.json"', '_aux.json'],
    ['attachment; filename=" model.gguf. "', 'model.gguf'],
    ['attachment; filename="model.gguf.part"', 'model.gguf.part_'],
    [`attachment; filename="${'x'.repeat(300)}.safetensors"`, `${'x'.repeat(226)}.safetensors`],
    [`attachment; filename*=UTF-8''${'%E6%A8%A1'.repeat(90)}.gguf`, `${'模'.repeat(77)}.gguf`],
    ['attachment; filename="models/"', null],
    ['attachment; filename="."', null],
    ['attachment; filename=". ."', null],
    // A byte-order mark in UTF-8 is an invisible character, too.
    ['attachment; filename="\u00ef\u00bb\u00bfa.gguf"', 'a.gguf'],
    // A path that leads upwards shows what the server is after.
    ['attachment; filename="../evil.gguf"', unsafe],
    ['attachment; filename="a/../../evil.gguf"', unsafe],
    ['attachment; filename=".."', unsafe],
    ['attachment; filename="..\\\\evil.gguf"', unsafe],
    ['attachment; filename="..\\evil.gguf"', unsafe],
    ['attachment; filename=..\\evil.gguf', unsafe],
    [`attachment; filename*=UTF-8''..%2Fevil.gguf`, unsafe],
    [`attachment; filename="ok.gguf"; filename*=UTF-8''..%2Fevil.gguf`, unsafe],
    // Hidden files, and those that programs read on their own.
    ['attachment; filename=".npmrc"', unsafe],
    ['attachment; filename=".gguf"', unsafe],
    [`attachment; filename*=UTF-8''%E2%80%8B.envrc`, unsafe],
    ['attachment; filename=package.json', unsafe],
    ['attachment; filename="x/Package.JSON"', unsafe],
    ['attachment; filename="Makefile. "', unsafe],
    ['attachment; filename=sitecustomize.py', unsafe],
    ['attachment; filename=vite.config.mts', unsafe],
    ['attachment; filename=config.json', 'config.json'],
    ['attachment; filename=requirements.txt', 'requirements.txt'],
  ])('%s → %j', (header, expected) => {
    expect(outcome(() => filenameFromContentDisposition(header))).toBe(expected)
  })

  it.each([
    ['attachment; name="; filename=b.gguf"; filename="a.gguf"', 'a.gguf'],
    ['attachment; filename=a.gguf; name="; filename="; more="b.gguf"', 'a.gguf'],
    ['attachment; name="a\\b"; filename=c.gguf', 'c.gguf'],
    ['attachment;filename="C:\\models\\m.gguf"', 'm.gguf'],
    ['attachment; filename = "C:\\models\\m.gguf"', 'm.gguf'],
    ['attachment; filename="C:\\models\\m\\"x.gguf"', 'm_x.gguf'],
  ])('%s → %j, among other parameters', (header, expected) => {
    expect(outcome(() => filenameFromContentDisposition(header))).toBe(expected)
  })

  it.each([
    ['../evil.gguf', 'it leads to another folder'],
    ['.npmrc', 'the server chose it, and it is that of a hidden file; give a file name yourself'],
    [
      'package.json',
      'the server chose it, and programs read such a file on their own; give a file name yourself',
    ],
  ])('says why %j is refused', (name, reason) => {
    expect(() => filenameFromContentDisposition(`attachment; filename="${name}"`)).toThrow(
      `The file name "${name}" can't be used: ${reason}.`,
    )
  })

  it('gives a safe name, null or UNSAFE_FILENAME for any header', () => {
    const parts = fc.array(
      fc.oneof(
        fc.constantFrom('attachment', ';', ' filename', ' filename*', '=', '"', "UTF-8''", '%2f', '\\', '..'),
        fc.string(),
      ),
    )
    fc.assert(
      fc.property(parts, (list) => {
        const name = outcome(() => filenameFromContentDisposition(list.join('')))
        if (name !== null && name !== unsafe) expect(checkFilename(name)).toBe(name)
      }),
    )
  })
})

describe('filenameFromServer', () => {
  const finalUrl = new URL('https://host/from-url.gguf')

  it('asks the header, then the URL', () => {
    const of = (contentDisposition: string | null, url = finalUrl) =>
      filenameFromServer({ contentDisposition, finalUrl: url })
    expect(of('attachment; filename=a.gguf')).toBe('a.gguf')
    expect(of('attachment')).toBe('from-url.gguf')
    expect(of('attachment; filename="???"')).toBe('___')
    expect(of(null)).toBe('from-url.gguf')
    expect(of(null, new URL('https://host/download'))).toBeNull()
  })

  it('does not fall back from an attack', () => {
    const contentDisposition = 'attachment; filename="../../.bashrc"'
    expect(outcome(() => filenameFromServer({ contentDisposition, finalUrl }))).toBe(unsafe)
  })

  it.each([
    ['/x/a%3Ab.gguf', 'a_b.gguf'],
    ['/x/aux.gguf', '_aux.gguf'],
    ['/x/a%0a.gguf', 'a_.gguf'],
    ['/x/models%5cmodel.gguf', 'model.gguf'],
    [`/${'a'.repeat(300)}.gguf`, `${'a'.repeat(233)}.gguf`],
    ['/x/a%0a', null],
    ['/x/..%2fevil.gguf', unsafe],
    ['/x/..%5cevil.gguf', unsafe],
    ['/x/package.json', unsafe],
    ['/x/.env.local', unsafe],
  ])('cleans the name of a URL that a redirect leads to: %s → %j', (path, expected) => {
    const url = new URL(path, 'https://host')
    expect(outcome(() => filenameFromServer({ contentDisposition: null, finalUrl: url }))).toBe(expected)
  })
})

describe('cleanFilename', () => {
  it.each([
    ['model.gguf', 'model.gguf'],
    ['a\\b.bin', 'a_b.bin'],
    ['con', '_con'],
    ['a\ud800.bin', 'a_.bin'],
    ['.model-downloader', '_.model-downloader'],
    ['.part', '.part_'],
    ['.gitattributes', '.gitattributes'],
    ['gro\u0308\u00dfe.bin', 'gr\u00f6\u00dfe.bin'],
    ['..', null],
    ['.', null],
    ['', null],
    ['\u200b', null],
    [`${'x'.repeat(238)}y`, 'x'.repeat(238)],
    [`a.${'x'.repeat(250)}`, `a.${'x'.repeat(236)}`],
    [`${'x'.repeat(250)}.${'y'.repeat(19)}`, `${'x'.repeat(218)}.${'y'.repeat(19)}`],
    [`${'x'.repeat(250)}.${'y'.repeat(20)}`, 'x'.repeat(238)],
    [`${'x'.repeat(200)}. ${'y'.repeat(50)}.gguf`, `${'x'.repeat(200)}. ${'y'.repeat(31)}.gguf`],
  ])('%j → %j', (name, expected) => {
    expect(cleanFilename(name)).toBe(expected)
  })

  it('gives a safe name for any text, and leaves a safe one as it is', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc
        .array(fc.constantFrom('con', '.part', '.', ' ', 'a', '.json', '\ud83d', '\udca9', '\u0308', ':'), {
          maxLength: 8,
        })
        .map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(texts, (text) => {
        const name = cleanFilename(text)
        if (name !== null) expect(checkFilename(name)).toBe(name)
        if (outcome(() => checkFilename(text)) !== unsafe) expect(name).toBe(text.normalize('NFC'))
      }),
      { numRuns: 500 },
    )
  })
})
