/** Entry of the engine's worker: runs an engine and exchanges messages with `worker.ts`. */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { useSyncIo } from '../disk/io.js'
import { declareDead, thread } from '../disk/lock.js'
import { HostGates } from '../net/host-gate.js'
import { monotonicMs, systemClock } from '../util/clock.js'
import { createEngine } from './engine.js'
import { agedCommand, agedSpec, ageOf } from './lease-age.js'
import type { TransferEvent, TransferHandle, WorkerInit, WorkerReply, WorkerRequest } from './protocol.js'

if (parentPort === null) throw new Error('engine-worker must be run as a worker thread')

const port = parentPort

// `worker.ts` passes this data.
const init = workerData as WorkerInit

yieldToHost()

useSyncIo()

declareDead(init.deadThreads)

const gates = new HostGates()

for (const wait of init.waits) gates.take(wait, systemClock.now())

gates.onWait((wait) => {
  reply({ type: 'wait', wait })
})

const engine = createEngine({
  gates,
  tuning: init.tuning,
  maxBytesPerSecond: init.maxBytesPerSecond,
  ca: init.ca,
  onLog: (level, message) => {
    reply({ type: 'log', level, message })
  },
})

const handles = new Map<number, TransferHandle>()

let waiting: [number, TransferEvent][] = []

port.on('message', (request: WorkerRequest) => {
  switch (request.type) {
    case 'start':
      start(request)
      return
    case 'command':
      handles.get(request.id)?.send(agedCommand(request.command, ageOf(request.sentMs, monotonicMs())))
      return
    case 'limit':
      engine.setMaxBytesPerSecond(request.maxBytesPerSecond)
      return
    case 'wait':
      gates.take(request.wait, systemClock.now())
      return
    case 'report':
      void report(request)
      return
    case 'close':
      void engine.close().finally(() => {
        flush()
        reply({ type: 'closed' })
      })
  }
})

reply({ type: 'ready', thread })

function start({ id, spec, sentMs }: WorkerRequest & { type: 'start' }): void {
  const handle = engine.start(agedSpec(spec, ageOf(sentMs, monotonicMs())), (event) => {
    if (event.type === 'completed' || event.type === 'failed' || event.type === 'stopped') handles.delete(id)
    // All events of one turn are sent in one message, because many small files cause many events.
    if (waiting.length === 0) setImmediate(flush)
    waiting.push([id, event])
  })
  handles.set(id, handle)
}

async function report({ id, measure }: WorkerRequest & { type: 'report' }): Promise<void> {
  const { loopDelay = null, receivedBytes = 0 } = (await engine.report?.(measure)) ?? {}
  reply({ type: 'report', id, report: { loopDelay, receivedBytes } })
}

function flush(): void {
  if (waiting.length === 0) return
  reply({ type: 'events', events: waiting })
  waiting = []
}

function reply(message: WorkerReply): void {
  port.postMessage(message)
}

// ---- Thread priority.

/** Nice value of this thread: when both threads are busy, it gets a third of the CPU time of the host's thread. */
const background = 5

/**
 * Gives the host's own thread priority. On Linux the nice value belongs to the thread (sched(7), "The nice value").
 * Elsewhere it would apply to the entire process, so nothing is done.
 */
export function yieldToHost(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, background)
  } catch {
    // Not permitted here. The engine works without it.
  }
}
