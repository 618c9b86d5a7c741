/** `urls` in `POST /api/models/download`. */
import { expect, it } from 'vitest'
import { KiB } from '../faults/harness.js'
import { startCanary } from '../support/canary.js'
import { randomContent } from '../support/content.js'
import { startHttp } from './bench.js'

const content = randomContent(64 * KiB)

it('the file comes from a mirror, and the URL stays the name', async () => {
  await using bench = await startHttp()
  const { origin } = bench
  origin.serve('/mirror.bin', { content })
  const url = origin.url('/gone.bin')
  const { status, body } = await bench.post({ url, urls: [origin.url('/mirror.bin')] })
  expect(status).toBe(200)
  expect(body).toMatchObject({ url, filename: 'gone.bin' })
  expect(await bench.until(url, 'completed')).toMatchObject({ url, sha256: content.sha256() })
})

it.each([
  ['none', []],
  ['too many', Array.from({ length: 33 }, (_, index) => `https://m${index}.example/a`)],
  ['no list', 'https://m.example/a'],
  ['another scheme', ['file:///etc/passwd']],
  ['a password', ['https://user:secret@m.example/a']],
  ['white space', ['https://m.example/a b']],
])('%s: 400 with the place', async (_, urls) => {
  await using bench = await startHttp()
  const { status, body } = await bench.post({ url: 'https://a.example/a.bin', urls })
  expect(status).toBe(400)
  expect(JSON.stringify(body['issues'])).toMatch(/"urls(\.0)?"/)
  expect(JSON.stringify(body)).not.toContain('secret')
  expect(bench.manager.list()).toEqual([])
})

it('a mirror on a private network is left out, without a packet to it', async () => {
  await using canary = await startCanary()
  await using bench = await startHttp()
  const { origin } = bench
  origin.serve('/mirror.bin', { content })
  const url = origin.url('/gone.bin')
  const hidden = `http://localhost:${canary.port}/x.bin`
  expect((await bench.post({ url, urls: [hidden, origin.url('/mirror.bin')] })).status).toBe(200)
  await bench.until(url, 'completed')
  expect(canary.connections).toBe(0)
})
