import { createServer, type IncomingMessage } from 'node:http'
import { modelDownloader } from '../../adapters/node.js'
import { hosted, type Mount } from './scene.js'
import { describeContract } from './suite.js'

const mount: Mount = async ({ options, path, parsesBodies }) => {
  const routes = modelDownloader({ ...options, basePath: path })
  const server = createServer((req, res) => {
    res.setHeader('X-Host', 'yes')
    const serve = () => {
      routes(req, res, () => {
        if (req.url === `${path}/host`) res.end('host')
        else res.writeHead(404).end('nothing')
      })
    }
    if (parsesBodies) void parseBody(req).then(serve)
    else serve()
  })
  return hosted(server, routes)
}

async function parseBody(req: IncomingMessage): Promise<void> {
  if (req.headers['content-type'] !== 'application/json') return
  const chunks = (await req.toArray()) as Buffer[] // nobody has set an encoding
  Object.assign(req, { body: JSON.parse(Buffer.concat(chunks).toString()) as unknown })
}

describeContract('node:http', mount, {}, { complete: true })
