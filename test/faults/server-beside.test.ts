/** FAULTS rows 13 and 15: what the refusal of a download's first request means beside another one of the same host. */
import { expect, it } from 'vitest'
import type { DownloadManagerOptions } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { fastTuning, MiB } from './harness.js'
import { ending, failure, listen, openScene, success } from './scene.js'

const content = randomContent(1 * MiB, 'beside')
const path = '/refused.bin'
const connections = 4
const { maxAttempts } = fastTuning

/** A scene with a download on `connections` connections, which takes two seconds. */
async function besideRunning(options: DownloadManagerOptions = {}) {
  const scene = await openScene({ connections, ...options })
  const manager = scene.manager()
  const told = listen(manager)
  scene.origin.serve('/running.bin', { content, bytesPerSecond: 128 * 1024 })
  const running = await manager.download({ url: scene.origin.url('/running.bin') })
  const requests = () => scene.origin.requests('/running.bin')
  await expect.poll(requests).toHaveLength(connections)
  const isOpen = () => requests().some(({ outcome }) => outcome === 'open')
  return { scene, manager, running, told, requests, isOpen }
}

it('401, 403, 404 or 451: fails for itself, and says nothing about other files', async () => {
  const { scene, manager, running, told, requests, isOpen } = await besideRunning()
  const codes = { 401: 'ACCESS_DENIED', 403: 'ACCESS_DENIED', 404: 'NOT_FOUND', 451: 'HTTP_ERROR' } as const
  for (const [status, code] of Object.entries(codes)) {
    scene.origin.serve(`/${status}.bin`, { content, requires: () => Number(status) })
    const error = failure(await scene.fetch(`/${status}.bin`, {}, manager), code)
    expect(error).toMatchObject({ status: Number(status), retryable: false })
  }
  scene.origin.serve('/third.bin', { content })
  success(await scene.fetch('/third.bin', {}, manager))
  expect(isOpen()).toBe(true)
  expect(success(await ending(running, told)).fetchedBytes).toBe(content.size)
  expect(requests().every(({ status }) => status === 206)).toBe(true)
  expect(told).toMatchObject({ retries: [], restarts: [] })
  await scene.expectFile('running.bin', content, ['third.bin'])
})

it.each([429, 503])('%i with Retry-After: waits, while what runs goes on', async (status) => {
  const { scene, manager, running, told, isOpen } = await besideRunning()
  const faults = [{ type: 'status', status, retryAfter: 1, times: 1 } as const]
  scene.origin.serve(path, { content, faults })
  success(await scene.fetch(path, {}, manager))
  expect(isOpen()).toBe(true)
  expect(success(await ending(running, told)).fetchedBytes).toBe(content.size)
  expect(told).toMatchObject({ retries: ['HTTP_ERROR'], delaysMs: [1_000], restarts: [] })
  await scene.expectFile('running.bin', content, ['refused.bin'])
})

it('429 without Retry-After as long as the other runs: is retried until then, however often', async () => {
  const { scene, manager, running, told, isOpen } = await besideRunning({
    tuning: { minDelayMs: 20, maxDelayMs: 40 },
  })
  scene.origin.serve(path, { content, requires: () => (isOpen() ? 429 : undefined) })
  const refused = await scene.fetch(path, {}, manager)
  expect(success(refused).sha256).toBe(content.sha256())
  expect(told.retries.length).toBeGreaterThan(2 * maxAttempts)
  expect(success(await ending(running, told)).fetchedBytes).toBe(content.size)
  expect(scene.origin.requests('/running.bin').every(({ status }) => status === 206)).toBe(true)
  expect(told.restarts).toEqual([])
  await scene.expectFile('running.bin', content, ['refused.bin'])
})

it('503 without Retry-After: fails for itself after its attempts', async () => {
  const { scene, manager, running, told, isOpen } = await besideRunning()
  scene.origin.serve(path, { content, requires: () => 503 })
  failure(await scene.fetch(path, {}, manager), 'HTTP_ERROR')
  expect(scene.origin.requests(path)).toHaveLength(maxAttempts)
  expect(isOpen()).toBe(true)
  expect(success(await ending(running, told)).fetchedBytes).toBe(content.size)
  await scene.expectFile('running.bin', content)
})
