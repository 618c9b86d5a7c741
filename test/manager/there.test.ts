import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { arrives, KiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor, withTimeout } from '../support/wait.js'

const content = randomContent(64 * KiB)
const endless = { content: randomContent(1024 * KiB), bytesPerSecond: 16 * KiB }

it('a file that is there already waits for no slot', async () => {
  await using bench = await startBench({ concurrency: 1 })
  const { manager, origin, directory } = bench
  origin.serve('/slow.bin', endless)
  origin.serve('/b.bin', { content })
  const slow = await manager.download({ url: origin.url('/slow.bin') })
  await waitFor(() => slow.current.downloaded > 0, { what: 'the slot to be taken' })
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'b.bin'), 'whatever')
  expect(manager.waiting).toBe(0)

  const there = await manager.download({ url: origin.url('/b.bin') })
  expect(await arrives(there, 2_000)).toMatchObject({ existed: true, fetchedBytes: 0, size: 8 })
  const again = await manager.download({ url: origin.url('/b.bin') })
  expect(await arrives(again, 2_000)).toMatchObject({ existed: true, fetchedBytes: 0 })
  expect([slow.state, manager.waiting, origin.requests('/b.bin')]).toEqual(['downloading', 0, []])
})

it('one that is there but must be hashed, is of another size, or is to be fetched anew waits for its turn', async () => {
  await using bench = await startBench({ concurrency: 1 })
  const { manager, origin, directory } = bench
  origin.serve('/slow.bin', endless)
  await mkdir(directory, { recursive: true })
  for (const name of ['a.bin', 'b.bin', 'c.bin']) await writeFile(join(directory, name), 'whatever')
  const slow = await manager.download({ url: origin.url('/slow.bin') })
  await waitFor(() => slow.current.downloaded > 0, { what: 'the slot to be taken' })
  const waiting = [
    await manager.download({ url: origin.url('/a.bin'), sha256: content.sha256() }),
    await manager.download({ url: origin.url('/b.bin'), size: 9 }),
    await manager.download({ url: origin.url('/c.bin'), force: true }),
  ]
  expect([manager.waiting, waiting.map(({ state }) => state)]).toEqual([3, ['queued', 'queued', 'queued']])
  await waiting[0]!.cancel()
  expect(manager.waiting).toBe(2)
})

it('a finished one whose file has changed since waits for its turn when a digest is expected', async () => {
  await using bench = await startBench({ concurrency: 1 })
  const { manager, origin, directory } = bench
  origin.serve('/slow.bin', endless)
  origin.serve('/a.bin', { content })
  const wanted = { url: origin.url('/a.bin'), sha256: content.sha256() }
  const download = await manager.download(wanted)
  await arrives(download)
  const slow = await manager.download({ url: origin.url('/slow.bin') })
  await waitFor(() => slow.current.downloaded > 0, { what: 'the slot to be taken' })

  expect(await arrives(await manager.download(wanted), 2_000)).toMatchObject({
    existed: true,
    verified: true,
  })
  await utimes(join(directory, 'a.bin'), new Date(), new Date(0))
  expect((await manager.download(wanted)).state).toBe('queued')
  expect(manager.waiting).toBe(1)
})

it('a thousand of them are looked at a few at a time', async () => {
  await using bench = await startBench({ concurrency: 1 })
  const { manager, origin, directory } = bench
  await mkdir(directory, { recursive: true })
  const names = Array.from({ length: 1_000 }, (_, index) => `${index}.bin`)
  await Promise.all(names.map((name) => writeFile(join(directory, name), 'x')))
  let atOnce = 0
  let most = 0
  manager.on('started', () => (most = Math.max(most, (atOnce += 1))))
  manager.on('completed', () => (atOnce -= 1))
  const asked = await Promise.all(names.map((name) => manager.download({ url: origin.url(`/${name}`) })))
  await asked[999]!.cancel().catch(() => undefined)
  await withTimeout(manager.onIdle(), 10_000, 'the looks')
  expect([most <= 17, manager.waiting]).toEqual([true, 0])
  expect(asked.slice(0, 999).every(({ state }) => state === 'completed')).toBe(true)
  expect(origin.totalConnections).toBe(0)
})
