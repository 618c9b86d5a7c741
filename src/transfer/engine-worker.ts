/** Entry of the engine's worker: an engine like any other, and the messages to and from it. See `worker-engine.ts`. */
import { parentPort, workerData } from 'node:worker_threads'
import { blockThisThread } from '../files/io.js'
import { declareDead, thread } from '../files/lock.js'
import { createEngine } from './engine.js'
import type { TransferEvent, TransferHandle } from './protocol.js'
import { yieldToHost } from './yield-to-host.js'
import type { WorkerInit, WorkerReply, WorkerRequest } from './worker-protocol.js'

if (parentPort === null) throw new Error('engine-worker runs as a worker only')
const port = parentPort
// Whoever starts this file gives it what the protocol says.
const init = workerData as WorkerInit

yieldToHost()
blockThisThread()
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
