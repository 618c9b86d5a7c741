import { describe, expect, it } from 'vitest'
import type { Action, Permission, RequestContext } from '../../src/http/access.js'
import { rawExchange, type RawResponse } from '../support/raw-client.js'
import { expectProblem, type Scene } from './scene.js'
import type { Subject } from './suite.js'

const status = '/api/models/download/status'

/** A GET with custom headers, including `Host`. */
function ask(scene: Scene, ...lines: string[]): Promise<RawResponse> {
  const head = [`GET ${scene.path}${status} HTTP/1.1`, ...lines, 'Connection: close'].join('\r\n')
  return rawExchange({ port: scene.port }, `${head}\r\n\r\n`)
}

/** Every route, and what it asks permission for. */
const actions: [method: string, route: string, action: Action][] = [
  ['POST', '/api/models/download', 'downloads:manage'],
  ['DELETE', '/api/models/download', 'downloads:manage'],
  ['GET', status, 'downloads:read'],
  ['POST', '/api/models/download/pause', 'downloads:manage'],
  ['POST', '/api/models/download/resume', 'downloads:manage'],
  ['POST', '/api/models/download/cancel', 'downloads:manage'],
  ['POST', '/api/models/download/retry', 'downloads:manage'],
  ['GET', '/api/models/download/events', 'downloads:read'],
  ['GET', '/api/models/openapi.json', 'downloads:read'],
  ['GET', '/api/v1/models/status', 'downloads:read'],
  ['POST', '/api/v1/models/preload/start', 'queue:manage'],
  ['POST', '/api/v1/models/preload/cancel', 'queue:manage'],
  ['GET', '/api/v1/models/preload/status', 'downloads:read'],
  ['GET', '/api/v1/models/preload/events', 'downloads:read'],
]

