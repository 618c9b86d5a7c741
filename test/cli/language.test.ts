import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandHelp } from '../../src/cli/chinese-help.js'
import { displayWidth, finishedLine, progressLine } from '../../src/cli/format.js'
import { planText } from '../../src/cli/get.js'
import { localeOfRun, speak, texts } from '../../src/cli/language.js'
import { chineseCommand } from '../../src/cli/chinese/language.js'
import { parserMessage, wrap } from '../../src/cli/chinese/translate.js'
import { withSubcommands } from '../../src/cli/localize.js'
import { createProgram } from '../../src/cli/program.js'
import { failedLine, JsonReporter, LineReporter, missingLines } from '../../src/cli/reporters.js'
import { banner } from '../../src/cli/serve-settings.js'
import { englishLeftIn } from '../support/chinese.js'
import { ManualClock } from '../support/clock.js'
import { startOrigin } from '../support/origin.js'
import fc from '../support/properties.js'
import { tempDir } from '../support/temp.js'
import { run, runBuilt } from './run.js'
import { startServeProcess } from './serving.js'

const nothing = async () => {}

afterEach(() => {
  speak(null)
})

describe('the language of a run', () => {
  const system = () => 'fr'

  it.each([
    [['get', 'url'], { LANG: 'zh_CN.UTF-8' }, 'zh-CN'],
    [['--locale', 'zh-CN', 'get', 'url'], { LANG: 'en_US.UTF-8' }, 'zh-CN'],
    [['get', '--locale=en', 'url'], { LC_ALL: 'zh_CN.UTF-8' }, 'en-US'],
    [['--locale', 'en', 'get', '--locale', 'zh'], {}, 'zh-CN'],
    [['get', '--', '--locale', 'zh'], {}, 'en-US'],
    [['get', '--locale', 'klingon'], { LANG: 'zh_CN.UTF-8' }, 'zh-CN'],
    [['get', '--locale'], {}, 'en-US'],
  ])('of %j with %j is %s', (args, environment, locale) => {
    expect(localeOfRun(args, environment, system)).toBe(locale)
  })
})

describe('the Chinese help', () => {
  const commandsOf = withSubcommands

  it('has a Chinese text for each command, argument and option, and is aligned', () => {
    speak(chineseCommand)
    const program = createProgram('1.0.0', { get: nothing, preload: nothing, serve: nothing, files: nothing })
    for (const command of commandsOf(program)) {
      expect(command.description()).toMatch(/\p{Script=Han}/u)
      for (const { description, flags } of [
        ...command.options,
        ...command.registeredArguments.map((argument) => ({
          flags: argument.name(),
          description: argument.description,
        })),
      ])
        expect([flags, description]).toEqual([flags, expect.stringMatching(/\p{Script=Han}/u)])
      const lines = command.helpInformation().split('\n')
      // A term that is longer than its column stands on a line of its own.
      const columns = lines.flatMap((line) => {
        const before = /^ {2}\S.*? {2,}(?=\S)/.exec(line)?.[0]
        return before === undefined ? [] : [displayWidth(before)]
      })
      expect(new Set(columns).size).toBe(1)
      for (const line of lines) expect([line, displayWidth(line) <= 80]).toEqual([line, true])
      expect(
        englishLeftIn(
          command
            .helpInformation()
            .replace('model-downloader cache ', '')
            .replaceAll('\n', '')
            .replaceAll(/ {2,}/g, ' | '),
        ),
      ).toEqual([])
    }
    for (const { after } of Object.values(commandHelp)) {
      for (const line of after.split('\n').filter((text) => !text.startsWith('  ')))
        expect([line, displayWidth(line) <= 80]).toEqual([line, true])
      expect(englishLeftIn(after)).toEqual([])
    }
  })

  it('leaves the English help as it was, with one option more', () => {
    const program = createProgram('1.0.0', { get: nothing, preload: nothing, serve: nothing, files: nothing })
    for (const command of commandsOf(program)) {
      expect(command.helpInformation()).not.toMatch(/\p{Script=Han}/u)
      expect(command.helpInformation()).toMatch(
        /^ {2}--locale <language> +language of messages: en-US or zh-CN/m,
      )
    }
  })

  it('wraps lines at any character, but begins none with a punctuation mark', () => {
    const word = fc.constantFrom(
      '模',
      '型',
      '下载，',
      '完成。',
      '（默认：',
      '无）',
      '见 ',
      'hf-cache ',
      'LC_ALL、',
    )
    fc.assert(
      fc.property(fc.array(word), fc.integer({ min: 20, max: 40 }), (words, width) => {
        const text = words.join('')
        const lines = wrap(text, width).split('\n')
        expect(lines.join('').replaceAll(/\s/g, '')).toBe(text.replaceAll(/\s/g, ''))
        for (const line of lines) {
          expect(displayWidth(line)).toBeLessThanOrEqual(width)
          expect(line).not.toMatch(/^[，。、）：]/)
        }
      }),
    )
  })
})

