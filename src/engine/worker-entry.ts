/** Entry of the engine's worker: an engine like any other, and the messages to and from it. See `worker-engine.ts`. */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { useSyncIo } from '../disk/io.js'
import { declareDead, thread } from '../disk/lock.js'
import { createEngine } from './engine.js'
import type { TransferEvent, TransferHandle, WorkerInit, WorkerReply, WorkerRequest } from './protocol.js'

if (parentPort === null) throw new Error('engine-worker runs as a worker only')

const port = parentPort

// Whoever starts this file gives it what the protocol says.
const init = workerData as WorkerInit

yieldToHost()

useSyncIo()

declareDead(init.deadThreads)

const engine = createEngine({
  tuning: init.tuning,
  maxBytesPerSecond: init.maxBytesPerSecond,
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
      handles.get(request.id)?.send(request.command)
      return
    case 'limit':
      engine.setMaxBytesPerSecond(request.maxBytesPerSecond)
      return
    case 'close':
      void engine.close().finally(() => {
        flush()
        reply({ type: 'closed' })
      })
  }
})

reply({ type: 'ready', thread })

function start({ id, spec }: WorkerRequest & { type: 'start' }): void {
  const handle = engine.start(spec, (event) => {
    if (event.type === 'completed' || event.type === 'failed' || event.type === 'stopped') handles.delete(id)
    // One message for all that happens in a turn: with many small files there is much of it.
    if (waiting.length === 0) setImmediate(flush)
    waiting.push([id, event])
  })
  handles.set(id, handle)
}

function flush(): void {
  if (waiting.length === 0) return
  reply({ type: 'events', events: waiting })
  waiting = []
}

function reply(message: WorkerReply): void {
  port.postMessage(message)
}

// ---- yield-to-host

/** Nice value of a thread that works in the background: it gets a third of what the host's gets when both want to run. */
const background = 5

/**
 * Lets the host's own thread go first. On Linux the nice value belongs to the thread (sched(7), "The nice value");
 * elsewhere it would be that of the whole process, so nothing is done.
 */
export function yieldToHost(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, background)
  } catch {
    // Not allowed here; it works without.
  }
}
