import { beforeAll, expect, it } from 'vitest'
import { addChinese } from '../../../src/download/chinese.js'
import { SafeEmitter } from '../../../src/download/events.js'
import { DownloadError } from '../../../src/errors.js'
import { logLimits, RecentLogs } from '../../../src/http/download-logs.js'
import { ManualClock } from '../../support/clock.js'

const english = { locale: 'en-US', command: null } as never
const chinese = { locale: 'zh-CN', command: null } as never

beforeAll(addChinese)

function bench() {
  const manager = new SafeEmitter()
  const logs = new RecentLogs(manager as never, new ManualClock())
  const of = (url: string) => ({ url }) as never
  const messages = (url: string, voice = english) => logs.of(url, voice).map(({ message }) => message)
  return { manager, logs, of, messages }
}

it('tells from the start on what has happened, to each reader in the own language, without secrets', () => {
  const { manager, logs, of, messages } = bench()
  const download = of('a')
  manager.emit('queued', { download })
  manager.emit('started', { download })
  manager.emit('log', { download, level: 'warn', message: 'Seen at https://me:pw@host/x?sig=secret.' })
  manager.emit('log', { level: 'warn', message: 'Only for the host.' })
  const error = new DownloadError('CONNECT_FAILED', 'The connection failed.', { retryable: true })
  manager.emit('retrying', { download, error, attempt: 1, delayMs: 1_500 })
  manager.emit('failed', { download, error: new DownloadError('INTERNAL', 'at /home/me/x.js') })
  expect(messages('a')).toEqual([
    'Waiting for its turn.',
    'Started.',
    'Seen at https://host/x?….',
    expect.stringContaining('Retrying in 1.5 s.'),
    expect.not.stringContaining('/home/me'),
  ])
  expect(messages('a', chinese)).toEqual(expect.arrayContaining(['排队等待。', '已开始。']))
  expect(logs.of('a', english)[0]).toMatchObject({ url: 'a', level: 'info', at: expect.stringMatching(/Z$/) })
  expect(messages('b')).toEqual([])
  manager.emit('removed', { download })
  expect(messages('a')).toEqual([])
})

it('keeps the last messages of each download, and of the downloads that were heard of last', () => {
  const { manager, logs, of, messages } = bench()
  const say = (url: string, message: string) => {
    manager.emit('log', { download: of(url), level: 'info', message })
  }
  for (let count = 0; count < logLimits.ofOne + 5; count++) say('a', `${count}`)
  expect(messages('a')).toHaveLength(logLimits.ofOne)
  expect(messages('a')[0]).toBe('5')
  const others = logLimits.ofAll / logLimits.ofOne
  for (let other = 0; other < others - 1; other++)
    for (let count = 0; count < logLimits.ofOne; count++) say(`${other}`, 'x')
  expect(messages('a')).toHaveLength(logLimits.ofOne)
  say('last', 'x')
  expect([messages('a').length, messages('0').length, messages('last').length]).toEqual([
    0,
    logLimits.ofOne,
    1,
  ])
  logs.close()
  say('last', 'y')
  expect(messages('last')).toEqual([])
})
