import { execFileSync } from 'node:child_process'
import { posix, skipFor } from '../../support/machine.js'
import fc, { anyText } from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { messagesOf } from '../../../src/catalog/messages.js'
import { quoteCommand, quoteWord } from '../../../src/catalog/tip.js'
import { firstUseTip, type TipInput } from '../../../src/catalog/tip.js'
import { type Locale, locales } from '../../../src/util/locale.js'

/** Any text that can be a word: without NUL, and valid in UTF-8. */
const word = fc
  .oneof(
    anyText(),
    fc.string({
      unit: fc.constantFrom("'", '"', '$', '%', '`', '\\', ' ', '!', '*', '~', '\n', '模', 'a', ',', '='),
    }),
  )
  .filter((text) => !/\0|\p{Cs}/u.test(text))

/** How a POSIX shell parses a command line. */
function wordsOf(command: string): string[] {
  const script = `set -f\nset -- ${command}\nfor word do printf '%s\\0' "$word"; done`
  return execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1)
}

describe('quoting for POSIX shells', () => {
  it('gives a real sh back every word as it was', (context) => {
    if (!posix.available()) skipFor(context, posix)
    fc.assert(
      fc.property(
        fc.array(fc.array(word, { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 20 }),
        (lines) => {
          for (const words of lines) expect(wordsOf(quoteCommand(words, 'posix'))).toEqual(words)
        },
      ),
      { numRuns: 15 },
    )
  })

  it('leaves harmless words as they are', () => {
    for (const plain of ['npx', '-d', '--models', 'a,b', './models', '/srv/app/models.json', 'bge-m3'])
      expect(quoteWord(plain, 'posix')).toBe(plain)
    for (const [text, quoted] of [
      ['', "''"],
      ['my models', "'my models'"],
      ["it's", "'it'\\''s'"],
      ['~/x', "'~/x'"],
      ['$HOME', "'$HOME'"],
      ['模型', "'模型'"],
      ['=ls', "'=ls'"],
    ] as const)
      expect(quoteWord(text, 'posix')).toBe(quoted)
  })
})

describe('quoting for PowerShell', () => {
  it.each([
    ['models\\a.json', 'models\\a.json'],
    ['C:\\my models', "'C:\\my models'"],
    ["it's", "'it''s'"],
    ['it\u2019s', "'it\u2019\u2019s'"],
    ['$env:X', "'$env:X'"],
    ['%X%', "'%X%'"],
    ['a,b', "'a,b'"],
    ['模型', "'模型'"],
    ['', "''"],
    ['a`b', "'a`b'"],
  ])('makes %j to %s', (text, quoted) => {
    expect(quoteWord(text, 'powershell')).toBe(quoted)
  })

  it('is undone by its own rules', () => {
    fc.assert(
      fc.property(word, (text) => {
        const quoted = quoteWord(text, 'powershell')
        if (quoted === text) return
        const inside = quoted.slice(1, -1)
        // Every quote inside comes in a pair of the same.
        expect(inside.replace(/(['\u2018-\u201b])\1/g, '$1')).toBe(text)
        expect(inside.replace(/(['\u2018-\u201b])\1/g, '')).not.toMatch(/['\u2018-\u201b]/)
      }),
    )
  })
})

/** What cmd, typed into by hand, and then the program make of a quoted word. */
function cmdWord(quoted: string): string {
  // A pair of percent signs is replaced only when there is a variable of that name; none has a caret in its name.
  for (const [, name = ''] of quoted.matchAll(/%([^%]*)(?=%)/g)) expect(name).toMatch(/\^|^$/)
  let inQuotes = false
  let text = ''
  for (let at = 0; at < quoted.length; at++) {
    const char = quoted[at] ?? ''
    if (!inQuotes && char === '^') {
      text += quoted[++at] ?? ''
      continue
    }
    if (char === '"') inQuotes = !inQuotes
    if (!inQuotes && char !== '"') expect(char).not.toMatch(/[&|<>() ]/)
    text += char
  }
  expect(inQuotes).toBe(false)
  // CommandLineToArgvW: backslashes count only before a quote.
  return text.replace(/(\\*)"/g, (_, slashes: string) => slashes.slice(slashes.length / 2))
}

describe('quoting for cmd', () => {
  it.each([
    ['models\\a.json', 'models\\a.json'],
    ['my models', '"my models"'],
    ['a&b', '"a&b"'],
    ['C:\\my models\\', '"C:\\my models\\\\"'],
    ['C:\\my models\\\\', '"C:\\my models\\\\\\\\"'],
    ['a"b', '"a\\"b"'],
    ['100%', '"100"^%'],
    ['%TEMP%\\x y', '^%"TEMP"^%"\\x y"'],
    ['模型', '"模型"'],
    ['', '""'],
  ])('makes %j to %s', (text, quoted) => {
    expect(quoteWord(text, 'cmd')).toBe(quoted)
  })

  it('is undone by its own rules', () => {
    // File names there can't contain a double quote, a control character, or a colon other than the drive's.
    const name = word.map((text) => text.replace(/["\p{Cc}]/gu, ''))
    fc.assert(
      fc.property(name, (text) => {
        expect(cmdWord(quoteWord(text, 'cmd'))).toBe(text)
      }),
    )
  })
})

/** What PowerShell passes to a batch file: each word, in quotes if it has white space outside of its own. */
function fromPowerShell(quoted: string): string {
  const word = quoted.startsWith("'") ? quoted.slice(1, -1).replace(/(['\u2018-\u201b])\1/g, '$1') : quoted
  let inQuotes = false
  let needsQuotes = false
  for (let at = 0; at < word.length; at++) {
    const char = word[at] ?? ''
    if (char === '"' && word[at - 1] !== '\\') inQuotes = !inQuotes
    else if (!inQuotes && /\s/u.test(char)) needsQuotes = true
  }
  return needsQuotes ? `"${word}"` : word
}

describe('quoting for a batch file in PowerShell', () => {
  it.each([
    ['npx.cmd', 'npx.cmd'],
    ['C:\\my models', "'C:\\my models'"],
    ['C:\\my models\\', `'"C:\\my models\\\\"'`],
    ["it's", "'it''s'"],
    ['a,b', "'a,b'"],
    ['R&D', `'"R&D"'`],
    ['100%', `'"100"^%'`],
    ['a (b)', `'"a (b)"'`],
    ['', `'""'`],
    ['模型', "'模型'"],
  ])('makes %j to %s', (text, quoted) => {
    expect(quoteWord(text, 'powershell-cmd')).toBe(quoted)
  })

  it('is undone by the rules of PowerShell, of cmd and of the program', () => {
    const name = word.map((text) => text.replace(/["\p{Cc}]/gu, ''))
    fc.assert(
      fc.property(name, (text) => {
        expect(cmdWord(fromPowerShell(quoteWord(text, 'powershell-cmd')))).toBe(text)
      }),
    )
  })
})

const facts: TipInput = {
  missing: [
    { key: 'llm', name: 'Qwen 3' },
    { key: 'bge', name: 'bge' },
  ],
  keys: null,
  beingFetched: false,
  directory: '/srv/app/backend/my models',
  catalogFile: '/srv/app/backend/models.json',
  projectRoot: { folder: '/srv/app', relative: true },
  backendDir: { folder: '/srv/app/backend', relative: true },
  platform: 'linux',
}
const english = messagesOf('en-US')

describe('the tip', () => {
  it('gives both commands for POSIX shells', () => {
    expect(firstUseTip(facts, english).split('\n')).toEqual([
      'Missing: Qwen 3 (llm), bge.',
      'Download with one of these commands:',
      'From the project root (/srv/app):',
      "  npx model-downloader preload backend/models.json -d 'backend/my models'",
      '; or from the backend folder (/srv/app/backend):',
      "  npx model-downloader preload models.json -d 'my models'",
    ])
  })

  it('gives both commands for PowerShell and cmd', () => {
    const windows: TipInput = {
      ...facts,
      keys: ['llm', 'bge'],
      directory: 'D:\\my models',
      catalogFile: 'C:\\app\\backend\\models.json',
      projectRoot: { folder: 'C:\\app', relative: true },
      backendDir: { folder: 'C:\\app\\backend', relative: true },
      platform: 'win32',
    }
    expect(firstUseTip(windows, english).split('\n').slice(2)).toEqual([
      'From the project root (C:\\app):',
      "  PowerShell: npx.cmd model-downloader preload backend\\models.json -d 'D:\\my models' --models 'llm,bge'",
      '  ; cmd: npx model-downloader preload backend\\models.json -d "D:\\my models" --models "llm,bge"',
      '; or from the backend folder (C:\\app\\backend):',
      "  PowerShell: npx.cmd model-downloader preload models.json -d 'D:\\my models' --models 'llm,bge'",
      '  ; cmd: npx model-downloader preload models.json -d "D:\\my models" --models "llm,bge"',
    ])
  })

  it('still separates the commands when a page collapses its line breaks', () => {
    const collapsed = (locale: Locale, platform: NodeJS.Platform) =>
      firstUseTip({ ...facts, platform }, messagesOf(locale)).replaceAll(/\s+/g, ' ')
    expect(collapsed('zh-CN', 'linux')).toBe(
      '缺少：Qwen 3 (llm)、bge。 可用以下任一命令下载： 在项目根目录（/srv/app）运行： ' +
        "npx model-downloader preload backend/models.json -d 'backend/my models' " +
        "；或在后端目录（/srv/app/backend）运行： npx model-downloader preload models.json -d 'my models'",
    )
    for (const locale of locales)
      for (const platform of ['linux', 'win32'] as const)
        for (const [between = ''] of collapsed(locale, platform).matchAll(/(?<=npx).*?(?=npx)/g))
          expect(between).toMatch(/ (?:; |；)\S/)
  })

  it('speaks Chinese', () => {
    expect(firstUseTip(facts, messagesOf('zh-CN')).split('\n')).toEqual([
      '缺少：Qwen 3 (llm)、bge。',
      '可用以下任一命令下载：',
      '在项目根目录（/srv/app）运行：',
      "  npx model-downloader preload backend/models.json -d 'backend/my models'",
      '；或在后端目录（/srv/app/backend）运行：',
      "  npx model-downloader preload models.json -d 'my models'",
    ])
  })

  it('holds absolute paths where the host says no folder, and never begins a path with a dash', () => {
    const somewhere = { folder: '/somewhere', relative: false }
    const absolute = firstUseTip({ ...facts, projectRoot: somewhere, backendDir: somewhere }, english)
    expect(absolute).toContain("preload /srv/app/backend/models.json -d '/srv/app/backend/my models'")
    const dashed = { ...facts, catalogFile: '/srv/app/-x.json', directory: '/srv/app' }
    expect(firstUseTip(dashed, english)).toContain('preload ./-x.json -d .\n')
  })

  it('holds no commands when all is there, is coming, or there is no file', () => {
    expect(firstUseTip({ ...facts, missing: [] }, english)).toBe('All models are ready.')
    expect(firstUseTip({ ...facts, beingFetched: true }, english)).toBe('Downloading now: Qwen 3 (llm), bge.')
    expect(firstUseTip({ ...facts, catalogFile: null }, english)).toBe(
      'Missing: Qwen 3 (llm), bge.\nStart a preload to download them.',
    )
  })

  it('can be pasted into a real sh whatever the folders are called', (context) => {
    if (!posix.available()) skipFor(context, posix)
    const folder = word.filter(
      (text) => !/[/\p{Cc}\u2028\u2029]/u.test(text) && text !== '' && !/^\.{1,2}$/.test(text),
    )
    fc.assert(
      fc.property(folder, folder, (root, models) => {
        const tip = firstUseTip(
          {
            ...facts,
            catalogFile: `/${root}/${models}/c.json`,
            directory: `/${root}/${models}`,
            projectRoot: { folder: `/${root}`, relative: true },
          },
          english,
        )
        const words = wordsOf(/^ {2}(npx .*)$/m.exec(tip)?.[1] ?? '')
        const path = models.startsWith('-') ? `./${models}` : models
        expect(words).toEqual(['npx', 'model-downloader', 'preload', `${path}/c.json`, '-d', path])
      }),
      { numRuns: 40 },
    )
  })
})