/** Who may call, and which web pages. */
export function accessTests({ open, traits }: Subject): void {
  if (traits.seesCallers)
    describe('without authorize', () => {
      it('serves loopback names only', async () => {
        await using scene = await open()
        const { port } = scene
        for (const host of [`127.0.0.1:${port}`, 'localhost', `LOCALHOST:${port}`, '[::1]', '127.9.9.9']) {
          expect([host, (await ask(scene, `Host: ${host}`)).status]).toEqual([host, 200])
        }
        const foreign = [
          'evil.example',
          `evil.example:${port}`,
          'localhost.evil.example',
          '10.0.0.1',
          '127.0.0.1.nip.io',
        ]
        for (const host of foreign) {
          const response = await ask(scene, `Host: ${host}`)
          expect([host, response.status]).toEqual([host, 403])
          expect(response.header('content-type')).toMatch(/^application\/problem\+json/)
        }
        for (const host of ['user@localhost', 'localhost/x', 'local host', '[::1', 'localhost:99999']) {
          expect([host, (await ask(scene, `Host: ${host}`)).status >= 400]).toEqual([host, true])
        }
        const twice = await ask(scene, 'Host: localhost', 'Host: evil.example')
        expect(twice.status).toBeGreaterThanOrEqual(400)
      })

      it('serves nobody for whom a proxy asks', async () => {
        await using scene = await open()
        const host = `Host: localhost:${scene.port}`
        for (const line of [
          'X-Forwarded-For: 203.0.113.7',
          'X-Forwarded-For: 127.0.0.1',
          'X-Forwarded-For: 127.0.0.1, 203.0.113.7',
          'Via: 1.1 proxy',
          'Forwarded: for=203.0.113.7;proto=https',
          'X-Real-IP: 203.0.113.7',
        ]) {
          expect([line, (await ask(scene, host, line)).status]).toEqual([line, 403])
        }
      })

      it('lets no page of another origin write', async () => {
        await using scene = await open()
        const url = scene.origin.url('/x.gguf')
        const headers = { Origin: 'http://evil.example' }
        expectProblem(await scene.call('POST', '/api/models/download', { json: { url }, headers }), 403)
        expect(scene.manager.list()).toEqual([])
      })
    })

  if (!traits.seesCallers)
    describe('without authorize', () => {
      it('refuses everybody', async () => {
        await using scene = await open({ handler: { authorize: undefined } })
        for (const [method, route] of actions)
          expectProblem(await scene.call(method, route), 403, 'ACCESS_DENIED')
      })
    })

  describe('with authorize', () => {
    it('asks about each route, and heeds the answer', async () => {
      let permission: Permission = false
      const asked: [string, RequestContext][] = []
      await using scene = await open({
        handler: {
          authorize: (action, _request, context) => {
            asked.push([action, context])
            return permission
          },
        },
      })
      for (const [method, route, action] of actions) {
        expectProblem(await scene.call(method, route), 403, 'ACCESS_DENIED')
        expect([method, route, asked.at(-1)?.[0]]).toEqual([method, route, action])
      }
      permission = 'unauthenticated'
      const answer = await scene.call('GET', status)
      expectProblem(answer, 401, 'ACCESS_DENIED')
      expect(answer.headers.get('www-authenticate')).toMatch(/\S/)
      if (traits.seesCallers) {
        expect(asked[0]?.[1]).toMatchObject({ remoteAddress: '127.0.0.1', native: expect.anything() })
      }
    })

    it('shows it the request, and refuses when it fails', async () => {
      await using scene = await open({
        handler: {
          authorize: async (_action, request) => {
            if (request.headers.has('x-fail')) throw new Error('no database')
            return request.headers.get('authorization') === 'Bearer right' || 'unauthenticated'
          },
        },
      })
      const call = (headers: Record<string, string>) => scene.call('GET', status, { headers })
      expect((await call({ Authorization: 'Bearer right' })).status).toBe(200)
      expectProblem(await call({ Authorization: 'Bearer wrong' }), 401)
      const failed = await call({ 'X-Fail': 'yes' })
      expect(failed.status).toBeGreaterThanOrEqual(400)
      expect(JSON.stringify(failed.body)).not.toContain('database')
    })

    it('serves every name and everybody behind a proxy', async () => {
      await using scene = await open({ handler: { authorize: () => true } })
      expect((await ask(scene, 'Host: models.example', 'X-Forwarded-For: 203.0.113.7')).status).toBe(200)
      for (const host of ['user@models.example', 'models.example:x', 'models example', '[::1']) {
        expect([host, (await ask(scene, `Host: ${host}`)).status]).toEqual([host, 400])
      }
    })
  })

  describe('web pages of other origins', () => {
    const page = 'https://app.example.com'
    const preflight = (scene: Scene, origin: string) =>
      fetch(scene.url('/api/models/download'), {
        method: 'OPTIONS',
        headers: {
          Origin: origin,
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'content-type, x-token',
        },
      })

    it('may not call by default', async () => {
      await using scene = await open()
      for (const response of [
        await preflight(scene, page),
        await fetch(scene.url(status), { headers: { Origin: page } }),
      ]) {
        expect(response.headers.get('access-control-allow-origin')).toBeNull()
        await response.text()
      }
    })

    it('may when they are listed', async () => {
      await using scene = await open({ handler: { cors: { origins: [page] } } })
      const asked = await preflight(scene, page)
      expect([asked.status, await asked.text()]).toEqual([204, ''])
      expect(asked.headers.get('access-control-allow-origin')).toBe(page)
      expect(asked.headers.get('access-control-allow-methods')).toMatch(/\bPOST\b.*\bDELETE\b/)
      expect(asked.headers.get('access-control-allow-headers')?.toLowerCase()).toContain('x-token')
      const headers = { Origin: page }
      for (const answer of [
        await scene.call('GET', status, { headers }),
        await scene.call('POST', '/api/models/download', { json: {}, headers }),
        await scene.call('PUT', '/api/models/download', { headers }),
      ]) {
        expect(answer.headers.get('access-control-allow-origin')).toBe(page)
        expect(answer.headers.get('vary')?.toLowerCase()).toContain('origin')
      }
      const other = await preflight(scene, 'https://evil.example')
      expect(other.headers.get('access-control-allow-origin')).toBeNull()
      await other.text()
    })

    it('may all, when it says so', async () => {
      await using scene = await open({ handler: { cors: { origins: '*' } } })
      const url = scene.serve('/cors.gguf')
      const answer = await scene.call('POST', '/api/models/download', {
        json: { url },
        headers: { Origin: page },
      })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('access-control-allow-origin')).toBe('*')
      await scene.until(url, 'completed')
    })
  })
}
