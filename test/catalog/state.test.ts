import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import {
  completedModels,
  isRunning,
  isThrough,
  reduce,
  runProgress,
  runSchema,
  type Run,
  type RunAction,
} from '../../src/catalog/run.js'

const keys = ['a', 'b', 'c']
const fresh = (required: readonly boolean[] = [true, true, true]): Run => ({
  version: 1,
  startedAt: '2026-01-01T00:00:00.000Z',
  finishedAt: null,
  outcome: 'running',
  outputDir: '/models',
  force: false,
  models: required.map((needed, index) => ({
    key: keys[index] ?? '',
    url: `https://a/${index}`,
    required: needed,
    phase: 'waiting',
    joined: false,
    before: null,
    error: null,
  })),
})
const at = '2026-01-02T00:00:00.000Z'
const play = (run: Run, ...actions: RunAction[]) => actions.reduce(reduce, run)
const settled = (key: string, phase: 'completed' | 'failed' | 'canceled', error?: string): RunAction => ({
  type: 'settled',
  key,
  phase,
  ...(error === undefined ? {} : { error }),
})
const all = (phase: 'completed' | 'failed' | 'canceled') => keys.map((key) => settled(key, phase))

const key = fc.constantFrom(...keys, 'unknown')
const action: fc.Arbitrary<RunAction> = fc.oneof(
  fc.record({ type: fc.constant('asked' as const), key }),
  fc.record({ type: fc.constant('paused' as const), key }),
  fc.record({
    type: fc.constant('settled' as const),
    key,
    phase: fc.constantFrom('completed' as const, 'failed' as const, 'canceled' as const),
  }),
  fc.record({
    type: fc.constant('moved' as const),
    key,
    url: fc.constantFrom('https://a/9', 'https://a/0'),
    before: fc.constant(null),
  }),
  fc.constant<RunAction>({ type: 'cancel' }),
  fc.constant<RunAction>({ type: 'end', at }),
  fc.constant<RunAction>({ type: 'interrupt', at }),
)

describe('the state of a run', () => {
  it('holds together whatever happens, and never moves once it has ended', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { maxLength: 3 }),
        fc.array(action, { maxLength: 40 }),
        (required, actions) => {
          let run = fresh(required)
          for (const next of actions) {
            const before = run
            run = reduce(run, next)
            expect(runSchema.parse(JSON.parse(JSON.stringify(run)))).toEqual(run)
            expect(run.models.map((model) => model.key)).toEqual(before.models.map((model) => model.key))
            expect(completedModels(run)).toBeGreaterThanOrEqual(completedModels(before))
            if (before.finishedAt !== null) expect(run).toBe(before)
            expect(isRunning(run)).toBe(run.outcome === 'running' || run.outcome === 'canceling')
            if (run.finishedAt !== null) expect(run.models.every(isThrough)).toBe(true)
            if (run.outcome === 'succeeded')
              expect(run.models.every((model) => !model.required || model.phase === 'completed')).toBe(true)
            const progress = runProgress(run, () => 99.99)
            expect(progress === 100).toBe(run.models.every((model) => model.phase === 'completed'))
          }
        },
      ),
    )
  })

  it('ends when all are through, and not before', () => {
    expect(play(fresh(), ...all('completed').slice(1), { type: 'end', at }).finishedAt).toBeNull()
    expect(play(fresh(), ...all('completed'), { type: 'end', at })).toMatchObject({
      outcome: 'succeeded',
      finishedAt: at,
    })
    expect(play(fresh([]), { type: 'end', at }).outcome).toBe('succeeded')
  })

  it('fails with a required model only', () => {
    const actions: RunAction[] = [
      ...all('completed').slice(1),
      settled('a', 'failed', 'gone'),
      { type: 'end', at },
    ]
    expect(play(fresh([true, true, true]), ...actions).outcome).toBe('failed')
    expect(play(fresh([false, true, true]), ...actions).outcome).toBe('succeeded')
    expect(play(fresh(), ...all('canceled'), { type: 'end', at }).outcome).toBe('failed')
  })

  it('takes a failed model back when somebody tries it again', () => {
    const run = play(fresh(), settled('a', 'failed', 'gone'), { type: 'asked', key: 'a' })
    expect(run.models[0]).toMatchObject({ phase: 'active', error: null })
    expect(play(run, settled('a', 'completed')).models[0]?.phase).toBe('completed')
    expect(play(fresh(), settled('a', 'completed'), { type: 'asked', key: 'a' }).models[0]?.phase).toBe(
      'completed',
    )
  })

  it('is canceled: waiting and foreign ones at once, its own when they have stopped', () => {
    const run = fresh()
    const first = run.models[0]
    if (first !== undefined) first.joined = true
    const asked = play(run, { type: 'asked', key: 'a' }, { type: 'asked', key: 'b' }, { type: 'cancel' })
    expect(asked.models.map((model) => model.phase)).toEqual(['canceled', 'active', 'canceled'])
    expect(reduce(asked, { type: 'end', at })).toBe(asked)
    expect(reduce(asked, { type: 'asked', key: 'c' })).toBe(asked)
    expect(play(asked, { type: 'paused', key: 'b' }, { type: 'end', at })).toMatchObject({
      outcome: 'canceled',
    })
    // One that finished at that moment counts.
    expect(
      play(fresh([true]), { type: 'asked', key: 'a' }, { type: 'cancel' }, settled('a', 'completed'), {
        type: 'end',
        at,
      }).outcome,
    ).toBe('succeeded')
  })

  it('tells progress as the mean of all, floored', () => {
    const run = play(fresh(), settled('a', 'completed'))
    expect(runProgress(run, () => 0)).toBe(33.3)
    expect(runProgress(run, (model) => (model.key === 'b' ? 50 : 0))).toBe(50)
    expect(runProgress(run, () => 100)).toBe(99.9)
  })
})
