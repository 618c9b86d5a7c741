import { describe, expect, it } from 'vitest'
import fc from '../../support/properties.js'
import { addChinese } from '../../../src/download/chinese.js'
import { englishHints, englishSentences } from '../../../src/download/error-sentences.js'
import { chineseErrors } from '../../../src/download/error-chinese.js'
import {
  errorText,
  issueOfKind,
  issueText,
  sentenceError,
  sentenceIssue,
} from '../../../src/download/error-text.js'
import { parseOptions } from '../../../src/download/options.js'
import { downloadOptionsSchema } from '../../../src/download/options.js'
import { deserializeError, DownloadError, downloadErrorCodes } from '../../../src/errors.js'
import { identify } from '../../../src/sources/identify.js'
import { sourceRegistry } from '../../../src/sources/resolver.js'
import { englishLeftIn } from '../../support/chinese.js'
import { failure } from '../../support/failure.js'

const chinese = { locale: 'zh-CN', command: false } as const
const commandChinese = { locale: 'zh-CN', command: true } as const
const english = { locale: 'en-US', command: false } as const
const commandEnglish = { locale: 'en-US', command: true } as const

const code = fc.constantFrom(...downloadErrorCodes)
const status = fc.option(fc.integer({ min: 400, max: 599 }), { nil: undefined })

addChinese()

describe('the text of an error', () => {
  it('is its message in English, and a Chinese sentence for every code', () => {
    fc.assert(
      fc.property(
        code,
        status,
        fc.array(fc.constantFrom('url', 'urls.0', 'models.2.sha256', '')),
        (of, given, paths) => {
          const message = 'The server did something that nobody expected.'
          const error = new DownloadError(of, message, {
            ...(given === undefined ? {} : { status: given }),
            issues: paths.map((path) => ({ path, message: 'is not what it should be' })),
          })
          expect(errorText(error, english)).toBe(message)
          for (const voice of [chinese, commandChinese]) {
            const text = errorText(error, voice)
            expect(text).toMatch(/^\p{Script=Han}|^TLS /u)
            expect(text).toMatch(/。$/)
            expect(englishLeftIn(text)).toEqual([])
            for (const path of paths)
              if (of === 'INVALID_OPTIONS' && given !== 413) expect(text).toContain(path)
          }
        },
      ),
    )
  })

  it('says what was most likely meant', () => {
    const error = failure(() => identify('owner/repo', sourceRegistry()))
    expect(errorText(error, english)).toBe('The URL is not valid. Did you mean hf:owner/repo?')
    expect(errorText(error, chinese)).toBe('网址或模型名称无效。您是否想用 hf:owner/repo？')
  })

  it('is the same after the error was stored', () => {
    const error = new DownloadError('HTTP_ERROR', 'The server answered with HTTP 503.', { status: 503 })
    for (const each of [
      error,
      deserializeError(error.toJSON()),
      { code: error.code, message: error.message },
    ])
      expect(errorText(each, chinese)).toBe('对方服务器返回错误（HTTP 503）。')
  })

  it.each([
    [
      'CONNECT_FAILED',
      'The server could not be reached (ECONNREFUSED).',
      '无法连接到服务器（ECONNREFUSED）。',
    ],
    ['NAME_RESOLUTION', 'The host name could not be resolved.', '域名解析失败，请检查网址和网络连接。'],
    [
      'NAME_RESOLUTION',
      'The host name models.example could not be resolved.',
      '域名 models.example 解析失败，请检查网址和网络连接。',
    ],
    ['TLS_ERROR', 'The certificate of the server is not accepted (CERT_HAS_EXPIRED).', /CERT_HAS_EXPIRED/],
    [
      'NO_SPACE',
      'Not enough disk space: 1.5 GB are needed, 640 MB are free.',
      '磁盘空间不足：需要 1.5 GB，可用 640 MB。',
    ],
    ['NO_SPACE', 'The disk is full while writing a.gguf (ENOSPC).', '磁盘空间不足（ENOSPC）。'],
    ['NOT_FOUND', 'Not found on host.example (HTTP 404).', /HTTP 404/],
  ] as const)('keeps what can be searched for: %s, %s', (of, message, text) => {
    expect(errorText(new DownloadError(of, message), chinese)).toEqual(
      typeof text === 'string' ? text : expect.stringMatching(text),
    )
  })

  it('keeps what a host application wrote in Chinese, and nothing English about Chinese names', () => {
    const own = new DownloadError('ACCESS_DENIED', '请先登录。', { status: 401 })
    expect(errorText(own, chinese)).toBe('请先登录。')
    const named = new DownloadError('NOT_FOUND', '模型.gguf was not found here.')
    expect(errorText(named, chinese)).toBe('找不到该文件或资源。')
  })
})

