import { describe, expect, it } from 'vitest'
import { HostGate } from '../../../src/engine/fetch/retry-budget.js'

describe('HostGate', () => {
  it('is open for whom nobody closed it', () => {
    expect(new HostGate().wait('https://host', 0)).toBe(0)
  })

  it('closes for one origin, until the time has come', () => {
    const gate = new HostGate()
    gate.close('https://host', 1_000)
    expect(gate.wait('https://host', 0)).toBe(1_000)
    expect(gate.wait('https://host', 999.5)).toBe(0.5)
    expect(gate.wait('https://host', 1_000)).toBe(0)
    expect(gate.wait('https://host', 0)).toBe(0)
    gate.close('https://host', 2_000)
    expect(gate.wait('http://host', 1_500)).toBe(0)
    expect(gate.wait('https://host:444', 1_500)).toBe(0)
  })

  it('keeps the latest of several times', () => {
    const gate = new HostGate()
    gate.close('https://host', 2_000)
    gate.close('https://host', 1_000)
    expect(gate.wait('https://host', 0)).toBe(2_000)
    gate.close('https://host', 3_000)
    expect(gate.wait('https://host', 0)).toBe(3_000)
  })
})
