import { describe, expect, it } from 'vitest'
import { addChinese } from '../../../src/download/chinese.js'
import { logText } from '../../../src/download/log-text.js'
import { englishLeftIn } from '../../support/chinese.js'

addChinese()

describe('a message of the log', () => {
  it.each([
    [
      'The server has no such file (HTTP 404). Trying a request without a range.',
      '请求被拒绝（HTTP 404），改为不带 Range 重试。',
    ],
    ['Resuming with 1.5 GB from an earlier run.', '继续上次的下载，已有 1.5 GB。'],
    ['a/模型.bin: Resuming with 1.5 GB from an earlier run.', 'a/模型.bin：继续上次的下载，已有 1.5 GB。'],
    ['No longer fetching from host:8080: The server was silent.', '不再从 host:8080 下载。'],
    [
      'https://a.example failed: The connection was lost (ECONNRESET).',
      'https://a.example 下载失败（ECONNRESET）。',
    ],
    [
      'The source has changed: 2 files are downloaded again, 1 no longer exist there.',
      '源已发生变化：2 个文件重新下载，1 个文件已不存在。',
    ],
    [
      'Waiting for disk space: Not enough disk space: 5 GB are needed, 1.5 GB of the disk budget of 9 GB are left (maxDiskBytes).',
      '等待磁盘空间（需要 5 GB，可用 1.5 GB）。',
    ],
    [
      'Waiting for disk space: Downloads that were requested earlier wait for disk space and come first.',
      '等待磁盘空间。',
    ],
    ['Evicted to make room for a.bin: 1.5 GB were deleted.', '为 a.bin 腾出空间，已删除 1.5 GB。'],
    ['Starting over: The file has changed.', '从头重新下载。'],
    [
      'The server encodes the file (gzip) although it was asked not to. It is decoded as one stream.',
      '服务器对文件进行了编码（gzip），只能作为单个数据流解码，无法断点续传。',
    ],
  ])('%j is said in Chinese', (message, text) => {
    expect(logText(message, { locale: 'zh-CN' })).toBe(text)
    expect(englishLeftIn(text)).toEqual([])
    expect(logText(message, { locale: 'en-US' })).toBe(message)
  })

  it('stays as it is where its form is unknown', () => {
    for (const message of ['', 'x', 'something: else', '请先登录。', 'a: b: c'])
      expect(logText(message, { locale: 'zh-CN' })).toBe(message)
  })
})
