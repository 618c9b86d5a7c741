/** What tests of the elements share: the dashboard of a backend in a real browser. */
import axe from 'axe-core'
import type { BrowserContextOptions, Locator, Page } from 'playwright-core'
import { expect } from 'vitest'
import { startBackend, type Backend } from '../frontends/stage.js'
import { openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { waitFor } from '../support/wait.js'

/** Where the page is. */
export const ui = '/api/models/ui'

/** A backend with a dashboard, and the page. */
export interface Board extends AsyncDisposable {
  readonly backend: Backend
  readonly page: Page
  /** The row of a file. */
  row: (name: string) => Locator
  /** Asks for a file through the page. */
  add: (url: string) => Promise<void>
}

/** Opens the dashboard of a backend. */
export async function openBoard(
  options: Parameters<typeof startBackend>[0] = {},
  browser: BrowserContextOptions = {},
): Promise<Board> {
  const backend = await startBackend({ ui: true, ...options })
  const page = await openPage(backend.url + ui, { locale: 'en-US', ...browser })
  return {
    backend,
    page,
    row: (name) => rowOf(page, name),
    add: (url) => add(page, url),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  }
}

/** The row of a file. */
export function rowOf(page: Page, name: string): Locator {
  return page.locator('model-download-row .row').filter({ has: page.locator('.name', { hasText: name }) })
}

/** Asks for a file through the page. */
export async function add(page: Page, url: string): Promise<void> {
  await page.locator('model-download-add input').fill(url)
  await page.locator('model-download-add input').press('Enter')
}

/** Has an origin serve a model slowly; its URL. */
export function slowly(
  { origin }: Backend,
  path: string,
  size = 2_000_000,
  bytesPerSecond = 400_000,
): string {
  origin.serve(path, { content: ggufContent(size, path), bytesPerSecond })
  return origin.url(path)
}

/** Progress of a row's bar, as exposed to assistive technology. */
export async function progressOf(row: Locator): Promise<number> {
  return Number(await row.getByRole('progressbar').getAttribute('aria-valuenow'))
}

/** Progress of a row's bar as displayed: the filled share of its track, in per cent. */
export async function filledOf(row: Locator): Promise<number> {
  const track = await row.locator('.track').boundingBox()
  const fill = await row.locator('.fill').boundingBox()
  if (track === null || fill === null) return 0
  return ((fill.x + fill.width - track.x) / track.width) * 100
}

/** Waits until a row says something. */
export async function untilSays(row: Locator, text: string | RegExp, timeoutMs = 15_000): Promise<void> {
  let last = ''
  const says = async () => {
    last = (await row.count()) === 0 ? '' : (await row.first().innerText()).trim()
    return typeof text === 'string' ? last.includes(text) : text.test(last)
  }
  try {
    await waitFor(says, { timeoutMs })
  } catch (error) {
    throw new Error(`A row does not say ${String(text)} but: ${last}`, { cause: error })
  }
}

/** An expression for what lies inside of elements of the dashboard, each in the one before. */
export function inside(...selectors: string[]): string {
  const quoted = ['model-dashboard', ...selectors].map((selector) => `querySelector('${selector}')`)
  return `document.${quoted.join('.shadowRoot.')}`
}

/** A rule that a page breaks, and where. */
interface Violation {
  id: string
  nodes: { target: unknown; failureSummary?: string }[]
}

/** Has axe look at the page: it finds nothing wrong. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source)
  // Colours must not be checked during a transition.
  await page.evaluate(
    'Promise.all(document.getAnimations().filter((each) => each instanceof CSSTransition).map((each) => each.finished.catch(() => null)))',
  )
  const found = await page.evaluate<Violation[]>('axe.run().then(({ violations }) => violations)')
  const told = found.map(({ id, nodes }) => [
    id,
    nodes.map(({ target, failureSummary }) => [target, failureSummary]),
  ])
  expect(told).toEqual([])
}
