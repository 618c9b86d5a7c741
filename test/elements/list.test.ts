/** A list of many downloads in a real browser: what is found, done with all, and kept while it scrolls. */
import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import type { DownloadManager } from '../../src/index.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { waitFor } from '../support/wait.js'
import { expectAccessible, inside, openBoard, slowly, untilSays } from './board.js'

const scroller = inside('model-downloads', '.scroll')

/** Queues many downloads of which none starts, because the only slot is taken. */
async function fill(manager: DownloadManager, url: (path: string) => string, count: number): Promise<void> {
  const urls = Array.from({ length: count }, (_, index) =>
    url(`/file-${String(index).padStart(4, '0')}.gguf`),
  )
  await Promise.all(urls.map((each) => manager.download({ url: each })))
}

/** The numbers of the headings of the sections, and of the buttons that filter by them. */
async function countsOf(page: Page): Promise<{ headings: string[]; filters: string[] }> {
  const clean = (texts: string[]) => texts.map((text) => text.replace(/\s+/g, ' ').trim())
  return {
    headings: clean(await page.locator('model-downloads h3').allInnerTexts()),
    filters: clean(await page.locator('model-download-toolbar .chips button').allInnerTexts()),
  }
}

describeWith(chromium, 'a list of many downloads', () => {
  it('creates only the rows in sight, tells where they are, and keeps the focus while rows move', async () => {
    await using board = await openBoard(
      { of: { concurrency: 1 } },
      { viewport: { width: 1024, height: 768 } },
    )
    const { page, backend } = board
    const { manager, origin } = backend
    const running = slowly(backend, '/running.gguf', 40_000_000)
    await manager.download({ url: running })
    await fill(manager, (path) => origin.url(path), 600)
    await page.locator('.chips button', { hasText: 'Waiting' }).filter({ hasText: '600' }).waitFor()
    expect(await countsOf(page)).toEqual({
      headings: ['Running 1', 'Waiting 600'],
      filters: ['All 601', 'Running 1', 'Waiting 600'],
    })
    expect(await page.locator('model-download-row').count()).toBeLessThan(30)
    expect(await page.evaluate<number>('document.documentElement.scrollHeight')).toBeLessThan(2_000)
    const last = page.locator('li[aria-posinset="600"]')
    expect(await last.count()).toBe(0)
    await page.evaluate(`${scroller}.scrollTo(0, 1e9)`)
    await last.waitFor()
    expect(await last.getAttribute('aria-setsize')).toBe('600')
    await untilSays(last.locator('.row'), 'file-0599.gguf')
    await expectAccessible(page)

    // The row with the focus stays, though it is out of sight, and though it moves to another section.
    await last.locator('.row').getByRole('button', { name: 'Pause: file-0599.gguf' }).focus()
    await page.evaluate(`${scroller}.scrollTo(0, 0)`)
    await page.locator('li[aria-posinset="2"]').first().waitFor()
    await manager.pause(origin.url('/file-0599.gguf'))
    const focused = () =>
      page.evaluate<string>(
        '(() => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement; return at?.getAttribute("aria-label") ?? at?.innerText ?? "" })()',
      )
    await waitFor(async () => (await focused()) === 'Resume: file-0599.gguf', {
      what: 'the focus to be kept',
    })
    await page.keyboard.press('ArrowUp')
    await waitFor(async () => (await focused()) === 'file-0598.gguf', { what: 'the focus to go up' })
  })

  it('finds, sorts, and does the same with all that are shown', async () => {
    await using board = await openBoard({ of: { concurrency: 1 } })
    const { page, backend } = board
    const { manager, origin } = backend
    origin.serve('/done.gguf', { content: ggufContent(10_000) })
    const done = await manager.download({ url: origin.url('/done.gguf'), mode: 'embed' })
    await done.finished
    const failed = await manager.download({ url: origin.url('/missing.gguf') })
    await failed.finished.catch(() => undefined)
    await manager.download({ url: slowly(backend, '/running.gguf', 40_000_000) })
    await fill(manager, (path) => origin.url(path), 3)
    await page.getByRole('heading', { name: 'Waiting 3' }).waitFor()
    expect((await countsOf(page)).headings).toEqual([
      ...['Needs attention 1', 'Running 1', 'Waiting 3', 'Finished 1'],
    ])
    const names = () => page.locator('model-download-row .name').allInnerTexts()

    await page.getByRole('searchbox', { name: 'Search' }).fill('FILE')
    await waitFor(async () => (await names()).length === 3, { what: 'the rows that match' })
    await page.getByRole('button', { name: 'Pause all' }).click()
    await page.getByRole('heading', { name: 'Paused 3' }).waitFor()
    expect(manager.get(origin.url('/running.gguf'))?.state).toBe('downloading')
    await page.getByRole('searchbox', { name: 'Search' }).fill('nothing')
    await page.getByText('No download matches.').waitFor()
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Show all downloads' }).click()
    await page.getByLabel('Order').selectOption('By name')
    await waitFor(async () => (await names()).length === 6, { what: 'all rows' })
    await page.getByRole('button', { name: 'Resume all' }).click()
    await page.getByRole('heading', { name: 'Waiting 3' }).waitFor()

    await page.getByRole('button', { name: 'Clear finished' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('Remove the finished downloads from the list (1)?').waitFor()
    await dialog.getByRole('button', { name: 'Clear' }).click()
    await waitFor(() => manager.get(done.url) === undefined, { what: 'the finished one to go' })
    await page.getByRole('button', { name: /Needs attention/ }).click()
    await waitFor(async () => (await names()).join() === 'missing.gguf', { what: 'the filter' })
    await page.getByLabel('Speed limit').selectOption('Max. 5.0 MB/s')
    await waitFor(() => manager.maxBytesPerSecond === 5e6, { what: 'the limit' })
  })
})
