/** What a remote caller can grow is bounded, and leaves room for trusted callers. FAULTS.md row 70. */
import { expect, it } from 'vitest'
import { arrives, fails, KiB, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(64 * KiB)
const slow = { content: randomContent(256 * MiB), bytesPerSecond: 128 * KiB }
const remote = { allowPrivateNetwork: true }

it('remote callers leave a slot free, and trusted ones are the first to get any', async () => {
  await using bench = await startBench({ concurrency: 2, remoteConcurrency: 1, connections: 1 })
  const { manager, origin } = bench
  for (const name of ['a', 'b', 'c', 'd']) origin.serve(`/${name}.bin`, slow)
  origin.serve('/own.bin', { content })
  const urls = ['a', 'b', 'c'].map((name) => origin.url(`/${name}.bin`))
  const theirs = await Promise.all(urls.map((url) => manager.download({ url, remote, priority: 1_000_000 })))
  const states = () => theirs.map(({ state }) => state === 'queued')
  await waitFor(() => theirs[0]?.state === 'downloading')
  expect(states()).toEqual([false, true, true])
  await arrives(await manager.download({ url: origin.url('/own.bin'), priority: -5 }))
  expect(states()).toEqual([false, true, true])
  // The next one follows when the first has ended.
  await theirs[0]?.cancel()
  await waitFor(() => theirs[1]?.state === 'downloading')
  expect(states()).toEqual([false, false, true])
})

it('leaves one of three slots to trusted callers by default, and of more when there are more', async () => {
  await using bench = await startBench({ concurrency: 3, connections: 1 })
  const { manager, origin } = bench
  for (const name of ['a', 'b', 'c']) origin.serve(`/${name}.bin`, slow)
  const [a, b, c] = await Promise.all(
    ['a', 'b', 'c'].map((name) => manager.download({ url: origin.url(`/${name}.bin`), remote })),
  )
  await waitFor(() => a?.state === 'downloading' && b?.state === 'downloading')
  expect(c?.state).toBe('queued')
  manager.concurrency = 4
  await waitFor(() => c?.state === 'downloading')
})

it('forgets the oldest settled downloads of remote callers, and none of the host application', async () => {
  await using bench = await startBench({ maxRecords: 2 })
  const { manager, origin } = bench
  const url = (name: string) => origin.url(`/${name}.bin`)
  await fails(await manager.download({ url: url('own') }))
  for (const name of ['a', 'b', 'c', 'd', 'e'])
    await fails(await manager.download({ url: url(name), remote }))
  expect(manager.list().map((download) => download.url)).toEqual(['own', 'c', 'd', 'e'].map(url))
})

it("a 429 for a remote caller does not hold trusted callers' downloads", async () => {
  await using bench = await startBench({ tuning: { maxRetryAfterMs: 3_600_000 } })
  const { manager, origin } = bench
  origin.serve('/limited.bin', { status: 429, headers: { 'retry-after': '3600' } })
  origin.serve('/own.bin', { content })
  let retrying = false
  manager.on('retrying', () => (retrying = true))
  await manager.download({ url: origin.url('/limited.bin'), remote })
  await waitFor(() => retrying)
  await arrives(await manager.download({ url: origin.url('/own.bin') }))
})
