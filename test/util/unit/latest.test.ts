import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Latest, LatestByKey } from '../../../src/util/schedule.js'
import fc from '../../support/properties.js'

/** A task whose runs end when they are told to. */
function manual() {
  const ends: ((error?: Error) => void)[] = []
  const task = () =>
    new Promise<void>((resolve, reject) => {
      ends.push((error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  return {
    task,
    /** How many runs have begun. */
    begun: () => ends.length,
    /** Ends a run, and notifies all waiting callers. */
    end: async (run: number, error?: Error) => {
      ends[run]?.(error)
      await setImmediate()
    },
  }
}

/** The state of a promise, without waiting for it. */
function watch(promise: Promise<void>) {
  const seen = { state: 'pending' }
  promise.then(
    () => (seen.state = 'done'),
    (error: unknown) => (seen.state = error instanceof Error ? error.message : 'odd'),
  )
  return seen
}

describe('Latest', () => {
  it('begins at once when nothing is under way, and again when the run has ended', async () => {
    const { task, begun, end } = manual()
    const latest = new Latest(task)
    expect(latest.isIdle).toBe(true)
    const first = watch(latest.ask())
    expect(begun()).toBe(1)
    expect(latest.isIdle).toBe(false)
    await end(0)
    expect(first.state).toBe('done')
    expect(latest.isIdle).toBe(true)
    void latest.ask()
    expect(begun()).toBe(2)
  })

  it('serves all who ask during a run with one more, not with the run under way', async () => {
    const { task, begun, end } = manual()
    const latest = new Latest(task)
    const asked = [1, 2, 3, 4].map(() => watch(latest.ask()))
    expect(begun()).toBe(1)
    await end(0)
    expect(begun()).toBe(2)
    expect(asked.map(({ state }) => state)).toEqual(['done', 'pending', 'pending', 'pending'])
    const late = watch(latest.ask())
    await end(1)
    expect(asked.map(({ state }) => state)).toEqual(['done', 'done', 'done', 'done'])
    expect(late.state).toBe('pending')
    expect(begun()).toBe(3)
    await end(2)
    expect(late.state).toBe('done')
    expect(latest.isIdle).toBe(true)
  })

  it('sees in the following run what changed during the one under way', async () => {
    const written: number[] = []
    let value = 0
    const latest = new Latest(async () => {
      const now = value
      await setImmediate()
      written.push(now)
    })
    const asks = []
    for (value = 1; value <= 5; value += 1) asks.push(latest.ask())
    value = 6
    await Promise.all(asks)
    expect(written).toEqual([1, 6])
  })

  it('rejects for those whose run failed, for nobody else, and goes on', async () => {
    const { task, begun, end } = manual()
    const latest = new Latest(task)
    const [first, second, third] = [watch(latest.ask()), watch(latest.ask()), watch(latest.ask())]
    await end(0, new Error('the first'))
    expect([first.state, second.state]).toEqual(['the first', 'pending'])
    await end(1, new Error('the second'))
    expect([second.state, third.state]).toEqual(['the second', 'the second'])
    expect(latest.isIdle).toBe(true)
    const last = watch(latest.ask())
    await end(2)
    expect(last.state).toBe('done')
    expect(begun()).toBe(3)
  })

  it('takes a task that throws for one that rejects', async () => {
    const latest = new Latest(() => {
      throw new Error('at once')
    })
    const [first, second] = [latest.ask(), latest.ask()]
    await expect(first).rejects.toThrow('at once')
    await expect(second).rejects.toThrow('at once')
    await latest.settled()
    expect(latest.isIdle).toBe(true)
  })

  it('lets nobody look at a failure: that ends no process', async () => {
    const unhandled: unknown[] = []
    const hear = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', hear)
    try {
      const latest = new Latest(() => Promise.reject(new Error('unseen')))
      void latest.ask()
      void latest.ask()
      await latest.settled()
      await setImmediate()
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', hear)
    }
  })

  it('lets the task ask for one more run, which begins when this one has ended', async () => {
    const events: string[] = []
    const latest: Latest = new Latest(async () => {
      events.push('begin')
      if (events.length < 5) void latest.ask()
      await setImmediate()
      events.push('end')
    })
    await latest.ask()
    await latest.settled()
    expect(events).toEqual(['begin', 'end', 'begin', 'end', 'begin', 'end'])
  })

  it('begins one run only when somebody asks as soon as the one before has ended', async () => {
    const { task, begun, end } = manual()
    const latest = new Latest(task)
    const again = latest.ask().then(() => latest.ask())
    const following = latest.ask()
    await end(0)
    expect(begun()).toBe(2)
    await end(1)
    await Promise.all([again, following])
    expect(begun()).toBe(2)
    expect(latest.isIdle).toBe(true)
  })

  it('is settled only when nothing is to follow', async () => {
    const { task, end } = manual()
    const latest = new Latest(task)
    await latest.settled()
    void latest.ask()
    void latest.ask()
    const settled = watch(latest.settled())
    await end(0, new Error('no matter'))
    expect(settled.state).toBe('pending')
    await end(1, new Error('no matter either'))
    expect(settled.state).toBe('done')
  })

  it('does what its model says, whatever is asked and however runs end', async () => {
    const command = fc.constantFrom<'ask' | 'end' | 'fail'>('ask', 'ask', 'end', 'fail')
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 30 }), async (commands) => {
        const { task, begun, end } = manual()
        const latest = new Latest(task)
        const asks: { run: number; seen: { state: string } }[] = []
        // The model: runs that have begun, how those that ended have ended, and whether one more was asked for.
        let running = -1
        let isBusy = false
        let isAskedAgain = false
        const ended = new Map<number, string>()
        for (const [index, what] of commands.entries()) {
          if (what === 'ask') {
            asks.push({ run: running + 1, seen: watch(latest.ask()) })
            if (isBusy) isAskedAgain = true
            else running += 1
            isBusy = true
          } else if (isBusy) {
            const message = `failure ${String(index)}`
            ended.set(running, what === 'end' ? 'done' : message)
            await end(running, what === 'end' ? undefined : new Error(message))
            isBusy = isAskedAgain
            if (isAskedAgain) running += 1
            isAskedAgain = false
          }
          expect(begun()).toBe(running + 1)
          expect(latest.isIdle).toBe(!isBusy)
          await setImmediate()
          for (const { run, seen } of asks) expect(seen.state).toBe(ended.get(run) ?? 'pending')
        }
      }),
    )
  })
})

