/** The dashboard in Firefox: what its engine might do differently from Chromium's. */
import axe from 'axe-core'
import { expect, it } from 'vitest'
import { startBackend } from '../frontends/stage.js'
import { openFirefox } from '../support/firefox.js'
import { ggufContent } from '../support/content.js'
import { describeWith, firefox } from '../support/machine.js'
import { inside, ui } from './board.js'

const row = inside('model-downloads', 'model-download-row')
const list = inside('model-downloads', '.scroll')

describeWith(firefox, 'the dashboard in Firefox', () => {
  it('shows, filters, controls and explains downloads', async () => {
    await using backend = await startBackend({ ui: true, of: { concurrency: 1 } })
    const { manager, origin } = backend
    origin.serve('/slow.gguf', { content: ggufContent(8_000_000), bytesPerSecond: 100_000 })
    const running = await manager.download({ url: origin.url('/slow.gguf'), mode: 'llm' })
    for (let index = 0; index < 300; index++)
      await manager.download({ url: origin.url(`/file-${index}.gguf`), mode: 'embed' })
    await using page = await openFirefox(backend.url + ui)
    await page.until(
      `${row}?.shadowRoot?.textContent.includes('MB/s') === true || ${row}?.shadowRoot?.textContent.includes('kB/s') === true`,
      'a speed',
    )
    expect(await page.evaluate<number>(`${list}.querySelectorAll('li').length`)).toBeLessThan(30)
    await page.evaluate(`${list}.scrollTo(0, 1e9)`)
    await page.until(`${list}.querySelector('li[aria-posinset="300"]') !== null`, 'the last row')
    await page.evaluate(`${list}.scrollTo(0, 0)`)
    await page.until(`${row}?.download.filename === 'slow.gguf'`, 'the first row')

    await page.evaluate(`${row}.shadowRoot.querySelector('.name').click()`)
    const dialog = inside('model-downloads', 'model-download-details', 'dialog[open]')
    await page.until(`${dialog.replaceAll('.shadowRoot', '?.shadowRoot')} != null`, 'the details')
    const { violations } = await page.evaluate<{ violations: { id: string }[] }>(
      `(() => { ${axe.source}; return axe.run() })()`,
    )
    expect(violations.map(({ id }) => id)).toEqual([])
    await page.evaluate(`${dialog}.close()`)

    await page.evaluate(`${row}.shadowRoot.querySelector('.actions button').click()`)
    await page.until(
      `${row}?.download.state === 'paused' || ${list}.querySelector('h3[data-section=paused]') !== null`,
      'the pause',
    )
    expect(manager.get(running.url)?.state).toBe('paused')
  })
})