describe('sentences', () => {
  const keys = Object.keys(englishSentences) as (keyof typeof englishSentences)[] // as the object has no other keys
  const name = fc.constantFrom(
    '模型',
    'https://host.example/a.gguf?q=1&b="2"',
    "it's <b>",
    '$&',
    '$1',
    '%s {0}',
    'a\\b',
  )

  it('say the same in each language, with every name as it is', () => {
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.tuple(name, name), (key, names) => {
        const used = names.slice(0, englishSentences[key].length) as [string, string] // two are the most
        const error = sentenceError('INVALID_OPTIONS', key, used)
        const text = errorText(error, chinese)
        for (const each of used) {
          expect(error.message).toContain(each)
          expect(text).toContain(each)
        }
        expect(errorText(error, english)).toBe(error.message)
        const bare = used.reduce((rest, each) => rest.replaceAll(each, ''), text)
        expect(englishLeftIn(bare)).toEqual([])
      }),
    )
  })

  it('may be in the language of the host, and are still said in the language of the caller', () => {
    const issues = [sentenceIssue('models', 'unknownModel', ['x'], 'zh-CN')]
    const error = sentenceError('INVALID_OPTIONS', 'unknownModels', ['x', 'y'], { issues }, 'zh-CN')
    expect(error.message).toBe('models: 模型清单中没有模型 "x"；模型清单中没有模型 "y"')
    expect(errorText(error, english)).toBe(
      'models: the catalog has no model "x"; the catalog has no model "y"',
    )
    expect(issues.map((issue) => issueText(issue, english))).toEqual(['the catalog has no model "x"'])
  })

  it('name the options of the command where the command speaks', () => {
    for (const [voice, hints] of [
      [commandEnglish, englishHints],
      [commandChinese, chineseErrors.hints],
    ] as const)
      for (const key of keys) {
        const text = errorText(sentenceError('ACCESS_DENIED', key, ['a', 'b'] as [string, string]), voice)
        for (const { code: forCode } of Object.values(hints)) expect(text).not.toContain(forCode)
      }
    const blocked = new DownloadError('SSRF_BLOCKED', `No; ${englishHints.allowedHosts.code}.`)
    expect(errorText(blocked, english)).toContain('`allowedHosts`')
    expect(errorText(blocked, commandEnglish)).toBe(
      'No; start the server with --allow-host HOST[:PORT] to allow that.',
    )
    expect(errorText(blocked, chinese)).toContain('`allowedHosts`')
    expect(errorText(blocked, commandChinese)).toContain('--allow-host 主机[:端口]')
  })
})

describe('issues', () => {
  it('of options are said by their kind', () => {
    let error: unknown
    try {
      parseOptions(downloadOptionsSchema, { url: 1, size: -1, sha256: 'x', nonsense: 1 }, 'download options')
    } catch (thrown) {
      error = thrown
    }
    if (!(error instanceof DownloadError)) throw new Error('It was accepted.')
    const texts = error.issues.map((issue) => [issue.path, issueText(issue, chinese)])
    expect(Object.fromEntries(texts)).toMatchObject({ url: '类型不正确，或缺少该参数', size: '低于下限' })
    expect(englishLeftIn(errorText(error, chinese))).toEqual([])
    for (const { path } of error.issues) expect(errorText(error, chinese)).toContain(path)
  })

  it('of unknown kinds are not left in English', () => {
    const issue = { path: 'a', message: 'is bad' }
    expect(issueText(issue, english)).toBe('is bad')
    expect(issueText(issue, chinese)).toBe('取值无效')
    expect(issueText(issueOfKind({ ...issue }, 'kind of tomorrow'), chinese)).toBe('取值无效')
  })
})
