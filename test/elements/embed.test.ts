/**
 * The elements in pages of somebody else: from another origin, several at a time, in the page's own colours
 * and words.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { huggingFace, type DownloadManagerOptions } from '../../src/index.js'
import { startBackend, type Backend } from '../frontends/stage.js'
import { portOf, serve } from '../http/serving.js'
import { openPage } from '../support/browser.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { chromium, describeWith } from '../support/machine.js'
import { deadline, waitFor } from '../support/wait.js'
import { add, expectAccessible, rowOf, slowly, untilSays } from './board.js'

const dist = path.resolve(import.meta.dirname, '../../dist')

/** A page that holds some elements, served with the built files from an origin of its own, and the backend. */
async function embed(
  body: (backend: Backend) => string,
  {
    html = 'lang="en"',
    of = {},
    setUp = () => undefined,
    ...browser
  }: BrowserContextOptions & {
    html?: string
    of?: DownloadManagerOptions
    setUp?: (backend: Backend) => unknown
  } = {},
) {
  const asked: string[] = []
  let text = ''
  const { server } = await serve((req, res) => {
    const name = (req.url ?? '').slice(1)
    asked.push(name)
    if (name === '') {
      res.writeHead(200, {
        'Content-Type': 'text/html; charset=utf-8',
        'Content-Security-Policy': "default-src 'self'; script-src 'self'; connect-src http://127.0.0.1:*",
      })
      res.end(text)
      return
    }
    readFile(path.join(dist, path.basename(name))).then(
      (content) => res.writeHead(200, { 'Content-Type': 'text/javascript' }).end(content),
      () => res.writeHead(404).end(),
    )
  })
  const site = `http://localhost:${portOf(server)}`
  const backend = await startBackend({ cors: { origins: [site] }, allowPrivateNetwork: true, of })
  await setUp(backend)
  text = `<!doctype html><html ${html}><head><title>A page</title><script type="module" src="/elements.js"></script></head>
    <body><main><h1>A page</h1>${body(backend)}</main></body></html>`
  const page: Page = await openPage(site, browser)
  return { backend, page, asked, [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose]() }
}

