/** How many connections a file gets: as many as make it faster. */
import { it } from 'vitest'
import { KiB, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { deadline, waitFor } from '../support/wait.js'

it('gives a file more connections where each one is limited, and the next file as many at once', async () => {
  const headersTimeoutMs = deadline(60_000)
  await using bench = await startBench({
    connections: 16,
    tuning: { initialConnections: 2, minSegmentBytes: 256 * KiB, headersTimeoutMs },
  })
  const { manager, origin } = bench
  const file = { content: randomContent(24 * MiB, 'adapting'), bytesPerSecond: MiB }
  origin.serve('/first.bin', file)
  const first = await manager.download({ url: origin.url('/first.bin') })
  await waitFor(() => first.current.connections === 16, { what: 'all connections' })
  await manager.cancel(first.url)
  // Only the first response comes, so that nothing can be found out about this file: what is known of its server counts.
  origin.serve('/second.bin', { ...file, faults: [{ type: 'stallBeforeHeaders', after: 1 }] })
  await manager.download({ url: origin.url('/second.bin') })
  await waitFor(() => origin.requests('/second.bin').length >= 16, { what: 'as many requests' })
})
