/** The dashboard on a screen that nobody turns off: 200 downloads, 60 updates a second, for five minutes. */
import type { CDPSession } from 'playwright-core'
import { expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { openBoard } from '../elements/board.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { waitFor } from '../support/wait.js'

const downloads = 200
/** Each is updated four times a second. */
const running = 15
const minutes = 5
/** Frames are counted for so long at a time. */
const windowMs = 5_000

/** What the page holds, once its garbage is gone. */
async function held(
  session: CDPSession,
): Promise<Record<'JSHeapUsedSize' | 'Nodes' | 'JSEventListeners', number>> {
  await session.send('HeapProfiler.collectGarbage')
  const { metrics } = await session.send('Performance.getMetrics')
  const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? Number.NaN
  return {
    JSHeapUsedSize: of('JSHeapUsedSize'),
    Nodes: of('Nodes'),
    JSEventListeners: of('JSEventListeners'),
  }
}

describeWith(chromium, 'the dashboard, for long', () => {
  it('drops no frames and holds no more and more memory', async () => {
    await using board = await openBoard({
      of: { concurrency: running, connections: 1, tuning: { progressIntervalMs: 250 } },
    })
    const { backend, page } = board
    const content = ggufContent(200_000_000)
    for (let i = 0; i < downloads; i++) {
      backend.origin.serve(`/model-${i}.gguf`, { content, bytesPerSecond: 60_000 })
      await backend.manager.download({ url: backend.origin.url(`/model-${i}.gguf`), mode: 'llm' })
    }
    await waitFor(async () => (await page.locator('model-download-row').count()) === downloads, {
      timeoutMs: 60_000,
      what: 'all rows',
    })
    await waitFor(
      () => backend.manager.list().filter(({ state }) => state === 'downloading').length === running,
      {
        timeoutMs: 60_000,
        what: 'as many to run as may',
      },
    )

    let updates = 0
    const watching = new AbortController()
    const client = createClient({ baseUrl: backend.url })
    const counting = (async () => {
      for await (const { type } of client.followAll({ signal: watching.signal }))
        if (type === 'changed') updates++
    })().catch(() => undefined)

    await page.evaluate(`
      globalThis.frames = []
      let count = 0
      let since = performance.now()
      const tick = (now) => {
        count++
        if (now - since >= ${windowMs}) {
          frames.push((count * 1000) / (now - since))
          count = 0
          since = now
        }
        requestAnimationFrame(tick)
      }
      requestAnimationFrame(tick)`)
    const session = await page.context().newCDPSession(page)
    await session.send('Performance.enable')
    const quarter = (minutes * 60_000) / 4
    await page.waitForTimeout(quarter)
    const before = await held(session)
    const begun = performance.now()
    updates = 0
    await page.waitForTimeout(3 * quarter)
    const perSecond = (updates * 1000) / (performance.now() - begun)
    const after = await held(session)
    const frames = await page.evaluate<number[]>('frames')
    watching.abort()
    await counting

    console.log({ perSecond, before, after, frames: frames.map(Math.round).join(' ') })
    expect(perSecond).toBeGreaterThan(50)
    expect(frames.length).toBeGreaterThan((minutes * 60_000) / windowMs - 3)
    expect(Math.min(...frames)).toBeGreaterThanOrEqual(30)
    expect(after.JSHeapUsedSize).toBeLessThan(before.JSHeapUsedSize * 1.1 + 1_000_000)
    expect(after.Nodes).toBeLessThan(before.Nodes * 1.05 + 100)
    expect(after.JSEventListeners).toBeLessThanOrEqual(before.JSEventListeners + 10)
    for (const download of backend.manager.list()) await backend.manager.cancel(download.url)
  }, 900_000)
})
