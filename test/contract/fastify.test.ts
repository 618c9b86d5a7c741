import Fastify from 'fastify'
import { modelDownloader } from '../../adapters/fastify.js'
import type { Mount } from './scene.js'
import { describeContract } from './suite.js'

const mount: Mount = async ({ options, path, parsesBodies }) => {
  const app = Fastify()
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('X-Host', 'yes')
  })
  if (parsesBodies) {
    app.removeContentTypeParser('application/json')
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
      done(null, JSON.parse(String(text)))
    })
  }
  await app.register(modelDownloader, { ...options, ...(path === '' ? {} : { prefix: path }) })
  app.get(`${path}/host`, () => 'host')
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null)
  })
  app.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing'))
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { server: app.server, close: () => app.close() }
}

describeContract('Fastify 5', mount)