describe('the messages of the parser', () => {
  beforeEach(() => {
    speak(chineseCommand)
  })

  it.each([
    [['get'], "错误：缺少参数 'url'"],
    [['gte', 'x'], "错误：未知命令 'gte'\n（是否想用 get？）"],
    [['get', 'x', '--fore'], "错误：未知选项 '--fore'\n（是否想用 --force？）"],
    [['get', 'x', '--size'], "错误：选项 '--size <bytes>' 缺少取值"],
    [['get', 'x', '--size', 'a b'], "错误：选项 '--size <bytes>' 的取值 'a b' 无效。应为不小于 0 的整数。"],
    [['serve', '--port', '70000'], '应为 0 到 65535 之间的整数。'],
    [['get', 'x', '--layout', "it's"], "的取值 'it's' 无效。可选值：flat, hf-cache。"],
    [['serve', 'a', 'b'], '错误：参数过多：应有 0 个，实际有 2 个。'],
    [['get', 'x', '--limit-rate', '1X'], '应为每秒字节数'],
    [['get', 'x', '--locale', 'fr'], '应为支持的语言之一'],
  ])('%j', async (args, message) => {
    const program = createProgram('1.0.0', { get: nothing, preload: nothing, serve: nothing, files: nothing })
    let written = ''
    for (const command of commandsOf(program))
      command.configureOutput({ writeErr: (text) => (written += text) })
    await expect(program.parseAsync(['node', 'model-downloader', ...args])).rejects.toThrow()
    expect(written).toContain(message)
    expect(written).toContain('（使用 --help 查看用法）')
    expect(englishLeftIn(written)).toEqual([])
  })

  const commandsOf = withSubcommands

  it('stay as they are where their form is unknown', () => {
    for (const text of ['error: something new', 'x', '']) expect(parserMessage(text, texts())).toBe(text)
  })
})

describe('what a run says in Chinese', () => {
  beforeEach(() => {
    speak(chineseCommand)
  })

  const url = 'https://host.example/模型.gguf'
  const failed = {
    type: 'failed',
    url,
    code: 'NOT_FOUND',
    message: 'Not found on host.example (HTTP 404).',
    missing: [
      { path: 'a b.bin', code: 'STALLED', message: 'The server was silent.' },
      { path: 'c.bin', code: null, message: 'It is paused.' },
    ],
  } as const

  it('are lines without English sentences, with names and addresses as they are', () => {
    const state = {
      ...{ name: '模型.gguf', downloaded: 1_000_000, total: 2_000_000, percent: 50, bytesPerSecond: 1_000 },
      ...{ etaSeconds: 8, connections: 4, retry: null },
    }
    const file = {
      path: 'models/模型.gguf',
      size: 2_000_000,
      verified: true,
      fetchedBytes: 1_000_000,
      seconds: 2,
    }
    const lines = [
      progressLine({ ...state, phase: 'downloading' }),
      progressLine({ ...state, phase: 'verifying', total: null }),
      progressLine({ ...state, phase: 'downloading', retry: { code: 'STALLED', seconds: 3 } }),
      finishedLine({ ...file, existed: false }),
      finishedLine({ ...file, existed: true }),
      finishedLine({ ...file, existed: false, adoptedFrom: '/cache' }),
      failedLine({ ...failed, missing: [] }),
      ...missingLines({ ...failed, missing: [...failed.missing] }),
    ]
    expect(lines).toEqual([
      '模型.gguf：1.0 MB/2.0 MB (50.0%)，1.0 kB/s，ETA 8s，4 个连接',
      '模型.gguf：1.0 MB，正在校验',
      '模型.gguf：1.0 MB/2.0 MB (50.0%)，3s 后重试 STALLED',
      'models/模型.gguf：2.0 MB，用时 2.0s（500 kB/s），沿用已有的 1.0 MB，sha256 校验通过',
      'models/模型.gguf：2.0 MB，文件已存在，sha256 校验通过',
      'models/模型.gguf：2.0 MB，取自其他程序的缓存，sha256 校验通过',
      `错误：${url}：找不到该文件或资源（HTTP 404）。 (NOT_FOUND)`,
      '  缺少：a b.bin：对方服务器长时间没有发送数据。 (STALLED)',
      '  缺少：c.bin：未尝试下载。',
    ])
  })

  it('is the same from a reporter, while its JSON stays English', () => {
    let said = ''
    const print = (text: string) => (said += text)
    const reporter = new LineReporter(2, print, null, 1_000, new ManualClock())
    const retrying = {
      type: 'retrying',
      url,
      attempt: 1,
      delayMs: 5_000,
      code: 'CONNECT_FAILED',
      message: 'The connection was lost (ECONNRESET).',
    } as const
    reporter.report({ type: 'started', url })
    reporter.report(retrying)
    reporter.report({ ...failed, missing: [] })
    reporter.finish()
    expect(said.split('\n')).toEqual([
      `开始：${url}`,
      '提示：模型.gguf：无法连接到服务器（ECONNRESET）。（CONNECT_FAILED）5s 后重试',
      expect.stringMatching(/^错误：/),
      '共 2 个文件，完成 0 个，失败 1 个；用时 0s，下载 0 B',
      '',
    ])
    let json = ''
    new JsonReporter((text) => (json += text), print, false).report(retrying)
    expect(JSON.parse(json)).toEqual(retrying)
  })

  it('is aligned in tables', () => {
    const plan = planText({
      files: (['missing', 'partial', 'complete', 'adoptable', 'refused'] as const).map((status) => ({
        status,
        size: 1_000,
        path: `/models/${status}.bin`,
      })),
      ...{ totalBytes: 5_000, missingBytes: 2_000, freeBytes: 1_000, fits: false },
    } as unknown as Parameters<typeof planText>[0]) // the other members are not shown
    const rows = plan.split('\n').slice(0, 5)
    expect(new Set(rows.map((row) => displayWidth(row.slice(0, row.indexOf('/models')))))).toEqual(
      new Set([21]),
    )
    expect(plan).toMatch(/\n共 5 个文件，5\.0 kB；待下载 2\.0 kB，可用空间 1\.0 kB：空间不足\n$/)

    const facts = {
      ...{ host: 'localhost', port: 0, url: 'http://127.0.0.1:4711', directory: '/srv/models', token: null },
      ...{ catalog: null, cors: undefined, allowedHosts: [], ui: true },
    }
    const shown = banner(true, facts)
    const columns = [...shown.matchAll(/^ {2}\S+ +/gm)].map(([before]) => displayWidth(before))
    expect(new Set(columns)).toEqual(new Set([13]))
    expect(englishLeftIn(shown)).toEqual([])
    // A script reads this one.
    expect(banner(false, facts)).toMatch(/^listening on \S+\n/)
  })
})

