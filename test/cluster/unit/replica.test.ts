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
    },
    scheduler: { isRunning: () => false, withdraw: () => undefined, offer: () => undefined },
  } as unknown as CoordinatorHost
  const made = new Replica({
    host: () => host,
    ...{ secret: null, instance: 'n:1', offers: false, echo },
    isHeld: (id) => held.has(id),
    onHeldRemoved: () => undefined,
    onGone: () => undefined,
  })
  return { made, held, echoes, stateOf: ({ url }: DownloadRecord) => downloads.get(url)?.state }
}

const record = sampleRecord(1, { state: 'downloading' })
const entry = (revision: number, of: string | null): ClusterEntry => ({
  ...{ record, revision, generation: 1, epoch: revision, owner: of, intent: null },
})

it('does not take a download for running here before it has heard that it was given the lease', () => {
  const { made, held, echoes, stateOf } = replica()
  made.apply(entry(1, 'gone:0'))
  expect(stateOf(record)).toBe('downloading')
  // The other instance has died, so the download waits; then this one takes the lease, and hears of that in two ways.
  made.apply(entry(2, null))
  expect(stateOf(record)).toBe('queued')
  made.apply(entry(3, 'n:1'))
  made.replace(entry(3, 'n:1'))
  made.reload([entry(3, 'n:1')])
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
