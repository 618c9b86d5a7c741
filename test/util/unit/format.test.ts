import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { formatLocaleBytes, formatLocaleDuration } from '../../../src/elements/format.js'
import { formatBytes, formatDuration } from '../../../src/util/format.js'

const steps = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** What a text says, in bytes. */
function bytesIn(text: string): number {
  const [number = '', unit = ''] = text.split(' ')
  return Number(number) * 1000 ** steps.indexOf(unit)
}

/** Sizes and speeds of every order, and those next to where a text changes. */
const anyBytes = fc.oneof(
  fc.nat({ max: 2_000_000 }),
  fc.maxSafeNat(),
  fc.double({ min: 0, max: 1e18, noNaN: true }),
  fc
    .tuple(fc.nat({ max: 5 }), fc.constantFrom(0.95, 1.45, 99.94, 99.95, 999, 999.4, 999.5, 999.95, 1000))
    .map(([power, value]) => value * 1000 ** power),
)

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [0.4, '0 B'],
    [1, '1 B'],
    [999, '999 B'],
    [999.4, '999 B'],
    [999.5, '1.0 kB'],
    [999.95, '1.0 kB'],
    [1000, '1.0 kB'],
    [1023, '1.0 kB'],
    [1024, '1.0 kB'],
    [1049, '1.0 kB'],
    [1050, '1.1 kB'],
    [1450, '1.5 kB'],
    [99_949, '99.9 kB'],
    [99_950, '100 kB'],
    [300_000, '300 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [999_950, '1.0 MB'],
    [999_999, '1.0 MB'],
    [1024 ** 2, '1.0 MB'],
    [999_500_000, '1.0 GB'],
    [4_683_073_184, '4.7 GB'],
    [999_500_000_000, '1.0 TB'],
    [999_499_999_999_999, '999 TB'],
    [999_500_000_000_000, '1.0 PB'],
    [Number.MAX_SAFE_INTEGER, '9.0 PB'],
    [9.995e17, '1000 PB'],
    [5e18, '5000 PB'],
    [-0, '0 B'],
    [-1, '0 B'],
    [-5e9, '0 B'],
    [NaN, '0 B'],
  ])('%d → %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it('has three digits at the most, and 1000 of no unit but the last', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(formatBytes(bytes)).toMatch(/^(?:\d{1,3} B|(?:[1-9]\d?\.\d|[1-9]\d\d) [kMGTP]B|\d{4,} PB)$/)
      }),
    )
  })

  it('never says less of more', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (one, other) => {
        const [less, more] = one < other ? [one, other] : [other, one]
        expect(bytesIn(formatBytes(less))).toBeLessThanOrEqual(bytesIn(formatBytes(more)))
      }),
    )
  })

  it('is right but for the last digit', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(Math.abs(bytesIn(formatBytes(bytes)) - bytes)).toBeLessThanOrEqual(
          Math.max(0.5, bytes * 0.0501),
        )
      }),
    )
  })
})

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [8.4, '8s'],
    [59.4, '59s'],
    [59.5, '1m00s'],
    [59.7, '1m00s'],
    [65, '1m05s'],
    [3599.4, '59m59s'],
    [3599.5, '1h00m'],
    [7380, '2h03m'],
    [86_399.5, '1d00h'],
    [370_800, '4d07h'],
    [-1, '0s'],
    [NaN, '0s'],
  ])('%d → %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text)
  })
})

describe('the command and the dashboard', () => {
  const inEnglish = (bytes: number) =>
    formatLocaleBytes(bytes, 'en-US')
      .replaceAll(',', '')
      .replace(/ bytes?$/, ' B')

  it.each([-1, NaN, 0, 1, 999.5, 1049, 1450, 99_949, 99_950, 999_499, 999_500, 1024 ** 3, 5e18])(
    'say the same of %d bytes',
    (bytes) => {
      expect(inEnglish(bytes)).toBe(formatBytes(bytes))
    },
  )

  it('say the same of any size', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(inEnglish(bytes)).toBe(formatBytes(bytes))
      }),
    )
  })

  it('take the same for no time at all', () => {
    expect(['0s', '0 sec']).toEqual([formatDuration(NaN), formatLocaleDuration(NaN, 'en-US')])
  })
})
