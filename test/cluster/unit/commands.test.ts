import { describe, expect, it } from 'vitest'
import type { ClusterAnswer } from '../../../src/cluster/backend.js'
import { DownloadCommands, type DownloadCommandsInit } from '../../../src/cluster/commands.js'
import { Leases } from '../../../src/cluster/leases.js'
import { DownloadError } from '../../../src/errors.js'
import type { ClusterCommand } from '../../../src/manager/cluster/coordinator.js'
import { systemClock } from '../../../src/util/clock.js'
import { gate } from '../../support/gate.js'
import { waitFor } from '../../support/wait.js'

const pause: ClusterCommand = { type: 'pause' }

const remove: ClusterCommand = { type: 'remove', deleteFile: false }

/** An instance with a backend that grants each lease, once it may, with the next epoch. */
function instance(execute: (commands: DownloadCommands) => Promise<void> = () => Promise.resolve()) {
  const answers: [call: string, answer: ClusterAnswer][] = []
  const sent: string[] = []
  let epoch = 0
  let mayBegin: Promise<void> = Promise.resolve()
  const owners = { elsewhere: false }
  const backend = {
    leaseMs: 60_000,
    begin: async () => {
      await mayBegin
      if (owners.elsewhere) return { type: 'owned' }
      epoch += 1
      return { type: 'granted', from: null, entry: { epoch } }
    },
    release: () => Promise.resolve(),
    send: (_id: string, { call }: { call: string }) => {
      sent.push(call)
      return Promise.resolve(true)
    },
    answer: (_id: string, call: string, answer: ClusterAnswer) => {
      answers.push([call, answer])
      return Promise.resolve()
    },
  }
  const leases = new Leases({
    backend: backend as never,
    clock: systemClock,
    goesOn: false,
    isAway: () => false,
    onGranted: () => undefined,
    onReleased: () => Promise.resolve(),
    onLost: () => undefined,
    onMissing: () => undefined,
    stop: () => undefined,
  })
  const commands: DownloadCommands = new DownloadCommands({
    backend: backend as never,
    clock: systemClock,
    leases,
    replica: { find: () => ({ url: 'https://host/a' }), get: () => undefined } as never,
    host: () => ({ execute: () => execute(commands) }) as never,
    requireStore: () => undefined,
    reload: () => Promise.resolve(),
  } satisfies DownloadCommandsInit)
  return {
    ...{ commands, leases, answers, sent, owners },
    holdBack: (until: Promise<void>) => {
      mayBegin = until
    },
  }
}

describe('what is done for another instance', () => {
  it('is answered, with its error if there is one', async () => {
    let fails = false
    const { commands, leases, answers } = instance(() =>
      fails ? Promise.reject(new DownloadError('INVALID_STATE', 'No.')) : Promise.resolve(),
    )
    await leases.take('a', null)
    commands.obey('a', { call: '1', command: pause })
    await waitFor(() => answers.length === 1, { what: 'the answer' })
    fails = true
    commands.obey('a', { call: '2', command: pause })
    await waitFor(() => answers.length === 2, { what: 'the answer' })
    // Heard twice, it is done once.
    commands.obey('a', { call: '2', command: pause })
    expect(answers).toMatchObject([
      ['1', null],
      ['2', { code: 'INVALID_STATE' }],
    ])
  })

  it.each(['is lost', 'is lost and granted again'])(
    'is not done any more when its lease %s, so that it is not done twice',
    async (how) => {
      const turn = gate()
      let done = 0
      const { commands, leases, answers } = instance(async (those) => {
        // As in the queue of the calls of a download.
        await turn.passed
        await those.control('a', pause, () => {
          done += 1
          return Promise.resolve()
        })
      })
      const held = await leases.take('a', null)
      if (typeof held !== 'object') throw new Error('No lease.')
      commands.obey('a', { call: '1', command: pause })
      leases.lose(held)
      if (how.endsWith('again')) await leases.take('a', null)
      turn.open()
      await waitFor(() => answers.length === 1, { what: 'the answer' })
      expect(answers).toEqual([['1', 'free']])
      expect(done).toBe(0)
      // What this instance wants itself is done, whatever lease it takes.
      await commands.control('a', pause, () => {
        done += 1
        return Promise.resolve()
      })
      expect(done).toBe(1)
    },
  )

  it('adds no download whose lease has ended, but what it has begun goes on', async () => {
    const [turn, later] = [gate(), gate()]
    let rest: Promise<void> = Promise.resolve()
    const { commands, leases, answers } = instance(async (those) => {
      rest = later.passed.then(() => {
        those.requireLease('a')
      })
      await turn.passed
      those.requireLease('other')
      those.requireLease('a')
    })
    const held = await leases.take('a', null)
    if (typeof held !== 'object') throw new Error('No lease.')
    commands.obey('a', { call: '1', command: pause })
    leases.lose(held)
    turn.open()
    await waitFor(() => answers.length === 1, { what: 'the answer' })
    expect(answers).toEqual([['1', 'free']])
    later.open()
    await rest
    commands.requireLease('a')
  })
})

describe('what is asked of another instance', () => {
  it.each([
    [remove, 1],
    [pause, 2],
  ] as const)('ends with the removal of the download: %o', async (command, asked) => {
    const { commands, sent, owners } = instance()
    owners.elsewhere = true
    const done = commands.control('a', command, () => Promise.resolve())
    await waitFor(() => sent.length === 1, { what: 'the call' })
    commands.removed('other')
    commands.removed('a')
    // Whatever else was wanted is tried again, and told that there is no such download or done to the next one.
    await waitFor(() => sent.length === asked, { what: 'the call' })
    commands.answered(sent.at(-1) ?? '', null)
    await done
    expect(sent).toHaveLength(asked)
  })
})

it('is known of a lease only once it was granted or refused', async () => {
  const { leases, holdBack } = instance()
  const granted = gate()
  holdBack(granted.passed)
  const taking = leases.take('a', null)
  const seen: (number | undefined)[] = []
  leases.whenKnown('a', () => seen.push(leases.get('a')?.epoch))
  leases.whenKnown('b', () => seen.push(leases.get('b')?.epoch))
  expect(seen).toEqual([undefined])
  granted.open()
  await taking
  expect(seen).toEqual([undefined, 1])
  leases.whenKnown('a', () => seen.push(leases.get('a')?.epoch))
  expect(seen).toEqual([undefined, 1, 1])
})
