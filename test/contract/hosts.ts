import { describe, expect, it } from 'vitest'
import { rawExchange } from '../support/raw-client.js'
import { expectProblem } from './scene.js'
import type { Subject } from './suite.js'

/** How the routes live beside those of their host. */
export function hostTests({ open, traits }: Subject): void {
  describe.each(['', '/ml', '/deep/er'])('mounted at "%s"', (path) => {
    it('answers at its paths', async () => {
      await using scene = await open({ path })
      const url = scene.serve('/mounted.gguf')
      expect((await scene.start(url)).status).toBe(200)
      await scene.until(url, 'completed')
      const { body } = await scene.call('GET', '/api/models/openapi.json')
      expect(body).toMatchObject({ openapi: expect.any(String) })
    })

    it('answers at no others', async () => {
      await using scene = await open({ path })
      for (const target of ['/api/models/download/status', '/ml/api/models/download/status', '/ml2/api']) {
        if (`${path}/api/models/download/status` === target) continue
        const response = await fetch(`http://127.0.0.1:${scene.port}${target}`)
        expect([target, response.status]).toEqual([target, 404])
        await response.text()
      }
      // Servers that rewrite a path before anybody sees it are safe: what guards see is what is served.
      const spellings = traits.seesCallers
        ? ['/api/models/x/../download/status', '/api/models/./download/status']
        : []
      for (const target of [...spellings, '/api/models/%64ownload/status', '/api/models//download/status']) {
        const head = `GET ${path}${target} HTTP/1.1\r\nHost: 127.0.0.1:${scene.port}\r\nConnection: close`
        const raw = await rawExchange({ port: scene.port }, `${head}\r\n\r\n`)
        expect([target, raw.status]).toEqual([target, 404])
      }
    })

    if (traits.isMiddleware)
      it('hands everything else to the host', async () => {
        await using scene = await open({ path })
        const ask = async (target: string, init?: RequestInit) => {
          const response = await fetch(scene.url(target), init)
          return [response.status, await response.text(), response.headers.get('x-host')]
        }
        expect(await ask('/host')).toEqual([200, 'host', 'yes'])
        for (const target of [
          '/api',
          '/api/models',
          '/api/models/other',
          '/api/models/download/nonsense',
          '/x?y=1',
        ]) {
          expect([target, ...(await ask(target))]).toEqual([target, 404, 'nothing', 'yes'])
        }
        expect(await ask('/api/models/other', { method: 'POST', body: 'x'.repeat(100_000) })).toEqual([
          404,
          'nothing',
          'yes',
        ])
      })

    if (traits.isMiddleware)
      it('keeps the header fields that the host has set', async () => {
        await using scene = await open({ path })
        const fine = await scene.call('GET', '/api/models/download/status')
        expect(fine.headers.get('x-host')).toBe('yes')
        const wrong = await scene.call('POST', '/api/models/download', { json: {} })
        expectProblem(wrong, 400)
        expect(wrong.headers.get('x-host')).toBe('yes')
      })
  })

  it('survives a manager that is closed', async () => {
    await using scene = await open()
    await Promise.all(scene.managers.map((manager) => manager.close()))
    expectProblem(await scene.start(scene.origin.url('/late.gguf')), 503, 'CLOSED')
  })
}
