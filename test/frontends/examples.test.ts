/** The examples for pages, built, in a real browser, against `serve`. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Page } from 'playwright-core'
import { build, preview } from 'vite'
import { expect, it, onTestFinished } from 'vitest'
import { startServeProcess } from '../cli/serving.js'
import { KiB } from '../faults/harness.js'
import { portOf, serve } from '../http/serving.js'
import { openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { root } from '../support/process.js'
import { tempDir } from '../support/temp.js'

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
}

/** Serves files of the repository; closed after the test. */
async function serveFiles(): Promise<string> {
  const { server } = await serve((req, res) => {
    const file = path.join(root, (req.url ?? '').replace(/\?.*/, '').replace(/\/$/, '/index.html'))
    readFile(file).then(
      (bytes) => res.writeHead(200, { 'Content-Type': types[path.extname(file)] ?? '' }).end(bytes),
      () => res.writeHead(404).end(),
    )
  })
  return `http://localhost:${portOf(server)}`
}

/** Builds an app, and serves it as `vite preview` does. */
async function previewApp(name: string, api: string): Promise<string> {
  const app = {
    root: path.join(root, 'examples', name),
    logLevel: 'silent',
    build: { outDir: tempDir(name) },
  } as const
  await build(app)
  const shown = await preview({ ...app, preview: { host: '127.0.0.1', port: 0, proxy: { '/api': api } } })
  onTestFinished(() => shown.close())
  return shown.resolvedUrls?.local[0] ?? ''
}

/** Starts a server for the page, then the page. */
async function open(name: string, { port }: Origin): Promise<AsyncDisposable & { page: Page }> {
  const site = await serveFiles()
  const serving = await startServeProcess(['--allow-host', `127.0.0.1:${port}`, '--cors', site])
  const address =
    name === 'page'
      ? `${site}/examples/page/?api=${encodeURIComponent(serving.url)}`
      : await previewApp(name, serving.url)
  return { page: await openPage(address), [Symbol.asyncDispose]: () => serving[Symbol.asyncDispose]() }
}

describeWith(chromium, 'in a browser', () => {
  it.each(['page', 'react', 'vue'])('%s: brings a model, and says what is wrong', async (name) => {
    await using origin = await startOrigin()
    // It does not end before it is paused, however long the page takes.
    const content = ggufContent(600 * KiB)
    origin.serve('/model.gguf', { content, bytesPerSecond: 6 * KiB })
    await using stage = await open(name, origin)
    const { page } = stage
    const ask = async (url: string) => {
      await page.locator('input').fill(url)
      await page.locator('form button').click()
    }
    const says = async (selector: string, text: RegExp) => {
      await expect.poll(() => page.locator(selector).first().textContent()).toMatch(text)
    }
    const press = (label: string) => page.locator('li button', { hasText: label }).click()

    await says('.connection', /^live$/)
    await ask('http://user:secret@127.0.0.1/x')
    await says('[role=alert]', /user/)
    await ask(origin.url('/model.gguf'))
    await says('li strong', /^model\.gguf$/)
    await says('[role=alert]', /^$/)
    await says('li small', /^downloading, \d+\.\d of 0\.6 MB/)
    await press('Pause')
    await says('li small', /^paused/)
    origin.serve('/model.gguf', { content, bytesPerSecond: 300 * KiB })
    await press('Resume')
    await says('li small', /^completed, 0\.6 of 0\.6 MB$/)
    expect(await page.locator('li progress').getAttribute('value')).toBe('100')
    await press('Remove')
    await expect.poll(() => page.locator('li').count()).toBe(0)
    await ask(origin.url('/missing.gguf'))
    await says('li small', /^failed, .*404/)
  })
})
