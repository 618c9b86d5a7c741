import { describe, expect, it } from 'vitest'
import { Serial } from '../../../src/util/schedule.js'
import { gate } from '../../support/gate.js'
import { withTimeout } from '../../support/wait.js'

describe('Serial', () => {
  it('runs tasks of one key one after the other, in order', async () => {
    const serial = new Serial<object>()
    const key = {}
    const log: string[] = []
    const first = gate()
    const tasks = [
      serial.run(key, async () => {
        log.push('1 begins')
        await first.passed
        log.push('1 ends')
      }),
      serial.run(key, () => {
        log.push('2')
        return Promise.resolve()
      }),
      serial.run(key, () => {
        log.push('3')
        return Promise.resolve()
      }),
    ]
    await Promise.resolve()
    expect(log).toEqual(['1 begins'])
    first.open()
    await withTimeout(Promise.all(tasks), 1_000)
    expect(log).toEqual(['1 begins', '1 ends', '2', '3'])
  })

  it('does not let keys wait for each other', async () => {
    const serial = new Serial<object>()
    const closed = gate()
    const waiting = serial.run({}, () => closed.passed)
    await withTimeout(
      serial.run({}, () => Promise.resolve()),
      1_000,
    )
    closed.open()
    await waiting
  })

  it('hands results and failures to whoever asked, and goes on', async () => {
    const serial = new Serial<object>()
    const key = {}
    const failed = serial.run(key, () => Promise.reject(new Error('no')))
    const next = serial.run(key, () => Promise.resolve(2))
    await expect(failed).rejects.toThrow('no')
    await expect(next).resolves.toBe(2)
    await expect(serial.run(key, () => Promise.resolve(3))).resolves.toBe(3)
  })

  it('tells when all that was given has ended, however it ended', async () => {
    const serial = new Serial<object>()
    await withTimeout(serial.settled(), 1_000)
    const [one, two] = [gate(), gate()]
    const failing = serial.run({}, async () => {
      await one.passed
      throw new Error('no')
    })
    const good = serial.run({}, () => two.passed)
    let settled = false
    const all = serial.settled().then(() => (settled = true))
    one.open()
    await expect(failing).rejects.toThrow('no')
    expect(settled).toBe(false)
    two.open()
    await withTimeout(Promise.all([good, all]), 1_000)
    expect(settled).toBe(true)
  })
})
