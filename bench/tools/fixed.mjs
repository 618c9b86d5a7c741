/** Ours with a number of connections that is fixed from the start, to judge the number that the default finds. */
import { parseArgs } from 'node:util'
import { DownloadManager } from '../../dist/index.js'

const { values, positionals } = parseArgs({
  options: { dir: { type: 'string' }, connections: { type: 'string' }, sha256: { type: 'string' } },
  allowPositionals: true,
})
const connections = Number(values.connections)
const manager = new DownloadManager({
  directory: values.dir,
  defaultMode: null,
  store: 'memory',
  proxy: false,
  connections,
  tuning: { initialConnections: connections },
})
const download = await manager.download({ url: positionals[0], sha256: values.sha256 })
await download.finished
await manager.close()
