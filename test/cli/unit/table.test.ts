import { describe, expect, it } from 'vitest'
import { percentText, formatTable, formatTime } from '../../../src/cli/files/table.js'
import { displayWidth } from '../../../src/cli/format.js'
import fc from '../../support/properties.js'

const columns = [{ title: 'NAME', shrinks: true }, { title: 'SIZE', align: 'right' as const }, { title: 'X' }]

describe('formatTable', () => {
  it('aligns its columns', () => {
    const rows = [
      ['模型.gguf', '1 B', 'a'],
      ['b', '10.5 GB', ''],
    ]
    expect(formatTable(columns, rows, null).split('\n')).toEqual([
      'NAME          SIZE  X',
      '模型.gguf      1 B  a',
      'b          10.5 GB',
      '',
    ])
  })

  it('shortens what may give way in a narrow terminal, in the middle', () => {
    const name = `${'a'.repeat(40)}.gguf`
    const [, line] = formatTable(columns, [[name, '1 B', 'x']], 40).split('\n')
    expect(line).toMatch(/^a+…a+\.gguf {3}1 B {2}x$/)
    expect(displayWidth(line ?? '')).toBe(40)
    expect(formatTable(columns, [[name, '1 B', 'x']], null)).toContain(name)
  })

  it('has lines of one width at most, unless nothing is left to give way', () => {
    const text = fc.string({ maxLength: 60, unit: fc.constantFrom('a', '模', '-', ' ') })
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, text), { maxLength: 5 }),
        fc.integer({ min: 20, max: 80 }),
        (rows, width) => {
          const both = [
            { title: 'A', shrinks: true },
            { title: 'B', shrinks: true },
          ]
          const lines = formatTable(both, rows, width).split('\n')
          expect(lines).toHaveLength(rows.length + 2)
          for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(Math.max(width, 26))
        },
      ),
    )
  })
})

describe('texts in cells', () => {
  it('are times to the minute, and percentages', () => {
    expect(formatTime(new Date(2026, 1, 5, 2, 3, 59))).toBe('2026-02-05 02:03')
    expect([percentText(1, 8), percentText(1, null), percentText(0, 0)]).toEqual(['12.5 %', null, null])
  })
})
