/** Frontends that were written for the first version of the routes, in a real browser and on another origin. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { KiB } from '../faults/harness.js'
import { bundlePage, openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { waitFor } from '../support/wait.js'
import { everyMs, pageOf, servePages, startBackend, untilQuiet, type Backend } from './stage.js'

const pages = join(import.meta.dirname, 'pages')
const content = ggufContent(600 * KiB)
const status = 'GET /api/models/download/status'

const frontends: [name: string, html: () => Promise<string>][] = [
  ['a page in plain JavaScript', () => readFile(join(pages, 'plain.html'), 'utf8')],
  ['a React component', async () => pageOf(await bundlePage(join(pages, 'component.jsx')))],
]

/** The backend, and the page that asks it. */
interface Stage extends AsyncDisposable {
  readonly backend: Backend
  readonly page: Page
}

async function open(html: string, { isAllowed = true } = {}): Promise<Stage> {
  const site = await servePages({ '/': html })
  const backend = await startBackend({ cors: { origins: [isAllowed ? site : 'http://localhost:1'] } })
  const page = await openPage(`${site}/?api=${encodeURIComponent(backend.url)}&every=${everyMs}`)
  return { backend, page, [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose]() }
}

/** Asks for a download as people do. */
async function ask(page: Page, url: string): Promise<void> {
  await page.locator('#url').fill(url)
  await page.locator('#start').click()
}

/** All that the page has shown, once it shows the end. */
async function shown(page: Page): Promise<string[]> {
  const end = /^(?:Done|Failed|Unreachable)/
  await waitFor(async () => end.test((await page.locator('#text').textContent()) ?? ''), {
    what: 'the page to show the end',
    timeoutMs: 10_000,
  })
  return page.locator('#history li').allTextContents()
}

const bar = (page: Page) => page.locator('#bar').evaluate((element) => (element as { value?: number }).value) // a <progress>

describeWith(chromium, 'in a browser', () => {
  describe.each(frontends)('%s', (_name, html) => {
    it('shows the progress and the end, and polls no more', async () => {
      await using stage = await open(await html())
      const { backend, page } = stage
      backend.origin.serve('/model.gguf', { content, bytesPerSecond: 75 * KiB })
      await ask(page, backend.origin.url('/model.gguf'))
      const lines = await shown(page)
      expect(lines.at(-1)).toBe('Done: 100.0 %')
      expect(await bar(page)).toBe(100)
      const running = lines.slice(0, -1)
      for (const line of running) expect(line).toMatch(/^Downloading: \d{1,2}\.\d %, \d+ of \d+$/)
      const percents = running.map((line) => Number.parseFloat(line.slice('Downloading: '.length)))
      expect(percents).toEqual(percents.toSorted((a, b) => a - b))
      expect(percents.filter((percent) => percent > 5 && percent < 95).length).toBeGreaterThan(1)
      expect(running.at(-1)).toContain(` of ${content.size}`)
      await untilQuiet(backend)
      expect(backend.asked.filter((each) => each === status).length).toBeGreaterThanOrEqual(lines.length)
    })

    it('shows a failure with its message, and polls no more', async () => {
      await using stage = await open(await html())
      const { backend, page } = stage
      await ask(page, backend.origin.url('/missing.gguf'))
      expect((await shown(page)).at(-1)).toMatch(/^Failed: .*\b404\b/)
      await untilQuiet(backend)
      expect(await bar(page)).toBe(0)
    })

    it('shows what is wrong with a request', async () => {
      await using stage = await open(await html())
      const { backend, page } = stage
      await ask(page, 'nonsense')
      expect(await shown(page)).toEqual(['Failed: The URL is not valid.'])
      await ask(page, `http://user:secret@127.0.0.1:${backend.origin.port}/model.gguf`)
      await expect.poll(() => page.locator('#text').textContent()).toMatch(/^Failed: .*user/)
      expect(backend.asked).not.toContain(status)
      expect(backend.manager.list()).toEqual([])
    })

    it('shows a file that is there already at once', async () => {
      await using stage = await open(await html())
      const { backend, page } = stage
      await mkdir(join(backend.directory, 'llm'), { recursive: true })
      await writeFile(join(backend.directory, 'llm', 'model.gguf'), content.view(0, 24))
      await ask(page, backend.origin.url('/model.gguf'))
      expect(await shown(page)).toEqual(['Done: 100.0 %'])
      await untilQuiet(backend)
      expect(backend.asked.filter((each) => each === status)).toHaveLength(1)
      expect(backend.origin.requests()).toEqual([])
    })

    it('shows another one after the first', async () => {
      await using stage = await open(await html())
      const { backend, page } = stage
      backend.origin.serve('/first.gguf', { content })
      await ask(page, backend.origin.url('/first.gguf'))
      expect((await shown(page)).at(-1)).toBe('Done: 100.0 %')
      await ask(page, backend.origin.url('/second.gguf'))
      await expect.poll(() => page.locator('#text').textContent()).toMatch(/^Failed: /)
      await ask(page, backend.origin.url('/first.gguf'))
      await expect.poll(() => page.locator('#text').textContent()).toBe('Done: 100.0 %')
    })

    it('gets nowhere from an origin that is not allowed', async () => {
      await using stage = await open(await html(), { isAllowed: false })
      const { backend, page } = stage
      await ask(page, backend.origin.url('/model.gguf'))
      expect((await shown(page)).at(-1)).toMatch(/^Unreachable: /)
      expect(backend.asked).toEqual(['OPTIONS /api/models/download'])
      expect(backend.manager.list()).toEqual([])
    })
  })
})
