import { describe, expect, it } from 'vitest'
import type { LogEvent } from '../../../src/download/events.js'
import { SafeEmitter } from '../../../src/download/events.js'

const event: LogEvent = { level: 'info', message: 'x' }

describe('SafeEmitter', () => {
  it('calls a listener of once once, and one of on every time', () => {
    const emitter = new SafeEmitter()
    const calls: string[] = []
    emitter.once('log', () => calls.push('once'))
    emitter.on('log', () => calls.push('on'))
    emitter.emit('log', event)
    emitter.emit('log', event)
    expect(calls).toEqual(['once', 'on', 'on'])
    expect(emitter.listenerCount('log')).toBe(1)
  })

  it('removes by the listener that was given, also before it was called', () => {
    const emitter = new SafeEmitter()
    let calls = 0
    const listener = () => {
      calls += 1
    }
    emitter.on('log', listener).once('log', listener)
    emitter.off('log', listener)
    emitter.emit('log', event)
    expect(calls).toBe(0)
    emitter.addListener('log', listener)
    emitter.removeListener('log')
    emitter.emit('log', event)
    expect(calls).toBe(0)
  })

  it('goes on after a listener that throws or rejects, and tells of it', async () => {
    const emitter = new SafeEmitter()
    const told: string[] = []
    emitter.on('log', ({ message }) => told.push(message))
    // The types say that nobody waits for a listener, but they let it return what it likes.
    const rejects: () => unknown = () => Promise.reject(new Error('later'))
    emitter.on('failed', rejects)
    emitter.on('failed', () => {
      throw new Error('now')
    })
    let heard = false
    emitter.on('failed', () => {
      heard = true
    })
    // What it carries doesn't matter to these listeners.
    emitter.emit('failed', undefined as never)
    await Promise.resolve()
    await Promise.resolve()
    expect(heard).toBe(true)
    expect(told.sort()).toEqual([
      'A listener of "failed" failed: later',
      'A listener of "failed" failed: now',
    ])
  })
})
