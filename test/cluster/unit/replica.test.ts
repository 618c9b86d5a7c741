import { expect, it } from 'vitest'
import type { ClusterEntry } from '../../../src/cluster/backend.js'
import { Echo } from '../../../src/cluster/echo.js'
import { Replica } from '../../../src/cluster/replica.js'
import { Download, type DownloadOwner } from '../../../src/download/download.js'
import { SafeEmitter } from '../../../src/download/events.js'
import type { DownloadRecord } from '../../../src/download/record.js'
import type { CoordinatorHost } from '../../../src/manager/cluster/coordinator.js'
import { sampleRecord } from '../../../src/store/sample-record.js'

const owner = { pathOf: ({ filename }) => `/models/${filename}` } as DownloadOwner

/** A replica of the instance `n:1`, and a registry that holds what it mirrors. */
function replica() {
  const downloads = new Map<string, Download>()
  const emitter = new SafeEmitter()
  const held = new Set<string>()
  const lost: string[] = []
  const echoes: [string, boolean][] = []
  const echo = new Echo()
  for (const event of ['started', 'queued', 'completed'] as const)
    emitter.on(event, () => echoes.push([event, echo.isOn]))
  const host = {
    emitter,
    registry: {
      get: (url: string) => downloads.get(url),
      mirror: (record: DownloadRecord) => {
        const download = new Download(record, owner)
        downloads.set(record.url, download)
        return download
      },
      drop: ({ url }: Download) => downloads.delete(url),
    },
    scheduler: { isRunning: () => false, withdraw: () => undefined, offer: () => undefined },
  } as unknown as CoordinatorHost
  const made = new Replica({
    host: () => host,
    ...{ secret: null, instance: 'n:1', takesItself: () => false, echo },
    isHeld: (id) => held.has(id),
    onHeldRemoved: (id) => lost.push(id),
    onGone: () => undefined,
  })
  return { made, held, lost, echoes, stateOf: ({ url }: DownloadRecord) => downloads.get(url)?.state }
}

const noneIsThere = (ids: readonly string[]) => Promise.resolve(new Map(ids.map((id) => [id, null])))

const record = sampleRecord(1, { state: 'downloading' })
const entry = (revision: number, of: string | null): ClusterEntry => ({
  ...{ record, revision, generation: 1, epoch: revision, owner: of, intent: null, home: null },
})

it('does not take a download for running here before it has heard that it was given the lease', async () => {
  const { made, held, echoes, stateOf } = replica()
  made.apply(entry(1, 'gone:0'))
  expect(stateOf(record)).toBe('downloading')
  // The other instance has died, so the download waits; then this one takes the lease, and hears of that in two ways.
  made.apply(entry(2, null))
  expect(stateOf(record)).toBe('queued')
  made.apply(entry(3, 'n:1'))
  made.replace(entry(3, 'n:1'))
  await made.reload([entry(3, 'n:1')], noneIsThere)
  expect(stateOf(record)).toBe('queued')
  held.add(record.id)
  made.apply(entry(4, 'n:1'))
  expect(stateOf(record)).toBe('queued')
  held.clear()
  made.apply(entry(5, 'm:2'))
  expect(stateOf(record)).toBe('downloading')
  expect(echoes.every(([, isEcho]) => isEcho)).toBe(true)
  expect(echoes.map(([event]) => event)).toEqual(['started', 'queued', 'started'])
})

it('keeps what has been asked for again when it hears that its predecessor was removed', () => {
  const { made, held, lost, stateOf } = replica()
  made.apply(entry(3, null))
  made.forget(record.id, 2)
  expect(stateOf(record)).toBe('queued')
  held.add(record.id)
  made.forget(record.id, 2)
  expect(lost).toEqual([])
  made.forget(record.id, 3)
  expect(lost).toEqual([record.id])
  held.clear()
  made.forget(record.id, 3)
  expect([made.get(record.id), stateOf(record)]).toEqual([undefined, undefined])
})

it('keeps what was added while everything was loaded again', async () => {
  const { made, stateOf } = replica()
  const other = { ...entry(2, null), record: sampleRecord(2, { state: 'queued' }) }
  made.apply(entry(2, null))
  made.apply(other)
  const asked: string[] = []
  await made.reload([], async (ids) => {
    asked.push(...ids)
    return new Map([
      [record.id, null],
      [other.record.id, other],
    ])
  })
  expect(asked).toEqual([record.id, other.record.id])
  expect([stateOf(record), stateOf(other.record)]).toEqual([undefined, 'queued'])
  // It was removed, and asked for again before that was noticed.
  await made.reload([], async () => {
    made.apply({ ...other, revision: 7 })
    return new Map()
  })
  expect(stateOf(other.record)).toBe('queued')
})
