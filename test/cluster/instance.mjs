/**
 * An instance of a cluster as a process of its own: a manager with its routes, on a port of loopback. Its one argument is the
 * JSON of `InstancePlan` of `instances.ts`. It takes commands on standard input: `block MS` blocks its main thread.
 */
import { createServer } from 'node:http'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { createInterface } from 'node:readline'

const plan = JSON.parse(process.argv[2])
const fs = createRequire(import.meta.url)('node:fs')
const waitOn = new Int32Array(new SharedArrayBuffer(4))

let stopsLeft = plan.stopAt === undefined ? 0 : 1

/** Stops the whole process, once; whoever sent it here lets it go on. */
function stopHere(moment) {
  if (plan.stopAt !== moment || stopsLeft === 0) return
  stopsLeft = 0
  fs.writeSync(1, `stopped at ${moment}\n`)
  process.kill(process.pid, 'SIGSTOP')
  // The signal may reach another thread first.
  Atomics.wait(waitOn, 0, 0, 100)
}

for (const holder of [fs, fs.promises]) {
  const { rename } = holder
  holder.rename = (from, to, ...rest) => {
    if (String(from).endsWith('.part')) stopHere('renaming')
    return rename.call(holder, from, to, ...rest)
  }
}
syncBuiltinESMExports()

const { DownloadManager } = await import('../../dist/index.js')
const { bullmqCluster } = await import('../../dist/bullmq.js')
const { modelDownloader } = await import('../../dist/node.js')

const manager = new DownloadManager({
  directory: plan.directory,
  defaultMode: null,
  proxy: false,
  cluster: bullmqCluster(plan.cluster),
  ...plan.manager,
})
const started = performance.now()
manager.on('log', ({ level, message }) => {
  console.log(`${Math.round(performance.now() - started)} ${level}: ${message}`)
})
manager.on('verifying', () => {
  stopHere('verifying')
})
await manager.ready

const routes = modelDownloader({ manager, allowedHosts: plan.allowedHosts })
const server = createServer((req, res) => {
  routes(req, res)
})
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`)
})

createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, value] = line.split(' ')
  if (command !== 'block') return
  console.log('blocked')
  Atomics.wait(waitOn, 0, 0, Number(value))
  console.log('unblocked')
})

process.once('SIGTERM', () => {
  routes.close()
  server.closeAllConnections()
  server.close()
  void manager.close().then(() => process.exit(0))
})
