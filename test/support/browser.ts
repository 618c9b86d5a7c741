/** A real browser for tests. Requires vitest; import it at the top of a test file. */
import { chromium as driver, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, afterEach, expect, vi } from 'vitest'
import { findChromium } from './machine.js'
import { deadline } from './wait.js'

// A browser takes its time on a busy machine; what is waited for has deadlines of its own.
vi.setConfig({ testTimeout: deadline(60_000), hookTimeout: deadline(60_000) })

let browser: Browser | null = null
const pages = new Map<Page, Error[]>()

afterEach(async () => {
  const errors = [...pages.values()].flat()
  for (const page of pages.keys()) await page.close()
  pages.clear()
  expect(errors, 'errors that scripts of the pages did not catch').toEqual([])
})

afterAll(async () => {
  await browser?.close()
})

/**
 * Opens a page in a new browser context, which is closed after the test. The test fails when a script of the page
 * throws, or when the page violates its Content-Security-Policy.
 *
 * @param options - the context's options, such as language, color scheme and viewport.
 */
export async function openPage(url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const executablePath = findChromium()
  if (executablePath === null) throw new Error('There is no Chromium.')
  // Root, as containers have it, can have no sandbox. All pages are ours.
  browser ??= await driver.launch({ executablePath, chromiumSandbox: false, timeout: deadline(30_000) })
  const page = await browser.newPage(options)
  page.setDefaultTimeout(deadline(15_000))
  const errors: Error[] = []
  pages.set(page, errors)
  page.on('pageerror', (error) => errors.push(error))
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) errors.push(new Error(message.text()))
  })
  await page.goto(url)
  return page
}

const bundles = new Map<string, Promise<string>>()

/**
 * Bundles a script for a page, including JSX and packages. The result is cached.
 *
 * @param source - path of the script.
 * @returns the code as a single module.
 */
export function bundlePage(source: string): Promise<string> {
  const known = bundles.get(source) ?? bundle(source)
  bundles.set(source, known)
  return known
}

async function bundle(source: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    esbuild: { jsx: 'automatic' },
    build: { write: false, minify: false, modulePreload: false, rollupOptions: { input: source } },
  })
  const outputs = [result].flat().flatMap((each) => ('output' in each ? each.output : []))
  const chunk = outputs.find((each) => each.type === 'chunk')
  if (chunk === undefined) throw new Error(`${source} gave no script.`)
  return chunk.code
}
