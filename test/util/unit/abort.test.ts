import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { unlessAborted } from '../../../src/util/abort.js'

const never = new Promise<never>(() => undefined)

describe('a task that may be given up', () => {
  it('settles as it does', async () => {
    const { signal } = new AbortController()
    await expect(unlessAborted(Promise.resolve(1), signal)).resolves.toBe(1)
    await expect(unlessAborted(Promise.reject(new Error('its own')), signal)).rejects.toThrow('its own')
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it.each([
    ['the reason of the signal', undefined, 'over'],
    ['another error', () => new Error('given up'), 'given up'],
  ])('rejects when it is, with %s', async (_, reason, message) => {
    const controller = new AbortController()
    const waiting = unlessAborted(never, controller.signal, reason)
    controller.abort(new Error('over'))
    await expect(waiting).rejects.toThrow(message)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it('is given up before it began, even if it is done', async () => {
    const signal = AbortSignal.abort(new Error('over'))
    await expect(unlessAborted(Promise.resolve(1), signal)).rejects.toThrow('over')
  })

  it('leaves no rejection behind', async () => {
    const controller = new AbortController()
    let fail: (error: Error) => void = () => undefined
    const task = new Promise<void>((_resolve, reject) => (fail = reject))
    const waiting = unlessAborted(task, controller.signal)
    controller.abort(new Error('over'))
    await expect(waiting).rejects.toThrow('over')
    fail(new Error('later'))
    // An unhandled rejection would fail this run.
    await new Promise((resolve) => setImmediate(resolve))
  })
})