describe('the command', () => {
  it.each([[['--help']], [['--version']], [['get', '--help']], [['get', 'ftp://host/a']]])(
    'loads no Chinese texts for %j, unless it speaks Chinese',
    async (args) => {
      /** How many of the files that a run has loaded have Chinese in them. */
      const chineseFiles = async (locale: string) => {
        const coverage = tempDir('coverage')
        const env = { LC_ALL: locale, NODE_V8_COVERAGE: coverage }
        await runBuilt(args, { env })
        const urls = readdirSync(coverage).flatMap((name) => {
          const text = readFileSync(path.join(coverage, name), 'utf8')
          return [...text.matchAll(/"url":"(file:[^"]*\/dist\/[^"]*)"/g)].map(([, url = '']) => url)
        })
        expect(urls.length).toBeGreaterThan(1)
        // The build writes them as escapes.
        const isChinese = (url: string) => /\\u[4-9][\da-f]{3}/i.test(readFileSync(new URL(url), 'utf8'))
        return urls.filter(isChinese).length
      }
      expect(await chineseFiles('C')).toBe(0)
      expect(await chineseFiles('zh_CN.UTF-8')).toBeGreaterThan(0)
    },
  )

  it('speaks the language of --locale, and otherwise that of the environment', async () => {
    const cwd = tempDir('locale')
    const env = { LC_ALL: 'zh_CN.UTF-8' }
    const asked = await run(['get', 'ftp://host/模型.gguf', '--locale', 'zh-CN'], { cwd })
    expect(asked).toMatchObject({ code: 2, stdout: '' })
    expect(asked.stderr).toBe('错误：ftp://host/模型.gguf：网址或模型名称无效。 (INVALID_URL)\n')
    writeFileSync(path.join(cwd, 'bad.json'), '{\n"models": [ {} }')
    const bad = await run(['preload', 'bad.json'], { cwd, env })
    expect(bad.stderr).toMatch(
      /^错误：模型清单 .*bad\.json：不是有效的 JSON（第 2 行） \(INVALID_OPTIONS\)\n$/,
    )
    const english = await run(['get', 'ftp://host/a.gguf', '--locale', 'en'], { cwd, env })
    expect(english.stderr).toMatch(/^error: ftp:\/\/host\/a\.gguf: Only http and https/)
  })

  it('logs and answers in Chinese when it serves, and in the language of who asks', async () => {
    await using origin = await startOrigin()
    await using serving = await startServeProcess(['--locale', 'zh-CN', '--allow-private-network'])
    const url = origin.url('/missing.gguf')
    await serving.client.download({ url })
    await serving.process.waitForOutput(/\] 错误：找不到该文件或资源（HTTP 404）。 \(NOT_FOUND\)$/m)
    const errorIn = async (language: string) => {
      const at = `${serving.url}/api/models/download/status?url=${encodeURIComponent(url)}`
      const body: unknown = await (await fetch(at, { headers: { 'accept-language': language } })).json()
      return body
    }
    expect(await errorIn('fr')).toMatchObject({
      download: { error: '找不到该文件或资源（HTTP 404）。', code: 'NOT_FOUND' },
    })
    expect(await errorIn('en')).toMatchObject({ download: { error: expect.stringMatching(/^[A-Z].*\.$/) } })
    const { stderr } = await serving.process.kill('SIGTERM')
    expect(stderr).toMatch(/\[server\] 正在停止$/m)
    expect(englishLeftIn(stderr)).toEqual([])
  })
})
