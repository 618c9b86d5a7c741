import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  barLine,
  displayWidth,
  finishedLine,
  fit,
  jsonLine,
  type LineState,
  progressLine,
  plain,
} from '../../src/cli/format.js'
import { downloadStates } from '../../src/download/states.js'

const MB = 1e6

const running: LineState = {
  name: 'llama-3.1-8b-instruct.Q4_K_M.gguf',
  phase: 'downloading',
  downloaded: 12.5 * MB,
  total: 40 * MB,
  percent: 31.2,
  bytesPerSecond: 3.1 * MB,
  etaSeconds: 9,
  connections: 4,
  retry: null,
}

describe('a text of a server', () => {
  const hostile = 'a\u001b[31mb\u009b31mc\u0085d\u202ee\u2066f\u061cg\u200bh\ufeffi\u2028j\u{e0041}k'

  it('reaches a terminal as one line without controls and without characters that hide or reorder', () => {
    expect(plain(hostile)).not.toMatch(/[\p{Cc}\u061c\u200b\u2028\u202e\u2066\ufeff\u{e0041}]/u)
    expect(plain('👩‍💻 模型 é')).toBe('👩‍💻 模型 é')
  })

  it('reaches --json escaped, and means the same', () => {
    const line = jsonLine({ message: hostile })
    expect(line.slice(0, -1)).toMatch(/^[^\p{Cc}\u061c\u200b\u2028\u202e\u2066\ufeff\u{e0041}]*$/u)
    expect(line.endsWith('\n')).toBe(true)
    expect(JSON.parse(line)).toEqual({ message: hostile })
  })
})

describe('fit', () => {
  it('counts wide characters as two cells and marks as none', () => {
    expect(displayWidth('通义千问.gguf')).toBe(13)
    expect(displayWidth('e\u0301')).toBe(1)
    expect(displayWidth('🚀')).toBe(2)
  })

  it('fills, or cuts in the middle', () => {
    expect(fit('abc', 5)).toBe('abc  ')
    expect(fit('abcdefghij', 7)).toBe('abc…hij')
    expect(fit('通义千问.gguf', 8)).toBe('通义…guf')
    expect(fit('通义千问.gguf', 7)).toBe('通…guf ')
    expect(fit('abc', 0)).toBe('')
  })

  it('always takes exactly the cells asked for', () => {
    const characters = fc.constantFrom('a', '通', 'ア', '한', '🚀', '.', '\u0301', 'é')
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 60 }), fc.nat({ max: 50 }), (text, width) => {
        expect(displayWidth(fit(text, width))).toBe(width)
      }),
    )
  })
})

describe('plain', () => {
  it('lets nothing through that moves a cursor or hides text', () => {
    expect(plain('\u001b[31mred\u001b[0m\r\nnext\u0007\u202egnp.exe')).toBe('red  nextgnp.exe')
    expect(plain('two  spaces stay')).toBe('two  spaces stay')
  })
})

const placeOfPercent = (line: string) => displayWidth(line.slice(0, line.indexOf('%')))

describe('barLine', () => {
  it('shows bytes, speed, ETA, connections and a bar where there is room', () => {
    const line = barLine(running, 120)
    for (const part of ['llama-3.1', '31.2%', '12.5 MB/40.0 MB', '3.1 MB/s', 'ETA 9s', '×4', '█', '░']) {
      expect(line).toContain(part)
    }
  })

  it('keeps percent and speed on a narrow terminal', () => {
    expect(barLine(running, 40)).toContain('31.2%')
    expect(barLine(running, 40)).toContain('3.1 MB/s')
  })

  it('says what it waits for', () => {
    const waiting = { ...running, connections: 0, retry: { code: 'CONNECT_FAILED', seconds: 12 } }
    expect(barLine(waiting, 100)).toContain('retry 12s CONNECT_FAILED')
    expect(barLine({ ...running, phase: 'verifying' }, 60)).toContain('verifying')
    expect(barLine({ ...running, total: null, etaSeconds: null }, 120)).toContain('--%')
  })

  it('gives every field its place, whatever the download is doing', () => {
    const others: LineState[] = [
      { ...running, name: '通义千问.gguf', phase: 'verifying' },
      { ...running, connections: 0, retry: { code: 'CHECKSUM_MISMATCH', seconds: 12 } },
      { ...running, name: 'a', downloaded: 0, total: null, percent: 0, bytesPerSecond: 0, etaSeconds: null },
    ]
    for (const columns of [60, 80, 100, 160]) {
      const place = placeOfPercent(barLine(running, columns))
      for (const other of others) expect(placeOfPercent(barLine(other, columns))).toBe(place)
    }
  })

  it('never reaches the last column, whatever it shows', () => {
    const state = fc.record({
      name: fc.string({ unit: fc.constantFrom('a', '.', '-', '通', '義', 'é'), maxLength: 200 }),
      phase: fc.constantFrom(...downloadStates),
      downloaded: fc.nat({ max: 2 ** 31 }).map((value) => value * 1024),
      total: fc.option(fc.nat({ max: 2 ** 31 }).map((value) => value * 1024)),
      percent: fc.double({ min: 0, max: 100, noNaN: true }),
      bytesPerSecond: fc.nat({ max: 2 ** 31 }),
      etaSeconds: fc.option(fc.nat({ max: 1e7 })),
      connections: fc.nat({ max: 64 }),
      retry: fc.option(
        fc.record({ code: fc.constantFrom('STALLED', 'CONNECT_FAILED'), seconds: fc.nat({ max: 600 }) }),
      ),
    })
    fc.assert(
      fc.property(state, fc.integer({ min: 20, max: 300 }), (line, columns) => {
        expect(displayWidth(barLine(line, columns))).toBeLessThan(columns)
      }),
    )
  })
})

describe('lines for logs', () => {
  it('tells a running download', () => {
    expect(progressLine({ ...running, name: 'a.gguf' })).toBe(
      'a.gguf: 12.5 MB/40.0 MB (31.2%), 3.1 MB/s, ETA 9s, 4 connections',
    )
    expect(progressLine({ ...running, name: 'a.gguf', total: null, etaSeconds: null, connections: 1 })).toBe(
      'a.gguf: 12.5 MB, 3.1 MB/s, 1 connection',
    )
    expect(progressLine({ ...running, name: 'a.gguf', phase: 'verifying' })).toBe(
      'a.gguf: 12.5 MB/40.0 MB (31.2%), verifying',
    )
  })

  it('tells a finished one', () => {
    const done = {
      path: '/models/a.gguf',
      size: 40 * MB,
      verified: true,
      existed: false,
      fetchedBytes: 30 * MB,
      seconds: 10,
    }
    expect(finishedLine(done)).toBe(
      '/models/a.gguf: 40.0 MB in 10s (3.0 MB/s), 10.0 MB kept, sha256 verified',
    )
    expect(finishedLine({ ...done, fetchedBytes: done.size, verified: false })).toBe(
      '/models/a.gguf: 40.0 MB in 10s (4.0 MB/s)',
    )
    expect(finishedLine({ ...done, existed: true, verified: false })).toBe(
      '/models/a.gguf: 40.0 MB, already exists',
    )
  })
})
