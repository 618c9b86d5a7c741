/** A real browser for tests. Requires vitest, and `browser-setup.ts` among its setup files. */
import { chromium as driver, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { build } from 'esbuild'
import { expect } from 'vitest'
import { findChromium } from './machine.js'
import { deadline } from './wait.js'

// Starting one takes seconds of CPU, so all files of a process share it. It ends with the process.
let browser: Browser | null = null
const pages = new Map<Page, Error[]>()

/** Closes the pages of a test, and fails when a script of theirs did. */
export async function closePages(): Promise<void> {
  const errors = [...pages.values()].flat()
  // Each has a context of its own: its cookies, its language.
  for (const page of pages.keys()) await page.context().close()
  pages.clear()
  expect(errors, 'errors that scripts of the pages did not catch').toEqual([])
}

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
  const { outputFiles } = await build({
    entryPoints: [source],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    jsx: 'automatic',
    define: {
      'process.env.NODE_ENV': '"production"',
      // What the builds of Vue for bundlers leave to them.
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
  })
  const [script] = outputFiles
  if (script === undefined) throw new Error(`${source} gave no script.`)
  return script.text
}
