/**
 * A host with the routes, started by `fork`: `node --expose-gc serving.mjs DIRECTORY`. Sends its port and how long the known
 * downloads took to load; to each `begin` and `end` it answers, with the utilisation of its event loop in between.
 */
import { createServer } from 'node:http'
import { performance } from 'node:perf_hooks'
import { DownloadManager } from '../../dist/index.js'
import { modelDownloader } from '../../dist/node.js'

const begin = performance.now()
globalThis.gc()
const bytesBefore = process.memoryUsage().heapUsed
const manager = new DownloadManager({ directory: process.argv[2], proxy: false, concurrency: 8 })
await manager.ready
const loadedMs = performance.now() - begin
const known = manager.list().length
globalThis.gc()
const heldBytes = process.memoryUsage().heapUsed - bytesBefore
const server = createServer(modelDownloader({ manager, allowPrivateNetwork: true }))
server.listen(0, '127.0.0.1', () => {
  process.send({ port: server.address().port, loadedMs, known, heldBytes })
})
let before = performance.eventLoopUtilization()
process.on('message', (message) => {
  if (message === 'begin') before = performance.eventLoopUtilization()
  process.send({ utilization: performance.eventLoopUtilization(before).utilization })
})
process.on('disconnect', () => process.exit())
