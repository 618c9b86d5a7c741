/**
 * A host that downloads one file and looks at its own event loop meanwhile: `node host.mjs URL DIR worker|in-process`.
 * Prints JSON: seconds from the first byte asked for to the file under its name, utilisation, p99 delay in milliseconds.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { DownloadManager } from '../../dist/index.js'

const [url, directory, engine] = process.argv.slice(2)
const manager = new DownloadManager({
  directory,
  defaultMode: null,
  store: 'memory',
  proxy: false,
  worker: engine === 'worker',
})
manager.on('log', ({ level, message }) => {
  if (level === 'warn') throw new Error(message)
})
// A host that has started up, and has fetched before.
const first = await manager.download({ url: new URL('tiny.bin', url).href })
await first.finished

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
const before = performance.eventLoopUtilization()
const begin = performance.now()
const download = await manager.download({ url })
const { size } = await download.finished
const seconds = (performance.now() - begin) / 1000
const { utilization } = performance.eventLoopUtilization(before)
delay.disable()
await manager.close()
// The histogram counts the resolution itself, too.
const p99Ms = Math.max(0, delay.percentile(99) / 1e6 - 1)
console.log(JSON.stringify({ seconds, bytesPerSecond: size / seconds, utilization, p99Ms }))
