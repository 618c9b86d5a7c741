import { expect, it } from 'vitest'
import { arrives, KiB, makeManager, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(256 * KiB)

it('lets a second manager of a folder work on its own downloads, and take over when the first has ended', async () => {
  await using bench = await startBench({ store: 'file' })
  const { manager: first, origin, directory } = bench
  origin.serve('/slow.bin', { content, bytesPerSecond: 64 * KiB })
  origin.serve('/other.bin', { content })
  const slow = await first.download({ url: origin.url('/slow.bin') })
  await waitFor(() => slow.current.downloaded > 0, { what: 'some bytes' })

  await using second = makeManager(directory, { store: 'file' })
  const said: string[] = []
  second.on('log', ({ message }) => said.push(message))
  await second.ready
  expect(second.get(slow.url)).toBeUndefined()
  await arrives(await second.download({ url: origin.url('/other.bin') }))
  const same = await second.download({ url: slow.url })
  await expect(same.finished).rejects.toMatchObject({ code: 'TARGET_LOCKED' })
  await second.remove(slow.url)
  expect(said.filter((message) => message.startsWith('Another manager'))).toHaveLength(1)
  expect(slow.state).toBe('downloading')

  await first.close()
  const taken = await waitFor(() => second.get(slow.url), { what: 'the download to be taken over' })
  await arrives(taken!)
})
