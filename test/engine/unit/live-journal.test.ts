import { describe, expect, it } from 'vitest'
import { batchSize } from '../../../src/engine/part/batch-writer.js'
import { encodeRecord, isRecordDue, parseRecords, slotBytes } from '../../../src/engine/part/live-journal.js'
import fc from '../../support/properties.js'

const KiB = 1024

describe('what a kill can lose', () => {
  it('is half a megabyte that waits to be written, at any number of connections', () => {
    for (let connections = 1; connections <= 32; connections += 1)
      expect(connections * batchSize(connections)).toBeLessThanOrEqual(512 * KiB)
    expect([1, 2, 3, 4, 8, 16, 64].map((connections) => batchSize(connections) / KiB)).toEqual([
      512, 256, 128, 128, 64, 32, 16,
    ])
  })

  it('and what was written since the last record', () => {
    expect(isRecordDue(512 * KiB - 1, null)).toBe(false)
    expect(isRecordDue(512 * KiB, null)).toBe(true)
    expect(isRecordDue(256 * KiB - 1, 600)).toBe(false)
    expect(isRecordDue(256 * KiB, 600)).toBe(true)
    // Records that are long are written less often.
    expect(isRecordDue(256 * KiB, 100 * KiB)).toBe(false)
    expect(isRecordDue(6400 * KiB, 100 * KiB)).toBe(true)
  })
})

/** A file with a record in each slot, or in the first one. */
function fileOf(...records: string[]): Buffer {
  const file = Buffer.alloc((records.length - 1) * slotBytes + Buffer.byteLength(records.at(-1) ?? ''))
  for (const [slot, record] of records.entries()) file.write(record, slot * slotBytes)
  return file
}

describe('records beside a journal', () => {
  it('are read from both slots', () => {
    expect(parseRecords(fileOf(encodeRecord(0, '{"a":1}')))).toEqual(['{"a":1}'])
    expect(parseRecords(fileOf(encodeRecord(0, '{"a":1}'), encodeRecord(1, 'é')))).toEqual(['{"a":1}', 'é'])
  })

  it('may be as short as one character, and their numbers of any length', () => {
    for (const number of [0, 7, 10, 123_456])
      for (const text of ['x', '{}', ' ', `${number}`])
        expect(parseRecords(fileOf(encodeRecord(number, text)))).toEqual([text])
    expect(parseRecords(Buffer.from('12 12\n'))).toEqual([])
    expect(parseRecords(Buffer.from('12  12\n'))).toEqual([])
    expect(parseRecords(Buffer.from('12 3 2\n'))).toEqual([])
  })

  it.each(['', '\n', ' \n', '7\n', '7 \n', '7  7', '7 x 8\n'])('are not seen in %j', (text) => {
    expect(parseRecords(Buffer.from(text))).toEqual([])
  })

  it('are not seen in a long file of something else', () => {
    expect(parseRecords(Buffer.alloc(200_000, 'x'))).toEqual([])
  })

  it('survive in the other slot when a kill tears one', () => {
    const text = fc.string({ minLength: 1, maxLength: 60 }).filter((any) => !any.includes('\n'))
    const property = fc.property(
      ...[text, text, text],
      ...[fc.nat(1_000), fc.constantFrom(0, 1), fc.nat(200)],
      (older, newer, other, number, slot, cut) => {
        const records = [encodeRecord(number, older), encodeRecord(number + 1, other)]
        if (slot === 1) records.reverse()
        const file = Buffer.concat([fileOf(...records), Buffer.alloc(1_000)])
        const next = Buffer.from(encodeRecord(number + 2, newer))
        const written = Math.min(cut, next.length)
        next.copy(file, slot * slotBytes, 0, written)
        const torn = parseRecords(file.subarray(slot * slotBytes, (slot + 1) * slotBytes))
        const whole = parseRecords(file.subarray((1 - slot) * slotBytes, (2 - slot) * slotBytes))
        expect(whole).toEqual([other])
        expect(parseRecords(file).sort()).toEqual([...whole, ...torn].sort())
        for (const found of torn) expect(written === next.length ? [newer] : [older, newer]).toContain(found)
      },
    )
    fc.assert(property)
  })
})
