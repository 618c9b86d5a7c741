/** The main process of an app: `electron-main.mjs PLAN`, with a plan in JSON. Prints what came of it as JSON. */
import { createHandler, DownloadManager } from 'model-downloader'

const { url, directory, sha256 } = JSON.parse(process.argv[2])
const told = { log: [], warnings: [] }
process.on('warning', ({ code, message }) => told.warnings.push({ code, message }))
const manager = new DownloadManager({ directory, proxy: false })
manager.on('log', ({ message }) => told.log.push(message))
const file = await (await manager.download({ url, sha256 })).finished
told.verified = file.verified
const handler = createHandler({ manager, ui: true })
const page = await handler(new Request('http://localhost/api/models/ui'), { remoteAddress: '127.0.0.1' })
told.page = page.status
await manager.close()
console.log(JSON.stringify(told))
