import { describe, expect, it } from 'vitest'
import { limitSettings, logSettings } from '../../src/cli/serve/limits.js'
import { logLevels, type LogSettings, ServeLog } from '../../src/cli/serve/log.js'
import { DownloadError } from '../../src/errors.js'
import { arrives, KiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'

function logged(settings: Partial<LogSettings>) {
  const lines: string[] = []
  const log = new ServeLog((text) => void lines.push(text), { format: 'text', level: 'info', ...settings })
  return { log, lines, objects: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

describe('the log of serve', () => {
  it('has one object per line with stable names, without secrets and control characters', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    const { log, lines, objects } = logged({ format: 'json', level: 'debug' })
    log.follow(manager)
    const content = randomContent(64 * KiB)
    origin.serve('/a.bin', { content })
    const download = await manager.download({ url: `${origin.url('/a.bin')}?token=hunter2` })
    await arrives(download)
    manager.emit('log', { level: 'warn', message: 'two\nlines \u001b[31mred https://h/?key=hunter2' })
    manager.emit('failed', { download, error: new DownloadError('NOT_FOUND', 'No such file.') })
    manager.emit('evicted', { download, bytes: 7, neededFor: download })
    const about = {
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      id: download.record.id,
      url: expect.stringContaining('/a.bin') as string,
      filename: 'a.bin',
      mode: null,
    }
    const message = { msg: expect.any(String) as string }
    expect(objects()).toEqual([
      { ...about, ...message, level: 'info', event: 'started' },
      { ...about, ...message, level: 'info', event: 'completed', bytes: 64 * KiB },
      {
        time: about.time,
        level: 'warn',
        event: 'log',
        msg: expect.stringContaining('two\nlines \u001b[31mred https://h/?') as string,
      },
      { ...about, level: 'error', event: 'failed', error: 'NOT_FOUND', msg: 'No such file. (NOT_FOUND)' },
      { ...about, ...message, level: 'info', event: 'evicted', bytes: 7 },
    ])
    expect(lines.join('')).not.toMatch(/hunter2/)
    for (const line of lines) expect(line).toMatch(/^[^\p{Cc}]+\n$/u)
  })

  it.each(logLevels)('has the lines of the level %s and the more severe ones', (level) => {
    const { log, lines } = logged({ level })
    const all = ['debug', 'info', 'warn', 'error'] as const
    for (const each of all) log.server(each, each)
    expect(lines.map((line) => /\[server\] (?:\w+: )?(\w+)\n$/.exec(line)?.[1])).toEqual(
      all.slice(logLevels.indexOf(level)),
    )
  })

  it('is that of people who start it, unless told otherwise', () => {
    expect(logSettings({})).toEqual({ format: 'text', level: 'info' })
    expect(logSettings({ quiet: true })).toEqual({ format: 'text', level: 'error' })
    expect(logSettings({ quiet: true, logLevel: 'debug', logFormat: 'json' })).toEqual({
      format: 'json',
      level: 'debug',
    })
  })
})

it('hands the limits of the command line to the manager', () => {
  expect(limitSettings({})).toEqual({})
  expect(
    limitSettings({
      concurrency: 2,
      connections: 4,
      limitRate: 5,
      maxDisk: 6,
      minFree: 7,
      whenFull: 'evict',
    }),
  ).toEqual({
    concurrency: 2,
    connections: 4,
    maxBytesPerSecond: 5,
    maxDiskBytes: 6,
    minFreeBytes: 7,
    whenFull: 'evict',
  })
})
