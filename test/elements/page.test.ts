/** The page around the elements in a real browser: its frame, the disk, the tab, and a server that is away. */
import { request } from 'node:http'
import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import type { DiskUsage } from '../../src/client/index.js'
import { serve } from '../http/serving.js'
import { openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { waitFor } from '../support/wait.js'
import { expectAccessible, inside, openBoard, rowOf, slowly, ui, untilSays } from './board.js'

/** Answers as a server does that tells about its disk. */
async function tellDisk(page: Page, usage: () => Omit<DiskUsage, 'success'>): Promise<void> {
  await page.route('**/api/models/disk', (route) => route.fulfill({ json: { success: true, ...usage() } }))
  await page.reload()
}

/** Left and right edge of an element, given as an expression. */
function edgesOf(page: Page, expression: string): Promise<[left: number, right: number]> {
  return page.evaluate(`(({ left, right }) => [left, right])(${expression}.getBoundingClientRect())`)
}

describeWith(chromium, 'the page', () => {
  it('shows the disk where the server tells about it, and deletes from there', async () => {
    await using board = await openBoard({}, { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' })
    const { page, backend } = board
    const { manager, origin } = backend
    await page.route('**/api/models/disk', (route) =>
      route.fulfill({ status: 404, json: { success: false } }),
    )
    await page.reload()
    await page.getByText('No downloads yet').waitFor()
    expect(await page.getByRole('heading', { name: 'Disk' }).count()).toBe(0)
    origin.serve('/chat.gguf', { content: ggufContent(50_000) })
    const download = await manager.download({ url: origin.url('/chat.gguf'), mode: 'llm' })
    await download.finished
    const free = { free: 2e9, maxDiskBytes: 6e9, minFreeBytes: 1e9 }
    await tellDisk(page, () => ({
      ...{ ...free, used: manager.list().length === 0 ? 4e9 : 5.9e9 },
      by: [
        ...manager.list().map(({ url, filename, mode, pinned }) => ({
          ...{ url, mode, filename, name: filename },
          ...{ bytes: 1.9e9, pinned },
        })),
        { url: null, mode: 'embed', filename: 'bge-m3', name: 'bge-m3', bytes: 4e9, pinned: true },
      ],
    }))
    const disk = page.locator('model-disk')
    await disk.getByText('The disk is almost full.').waitFor()
    for (const text of ['5.9 GB', '2.0 GB', '6.0 GB', '1.0 GB']) await disk.getByText(text).first().waitFor()
    await disk.getByText('llm').click()
    await disk.getByText('embed').click()
    expect(await disk.getByRole('button').count()).toBe(2)
    await disk.getByRole('button', { name: 'Pin: chat.gguf' }).click()
    await disk.getByRole('button', { name: 'Unpin: chat.gguf' }).click()
    await disk.getByRole('button', { name: 'Pin: chat.gguf' }).waitFor()
    await expectAccessible(page)
    await disk.getByRole('button', { name: 'Delete: chat.gguf' }).click()
    const dialog = page.getByRole('dialog', { name: 'Delete chat.gguf?' })
    await dialog.getByText('This frees 1.9 GB.').waitFor()
    await dialog.getByRole('button', { name: 'Delete' }).click()
    await waitFor(() => manager.list().length === 0, { what: 'the download to go' })
    await waitFor(async () => (await disk.getByText('4.0 GB').count()) > 1, { what: 'the new numbers' })
  })

  it('does not pretend to be live while the server is away, and tells progress and end in the tab', async () => {
    await using board = await openBoard({}, { permissions: ['notifications'] })
    const { page, backend, row } = board
    await page.evaluate(
      "globalThis.told = []; globalThis.Notification = class { static permission = 'granted'; static requestPermission = async () => 'granted'; constructor(title, { body }) { told.push(title + ': ' + body) } }",
    )
    await page.getByRole('button', { name: 'Notify me' }).click()
    const download = await backend.manager.download({
      url: slowly(backend, '/slow.gguf', 8_000_000, 200_000),
    })
    await untilSays(row('slow.gguf'), /B\/s/)
    await waitFor(async () => /^\d+% · Model downloads$/.test(await page.title()), { what: 'the title' })
    // Until somebody asks to try now: the page tries by itself as well.
    let isAway = true
    await page.exposeFunction('comeBack', () => (isAway = false))
    await page.route('**/api/**', (route) => (isAway ? route.abort() : route.continue()))
    for (const stream of backend.streams) stream.destroy()
    await page.getByText('No connection to the server.').waitFor()
    await waitFor(async () => !/B\/s|left/.test(await page.locator('model-downloads').innerText()), {
      what: 'the speeds to go',
    })
    expect(await page.title()).toBe('Model downloads')
    await expectAccessible(page)
    await page.evaluate("addEventListener('click', () => comeBack(), { capture: true, once: true })")
    await page.getByRole('button', { name: 'Try now' }).click()
    await untilSays(row('slow.gguf'), /B\/s/)
    backend.origin.serve('/slow.gguf', { content: ggufContent(8_000_000, '/slow.gguf') })
    await backend.manager.pause(download.url)
    expect(await page.evaluate('told')).toEqual([])
    await backend.manager.resume(download.url)
    await untilSays(row('slow.gguf'), 'Done')
    await waitFor(async () => (await page.evaluate<string[]>('told')).length > 0, {
      what: 'the notification',
    })
    expect(await page.evaluate('told')).toEqual(['Model downloads: Finished downloads: 1.'])
    expect(await page.title()).toBe('Model downloads')
  })

  it('says why a download waits for disk space', async () => {
    await using board = await openBoard({ of: { maxDiskBytes: 80_000, whenFull: 'wait' } })
    const { page, backend, row } = board
    const { manager, origin } = backend
    for (const name of ['first', 'second'])
      origin.serve(`/${name}.gguf`, { content: ggufContent(50_000, name) })
    const first = await manager.download({ url: origin.url('/first.gguf') })
    await first.finished
    const second = await manager.download({ url: origin.url('/second.gguf') })
    await untilSays(row('second.gguf'), /disk budget/)
    await expectAccessible(page)
    await manager.remove(first.url, { deleteFile: true })
    await second.finished
    await waitFor(async () => !(await row('second.gguf').textContent())?.includes('disk budget'))
  })

  it('has its head aligned with its cards at every width', async () => {
    await using board = await openBoard()
    const { page } = board
    await page.getByText('No downloads yet').waitFor()
    const card = inside('model-downloads', '.card')
    await page.route('**/api/models/disk', (route) =>
      route.fulfill({ status: 404, json: { success: false } }),
    )
    await page.reload()
    await page.getByText('No downloads yet').waitFor()
    for (const hasDisk of [false, true]) {
      if (hasDisk) {
        const usage = { used: 0, free: 1e9, maxDiskBytes: null, minFreeBytes: null, by: [] }
        await tellDisk(page, () => usage)
        await page.getByRole('heading', { name: 'Disk' }).waitFor()
      }
      for (const width of [320, 600, 768, 1024, 1100, 1180, 1280, 1440, 1920]) {
        await page.setViewportSize({ width, height: 800 })
        const [left, right] = await edgesOf(page, card)
        const [headLeft] = await edgesOf(page, inside('h1'))
        const [pageLeft, pageRight] = await edgesOf(page, inside('main'))
        const [, headRight] = await edgesOf(page, inside('header'))
        expect([width, headLeft, headRight]).toEqual([width, left, pageRight])
        if (!hasDisk || width < 1024) expect([width, left, right]).toEqual([width, pageLeft, pageRight])
      }
    }
  })

  it('works behind a proxy that adds a prefix, can be installed, and is printed without its controls', async () => {
    await using board = await openBoard()
    const { backend } = board
    const target = new URL(backend.url)
    const { url } = await serve((req, res) => {
      const path = (req.url ?? '').replace(/^\/tools\/models/, '')
      const { method, headers } = req
      const asked = request({ host: target.hostname, port: target.port, path, method, headers }, (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(res)
      })
      asked.on('error', () => res.destroy())
      res.on('close', () => asked.destroy())
      req.pipe(asked)
    })
    const page = await openPage(`${url}/tools/models${ui}/`, { locale: 'en-US', forcedColors: 'active' })
    await page.getByText('No downloads yet').waitFor()
    const add = page.locator('model-download-add input')
    await add.fill(slowly(backend, '/behind.gguf', 8_000_000))
    await add.press('Enter')
    await untilSays(rowOf(page, 'behind.gguf'), 'Downloading')
    const link = (await page.locator('link[rel=manifest]').getAttribute('href')) ?? ''
    const manifest = JSON.parse(decodeURIComponent(link.slice(link.indexOf(',') + 1))) as { icons: object[] }
    expect(manifest).toMatchObject({ name: 'Model downloads', display: 'standalone' })
    expect(manifest.icons).toHaveLength(1)
    await expectAccessible(page)
    await page.emulateMedia({ media: 'print', forcedColors: 'none' })
    for (const part of ['model-download-toolbar', 'model-download-add', '.settings'])
      expect(await page.locator(part).isVisible(), part).toBe(false)
    expect(await rowOf(page, 'behind.gguf').isVisible()).toBe(true)
  })
})
