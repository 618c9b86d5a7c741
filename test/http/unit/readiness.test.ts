import { beforeEach, describe, expect, it } from 'vitest'
import type { Preloader } from '../../../src/catalog/preloader.js'
import { ReadinessCheck, readinessOf } from '../../../src/http/operation/readiness.js'
import type { DownloadManager } from '../../../src/manager/manager.js'
import { internals } from '../../../src/manager/internals.js'
import { ManualClock } from '../../support/clock.js'

describe('readiness', () => {
  it.each([
    [true, true, null, true],
    [false, true, null, false],
    [true, false, null, false],
    [true, true, { ready: 1, required: 2 }, false],
    [true, true, { ready: 2, required: 2 }, true],
    [true, true, { ready: 0, required: 0 }, true],
    [true, true, { ready: 0, required: null }, false],
    [false, true, { ready: 2, required: 2 }, false],
  ])('store %s, engine %s, models %j: %s', (store, engine, models, ready) => {
    const checks = { store, engine, models }
    expect(readinessOf(checks)).toEqual({ success: ready, ready, checks })
  })
})

describe('the checks', () => {
  const clock = new ManualClock()
  let closed = new AbortController()
  let report: () => Promise<object | null> = () => Promise.resolve({})
  let asked = 0
  beforeEach(() => {
    closed = new AbortController()
    report = () => Promise.resolve({})
    asked = 0
  })

  function check(ready: Promise<void> = Promise.resolve(), modelsStatus?: () => Promise<unknown>) {
    const manager = {
      ready,
      warmUp: () => undefined,
      [internals]: { clock, closed: closed.signal, report: () => ((asked += 1), report()) },
    }
    const preloader = modelsStatus === undefined ? null : { modelsStatus }
    return new ReadinessCheck({
      // What a check needs of them.
      manager: manager as unknown as DownloadManager,
      preloader: preloader as Pick<Preloader, 'modelsStatus'> | null,
    })
  }

  it('wait for the list of downloads, and never for longer than a moment', async () => {
    let load = (): void => undefined
    const waits = check(new Promise((resolve) => (load = resolve)))
    expect((await waits.check()).checks).toEqual({ store: false, engine: true, models: null })
    load()
    await Promise.resolve()
    expect((await waits.check()).ready).toBe(true)
  })

  it('find a list that can not be loaded, and a manager that is closed, not ready', async () => {
    expect((await check(Promise.reject(new Error('broken'))).check()).checks.store).toBe(false)
    const closing = check()
    await Promise.resolve()
    closed.abort()
    expect((await closing.check()).checks).toEqual({ store: false, engine: false, models: null })
    expect(asked).toBe(1)
  })

  it('ask a silent engine once, and believe its last answer for ten seconds', async () => {
    const checks = check()
    await Promise.resolve()
    expect((await checks.check()).ready).toBe(true)
    let answer = (): void => undefined
    report = () =>
      new Promise(
        (resolve) =>
          (answer = () => {
            resolve({})
          }),
      )
    const later = async (ms: number) => {
      const result = checks.check()
      await clock.advanceAsync(ms)
      return (await result).checks.engine
    }
    expect(await later(700)).toBe(true)
    clock.advance(10_000)
    expect(await later(700)).toBe(false)
    expect(asked).toBe(2)
    answer()
    await Promise.resolve()
    report = () => Promise.resolve({})
    expect((await checks.check()).checks.engine).toBe(true)
  })

  it('count the required models, once a second at most', async () => {
    let looks = 0
    const models = { a: { ready: true }, b: { ready: false }, c: { ready: true } }
    const catalog = [
      { key: 'a', required: true },
      { key: 'b', required: false },
      { key: 'c', required: true },
    ]
    const checks = check(Promise.resolve(), () => {
      looks += 1
      return Promise.resolve({ catalog, models })
    })
    await Promise.resolve()
    expect((await checks.check()).checks.models).toEqual({ ready: 2, required: 2 })
    models.c.ready = false
    expect((await checks.check()).ready).toBe(true)
    clock.advance(1_000)
    expect((await checks.check()).checks.models).toEqual({ ready: 1, required: 2 })
    expect(looks).toBe(2)
  })

  it('are not ready while nobody knows which models are there', async () => {
    const failing = check(Promise.resolve(), () => Promise.reject(new Error('broken')))
    await Promise.resolve()
    expect((await failing.check()).checks.models).toEqual({ ready: 0, required: null })
    const slow = check(Promise.resolve(), () => new Promise(() => undefined))
    await Promise.resolve()
    const result = slow.check()
    await clock.advanceAsync(700)
    expect((await result).ready).toBe(false)
  })
})
