import { describe, expect, it } from 'vitest'
import type { Action, Permission } from '../../src/http/access.js'
import { modelsOf } from './preload.js'
import { expectProblem } from './scene.js'
import type { Subject } from './suite.js'

const ui = '/api/models/ui'
const permissions = '/api/models/permissions'

/** What a page for people needs: itself, and what its caller may do. */
export function dashboardTests({ open, traits }: Subject): void {
  const cluster = traits.cluster !== null

  describe('the dashboard', () => {
    it.each(['', '/ml'])('is one page without anything from elsewhere, mounted at "%s"', async (path) => {
      await using scene = await open({ path, handler: { ui: true } })
      const response = await fetch(scene.url(ui))
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
      expect(response.headers.get('x-content-type-options')).toBe('nosniff')
      const policy = response.headers.get('content-security-policy') ?? ''
      expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; /)
      expect(policy).not.toMatch(/unsafe|\*|https?:/)
      const text = await response.text()
      expect(text).toMatch(/^<!doctype html>/)
      expect(text).not.toMatch(/\s(?:src|href)="(?!data:)/)
      const etag = response.headers.get('etag') ?? ''
      const again = await fetch(scene.url(ui), { headers: { 'If-None-Match': etag } })
      expect([again.status, await again.text()]).toEqual([304, ''])
      const head = await fetch(scene.url(ui), { method: 'HEAD' })
      expect([head.status, await head.text()]).toEqual([200, ''])
      const slashed = await fetch(`${scene.url(ui)}/`)
      expect([slashed.status, await slashed.text()]).toEqual([200, text])
      expectProblem(await scene.call('POST', ui), 405)
    })

    it('is there only where the host wants it', async () => {
      await using scene = await open()
      const response = await fetch(scene.url(ui))
      expect(response.status).toBe(404)
      expect(await response.text()).not.toContain('<script')
      const { body } = await scene.call('GET', '/api/models/openapi.json')
      expect(body).not.toHaveProperty(['paths', ui])
      expect(body).toHaveProperty(['paths', permissions])
    })

    it('comes to those who have yet to say who they are', async () => {
      await using scene = await open({ handler: { ui: true, authorize: () => 'unauthenticated' } })
      const response = await fetch(scene.url(ui))
      expect(response.status).toBe(200)
      await response.text()
      expectProblem(await scene.call('GET', '/api/models/download/status'), 401)
    })

    if (traits.seesCallers)
      it('is not for other machines where there is no authorize', async () => {
        await using scene = await open({ handler: { ui: true } })
        const response = await fetch(scene.url(ui), { headers: { 'X-Forwarded-For': '203.0.113.7' } })
        expect(response.status).toBe(403)
        await response.text()
      })
  })

  describe('permissions', () => {
    it('are all there for callers on this machine', async () => {
      await using scene = await open()
      const { status, body } = await scene.call('GET', permissions)
      expect([status, body]).toEqual([200, answer([true, true, true], { cluster, unauthenticated: false })])
      await using other = await open({ models: modelsOf() })
      expect((await other.call('GET', permissions)).body).toMatchObject({ preload: true })
    })

    it.each<[Permission, Permission, Permission, number]>([
      [true, true, true, 200],
      [true, false, false, 200],
      [true, false, 'unauthenticated', 200],
      [false, false, false, 200],
      [false, true, true, 200],
      ['unauthenticated', 'unauthenticated', 'unauthenticated', 401],
      [false, 'unauthenticated', 'unauthenticated', 401],
    ])('are what the host says: %s, %s, %s', async (read, manage, queue, status) => {
      const said: Record<Action, Permission> = {
        'downloads:read': read,
        'downloads:manage': manage,
        'queue:manage': queue,
      }
      await using scene = await open({ handler: { authorize: async (action) => said[action] } })
      const told = await scene.call('GET', permissions)
      if (status !== 200) return void expectProblem(told, status, 'ACCESS_DENIED')
      const asks = [read, manage, queue].includes('unauthenticated')
      expect([told.status, told.body]).toEqual([
        200,
        answer([read, manage, queue], { cluster, unauthenticated: asks }),
      ])
    })

    it('are none when the host can not tell', async () => {
      const authorize = () => Promise.reject(new Error('no database'))
      await using scene = await open({ handler: { authorize } })
      const told = await scene.call('GET', permissions)
      expect(told.status).toBe(500)
      expect(JSON.stringify(told.body)).not.toContain('database')
    })
  })
}

/** The answer of a host without a catalog. */
function answer(
  permissions: readonly Permission[],
  more: { cluster: boolean; unauthenticated: boolean },
): object {
  const [read, manage, queue] = permissions.map((permission) => permission === true)
  return {
    success: true,
    permissions: { 'downloads:read': read, 'downloads:manage': manage, 'queue:manage': queue },
    preload: false,
    fleet: false,
    ...more,
  }
}
