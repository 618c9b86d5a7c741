import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  formatLocaleBytes,
  formatCount,
  formatLocaleDuration,
  formatMoment,
  formatPercent,
  formatSpeed,
} from '../../../src/elements/format.js'

const locale = fc.constantFrom('en-US', 'zh-CN')

describe('sizes and speeds', () => {
  it.each([
    [0, '0 bytes', '0字节'],
    [1, '1 byte', '1字节'],
    [999, '999 bytes', '999字节'],
    [999.7, '1.0 kB', '1.0 kB'],
    [-1, '0 bytes', '0字节'],
    [NaN, '0 bytes', '0字节'],
    [1000, '1.0 kB', '1.0 kB'],
    [99_949, '99.9 kB', '99.9 kB'],
    [99_950, '100 kB', '100 kB'],
    [999_499, '999 kB', '999 kB'],
    [999_500, '1.0 MB', '1.0 MB'],
    [4_683_073_184, '4.7 GB', '4.7 GB'],
    [2e15, '2.0 PB', '2.0 PB'],
    [5e18, '5,000 PB', '5,000 PB'],
  ])('%i', (bytes, english, chinese) => {
    expect(formatLocaleBytes(bytes, 'en-US')).toBe(english)
    expect(formatLocaleBytes(bytes, 'zh-CN')).toBe(chinese)
  })

  it('of speeds, too, no unit has a thousand', () => {
    expect(formatSpeed(999.4, 'en-US')).toBe('999 byte/s')
    expect(formatSpeed(999.7, 'en-US')).toBe('1.0 kB/s')
    expect(formatSpeed(999_500, 'en-US')).toBe('1.0 MB/s')
  })

  it('are short, whatever they are', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: Number.MAX_SAFE_INTEGER }), locale, (bytes, language) => {
        expect(formatLocaleBytes(bytes, language)).toMatch(/^(?:\d{1,2}\.\d|\d{3}|[1-9],\d{3}) [kMGTP]B$/)
        expect(formatSpeed(bytes, language)).toMatch(/^[\d.,]+ [kMGTP]B\/(?:s|秒)$/)
      }),
    )
  })
})

describe('per cent', () => {
  it('is 100 at the end only', () => {
    expect(formatPercent(100, 'en-US')).toBe('100%')
    fc.assert(
      fc.property(fc.double({ min: 0, max: 99.999, noNaN: true }), locale, (percent, language) => {
        const text = formatPercent(percent, language)
        expect(text).toMatch(/^\d{1,2}\.\d%$/)
        expect(Number.parseFloat(text)).toBeLessThanOrEqual(percent + 1e-6)
      }),
    )
  })

  it('shows what the server says, as it says it', () => {
    for (let tenths = 0; tenths < 1000; tenths++)
      expect(formatPercent(tenths / 10, 'en-US')).toBe(`${(tenths / 10).toFixed(1)}%`)
  })
})

describe('times', () => {
  it.each([
    [0, '0 sec', '0秒'],
    [59.4, '59 sec', '59秒'],
    [60, '1 min', '1分钟'],
    [125, '2 min 5 sec', '2分钟 5秒'],
    [3600, '1 hr', '1小时'],
    [3661, '1 hr 1 min', '1小时 1分钟'],
    [90_000, '1 day 1 hr', '1天 1小时'],
    [-5, '0 sec', '0秒'],
    [NaN, '0 sec', '0秒'],
  ])('%d seconds', (seconds, english, chinese) => {
    expect(formatLocaleDuration(seconds, 'en-US')).toBe(english)
    expect(formatLocaleDuration(seconds, 'zh-CN')).toBe(chinese)
  })

  it('of day are short today, and have a date on other days', () => {
    const now = new Date(2026, 1, 15, 12)
    const at = (...parts: [number, number, number, number, number]) => new Date(...parts).toISOString()
    expect(formatMoment(at(2026, 1, 15, 9, 5), now, 'en-US')).toMatch(/^9:05\sAM$/)
    expect(formatMoment(at(2026, 1, 15, 9, 5), now, 'zh-CN')).toBe('9:05')
    expect(formatMoment(at(2026, 1, 14, 9, 5), now, 'en-US')).toMatch(/^Feb 14, 9:05\sAM$/)
    expect(formatMoment(at(2026, 1, 14, 9, 5), now, 'zh-CN')).toBe('2月14日 9:05')
    expect(formatMoment('nonsense', now, 'en-US')).toBe('')
  })

  it('counts have separators', () => {
    expect(formatCount(12_345, 'en-US')).toBe('12,345')
  })
})