describeWith(chromium, 'the elements in a page', () => {
  it('share one connection, and show the same', async () => {
    let url = ''
    await using scene = await embed(
      ({ url: base }) =>
        `<model-downloads base-url="${base}" heading="All of them"></model-downloads>
         <model-download base-url="${base}" url="${url}"></model-download>
         <model-download base-url="${base}" url="${url}"></model-download>`,
      { setUp: (backend) => (url = slowly(backend, '/one.gguf', 3_000_000)) },
    )
    const { page, backend } = scene
    await page.getByText('All of them').waitFor()
    const single = page.locator('model-download')
    await single.first().getByText('Not downloaded yet').waitFor()
    await expectAccessible(page)
    await single.first().getByRole('button', { name: 'Download' }).click()
    for (let i = 0; i < 3; i++) await untilSays(rowOf(page, 'one.gguf').nth(i), 'Downloading')
    await single.last().getByRole('button', { name: 'Pause: one.gguf' }).click()
    for (let i = 0; i < 3; i++) await untilSays(rowOf(page, 'one.gguf').nth(i), 'Paused')
    expect(backend.asked.filter((each) => each === 'GET /api/models/download/events')).toHaveLength(1)
    expect(backend.asked.filter((each) => each === 'GET /api/models/permissions').length).toBeLessThan(4)

    // Removing an element doesn't affect the others; removing the last one closes the connection.
    await page.evaluate(
      "document.querySelectorAll('model-download, model-downloads').forEach((e) => e.remove())",
    )
    await waitFor(() => backend.manager.listenerCount('progress') === 0, {
      what: 'the stream to end',
      timeoutMs: 15_000,
    })
    await page.evaluate(
      `document.querySelector('main').innerHTML = '<model-downloads base-url="${backend.url}"></model-downloads>'`,
    )
    await untilSays(rowOf(page, 'one.gguf'), 'Paused')
  })

  it('speak the language of the page, load no other, and say what the page says instead', async () => {
    const element = ({ url }: Backend) => `<model-downloads base-url="${url}"></model-downloads>`
    await using english = await embed(element, { html: 'lang="en"', locale: 'zh-CN' })
    await english.page.getByText('No downloads yet').waitFor()
    expect(english.asked.join()).not.toContain('chinese')
    await using chinese = await embed(element, { html: 'lang="zh-Hans"', locale: 'en-US' })
    await chinese.page.getByText('还没有下载任务').waitFor()
    expect(chinese.asked.join()).toContain('elements-chinese')
    await chinese.page.evaluate(
      "document.querySelector('model-downloads').strings = { emptyTitle: '空空如也' }",
    )
    await chinese.page.getByText('空空如也').waitFor()
    await chinese.page.getByText('下载', { exact: true }).first().waitFor()
    await expectAccessible(chinese.page)
  })

  it('wear the colours of the page', async () => {
    const colour = (page: Page) =>
      page.evaluate<string>(
        "getComputedStyle(document.querySelector('model-downloads').shadowRoot.querySelector('.card')).backgroundColor",
      )
    const element =
      (attributes: string) =>
      ({ url }: Backend) =>
        `<model-downloads base-url="${url}" ${attributes}></model-downloads>`
    // A page that says nothing of dark colours is light, whatever the system is.
    await using plain = await embed(element(''), { colorScheme: 'dark' })
    await plain.page.getByText('No downloads yet').waitFor()
    expect(await colour(plain.page)).toBe('rgb(255, 255, 255)')
    await plain.page.evaluate("document.documentElement.style.colorScheme = 'dark'")
    expect(await colour(plain.page)).toBe('rgb(24, 27, 33)')
    await plain.page.evaluate("document.querySelector('model-downloads').theme = 'light'")
    await waitFor(async () => (await colour(plain.page)) === 'rgb(255, 255, 255)', { what: 'light colours' })
    await plain.page.evaluate("document.body.style.setProperty('--model-surface', 'rgb(1, 2, 3)')")
    expect(await colour(plain.page)).toBe('rgb(1, 2, 3)')
    await using auto = await embed(element('theme="auto"'), { colorScheme: 'dark' })
    await auto.page.getByText('No downloads yet').waitFor()
    expect(await colour(auto.page)).toBe('rgb(24, 27, 33)')
  })

  it('show the files of a group', async () => {
    await using hub = await startHub()
    const files = {
      'config.json': textContent('{}'),
      'weights/a.bin': randomContent(300_000, 'a'),
      'weights/b.bin': randomContent(2_000_000, 'b'),
    }
    hub.add('owner/model', { files })
    hub.cdnBehaviour = { bytesPerSecond: 200_000 }
    await using scene = await embed(({ url }) => `<model-downloads base-url="${url}"></model-downloads>`, {
      of: { sources: [huggingFace({ endpoint: hub.url, token: null })] },
    })
    const { page } = scene
    await add(page, 'hf:owner/model')
    const row = rowOf(page, 'model')
    await untilSays(row, /[12] of 3 files/)
    await row.getByRole('button', { name: 'Show files' }).click()
    const list = row.getByRole('list', { name: 'Show files: model' })
    await waitFor(
      async () => /config\.json[^]*Done[^]*weights\/b\.bin[^]*Downloading/.test(await list.innerText()),
      {
        what: 'the files',
        timeoutMs: 15_000,
      },
    )
    await expectAccessible(page)
    hub.cdnBehaviour = {}
    await untilSays(row, /Done[^]*3 of 3 files/)
    await waitFor(async () => (await list.innerText()).match(/Done/g)?.length === 3, {
      what: 'all files to be done',
      timeoutMs: 15_000,
    })
    await row.getByRole('button', { name: 'Hide files' }).click()
    expect(await list.count()).toBe(0)
  })

  it('say when their address is none, and when nobody is there', async () => {
    await using scene = await embed(
      () =>
        `<model-downloads base-url="ftp://nowhere"></model-downloads><model-preload base-url="http://127.0.0.1:1"></model-preload>`,
    )
    const { page } = scene
    await page.locator('model-downloads').getByText('baseUrl must be').waitFor()
    await page
      .locator('model-preload')
      .getByText('No connection to the server.')
      .waitFor({ timeout: deadline(30_000) })
    await expectAccessible(page)
  })

  it('keep rows where they are while somebody points at them', async () => {
    await using scene = await embed(({ url }) => `<model-downloads base-url="${url}"></model-downloads>`)
    const { page, backend } = scene
    const slow = slowly(backend, '/slow.gguf')
    // Neither of them ends before somebody points.
    backend.manager.maxBytesPerSecond = 50_000
    backend.origin.serve('/later.gguf', { content: ggufContent(9_000_000), bytesPerSecond: 100_000 })
    await add(page, slow)
    await untilSays(rowOf(page, 'slow.gguf'), 'Downloading')
    await add(page, backend.origin.url('/later.gguf'))
    await untilSays(rowOf(page, 'later.gguf'), 'Downloading')
    await rowOf(page, 'slow.gguf').locator('.name').hover()
    backend.manager.maxBytesPerSecond = null
    await untilSays(rowOf(page, 'slow.gguf'), 'Done')
    const names = async () => (await page.locator('model-download-row .name').allInnerTexts()).join()
    expect(await names()).toBe('slow.gguf,later.gguf')
    expect(await page.getByRole('heading', { name: 'Finished' }).count()).toBe(0)
    await page.mouse.move(0, 0)
    await waitFor(async () => (await names()) === 'later.gguf,slow.gguf', { what: 'the row to move' })
  })
})