describe('LatestByKey', () => {
  it('keeps the runs of one key apart, and lets keys run beside each other', async () => {
    const tasks = { a: manual(), b: manual() }
    const runs = new LatestByKey((key: 'a' | 'b') => tasks[key].task())
    const [first, second, other] = [watch(runs.ask('a')), watch(runs.ask('a')), watch(runs.ask('b'))]
    expect([tasks.a.begun(), tasks.b.begun()]).toEqual([1, 1])
    await tasks.b.end(0)
    expect([first.state, second.state, other.state]).toEqual(['pending', 'pending', 'done'])
    await tasks.a.end(0, new Error('of a'))
    expect([first.state, second.state]).toEqual(['of a', 'pending'])
    expect(tasks.a.begun()).toBe(2)
    await tasks.a.end(1)
    expect(second.state).toBe('done')
    void runs.ask('a')
    expect(tasks.a.begun()).toBe(3)
  })

  it('is settled for a key, and for all', async () => {
    const tasks = { a: manual(), b: manual() }
    const runs = new LatestByKey((key: 'a' | 'b') => tasks[key].task())
    await runs.settled()
    await runs.settledOf('a')
    void runs.ask('a')
    void runs.ask('b')
    void runs.ask('b')
    const [a, b, all] = [watch(runs.settledOf('a')), watch(runs.settledOf('b')), watch(runs.settled())]
    await tasks.a.end(0, new Error('no matter'))
    expect([a.state, b.state, all.state]).toEqual(['done', 'pending', 'pending'])
    await tasks.b.end(0)
    expect([b.state, all.state]).toEqual(['pending', 'pending'])
    await tasks.b.end(1)
    expect([b.state, all.state]).toEqual(['done', 'done'])
  })

  it('waits also for keys that are asked for while it waits', async () => {
    const tasks = { a: manual(), b: manual() }
    const runs = new LatestByKey((key: 'a' | 'b') => tasks[key].task())
    void runs.ask('a')
    const all = watch(runs.settled())
    void runs.ask('b')
    await tasks.a.end(0)
    expect(all.state).toBe('pending')
    await tasks.b.end(0)
    expect(all.state).toBe('done')
  })
})
