/** The bindings for React and Vue in a real browser, against real routes. */
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { createElement } from 'react'
import { renderToString as drawReact } from 'react-dom/server'
import { describe, expect, it } from 'vitest'
import { renderToString as drawVue } from 'vue/server-renderer'
import { createClient } from '../../src/client/index.js'
import type { HandlerOptions } from '../../src/http/handler.js'
import { KiB } from '../faults/harness.js'
import { bundlePage, openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { waitFor } from '../support/wait.js'
import type { AppProps } from './bindings/app.js'
import { App } from './bindings/react-app.js'
import { createApp } from './bindings/vue-app.js'
import { pageOf, servePages, startBackend, type Backend } from './stage.js'

const content = ggufContent(600 * KiB)
const events = 'GET /api/models/download/events'
const bundle = (name: string) => bundlePage(join(import.meta.dirname, 'pages', `${name}.mjs`))

const bindings: [name: string, draw: (props: AppProps) => Promise<string> | string][] = [
  ['react', (props) => drawReact(createElement(App, props))],
  ['vue', (props) => drawVue(createApp(props))],
]

/** The backend, and the page that shows it. */
interface Stage extends AsyncDisposable {
  readonly backend: Backend
  readonly page: Page
  /** URLs that have rows, by their names. */
  readonly urls: Record<string, string>
  /** Waits until an element says this. */
  readonly says: (selector: string, text: string | RegExp) => Promise<void>
  readonly click: (selector: string) => Promise<void>
  /** Runs a script in the page. */
  readonly run: <T>(script: string) => Promise<T>
}

interface StageOptions {
  names?: readonly string[]
  /** Draws on the server first. */
  draw?: (props: AppProps) => Promise<string> | string
  options?: Parameters<typeof startBackend>[0]
  authorize?: HandlerOptions['authorize']
}

async function open(
  binding: string,
  { names = ['a', 'b'], draw, options, authorize }: StageOptions = {},
): Promise<Stage> {
  const pages: Record<string, string> = {}
  const site = await servePages(pages)
  const backend = await startBackend({
    ...options,
    ...(authorize === undefined ? {} : { authorize }),
    cors: { origins: [site] },
  })
  const urls = Object.fromEntries(names.map((name) => [name, backend.origin.url(`/${name}.gguf`)]))
  const props = { client: createClient({ baseUrl: backend.url }), urls: Object.values(urls) }
  pages['/'] = pageOf(await bundle(binding), await draw?.(props))
  const query = new URLSearchParams({ api: backend.url })
  for (const url of props.urls) query.append('url', url)
  if (options?.models !== undefined) query.set('models', '')
  const page = await openPage(`${site}/?${query.toString()}`)
  const text = async (selector: string) => (await page.locator(selector).textContent()) ?? ''
  return {
    ...{ backend, page, urls },
    says: async (selector, wanted) => {
      await expect.poll(() => text(selector)).toMatch(wanted)
    },
    click: (selector) => page.locator(selector).click(),
    run: (script) => page.evaluate(script),
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  }
}

const streamsOf = ({ asked }: Backend) => asked.filter((each) => each === events).length

describeWith(chromium, 'in a browser', () => {
  describe.each(bindings)('%s', (binding, draw) => {
    it('shows downloads as they go on, over one connection, and does what it is told', async () => {
      const names = ['a', 'b', ...Array.from({ length: 20 }, (_, index) => `more-${index}`)]
      await using stage = await open(binding, { names })
      const { backend, says, click } = stage
      // It does not end before it is paused, however long the page takes.
      backend.origin.serve('/a.gguf', { content, bytesPerSecond: 4 * KiB })
      await says('#connection', 'live')
      await says('#rows .a .text', 'unknown')
      await click('#rows .a .start')
      await says('#rows .a .text', /^downloading [1-9]/)
      await says('#again .a .text', /^downloading/)
      await says('#all', 'a.gguf downloading')
      await click('#again .a .pause')
      await says('#rows .a .text', /^paused/)
      backend.origin.serve('/a.gguf', { content, bytesPerSecond: 400 * KiB })
      await click('#rows .a .resume')
      await says('#rows .a .text', 'completed 100')
      await says('#again .a .text', 'completed 100')
      await click('#rows .b .start')
      await says('#rows .b .text', /^failed/)
      await click('#rows .a .remove')
      await says('#rows .a .text', 'unknown')
      await says('#all', /^b.gguf failed$/)
      expect(streamsOf(backend)).toBe(1)
      expect(backend.streams.size).toBe(1)
    })

    it('frees the connection with the last part, and takes it up again', async () => {
      await using stage = await open(binding)
      const { backend, says, run } = stage
      await says('#connection', 'live')
      await run('unmount()')
      await waitFor(() => backend.streams.size === 0, { what: 'the end of the stream' })
      await run('mount()')
      await says('#connection', 'live')
      expect(streamsOf(backend)).toBe(2)
      // It is kept if it is rendered again immediately.
      await run('unmount(), mount()')
      await says('#connection', 'live')
      await run('new Promise((resolve) => setTimeout(resolve, 1500))')
      expect(streamsOf(backend)).toBe(2)
      expect(backend.streams.size).toBe(1)
    })

    it('draws only what has changed', async () => {
      await using stage = await open(binding)
      const { backend, says, click, run } = stage
      backend.origin.serve('/a.gguf', { content, bytesPerSecond: 300 * KiB })
      await says('#connection', 'live')
      await says('#rows .b .text', 'unknown')
      const before = await run<Record<string, number>>('({ ...drawn })')
      await click('#rows .a .start')
      await says('#rows .a .text', 'completed 100')
      const after = await run<Record<string, number>>('({ ...drawn })')
      expect(after['a']).toBeGreaterThan((before['a'] ?? 0) + 4)
      expect(after['b']).toBe(before['b'])
    })

    it('shows a failed action where it was asked for', async () => {
      await using stage = await open(binding)
      const { says, click } = stage
      await says('#connection', 'live')
      await click('#rows .a .pause')
      await says('#rows .a .error', 'UNKNOWN_DOWNLOAD')
      await says('#again .a .error', /^$/)
      await says('#error', /^$/)
    })

    it('says why it may not see anything, and tries again at once with a token', async () => {
      const authorize: HandlerOptions['authorize'] = (_, request) =>
        request.headers.get('authorization') === 'Bearer right' || 'unauthenticated'
      await using stage = await open(binding, { authorize })
      const { says, click, run } = stage
      await says('#connection', 'offline')
      await says('#error', 'ACCESS_DENIED')
      await run('token = "right"')
      await click('#refresh')
      await says('#connection', 'live')
      await says('#error', /^$/)
    })

    it('takes over what a server has drawn, without a mismatch and without asking on the server', async () => {
      let markup = ''
      await using stage = await open(binding, {
        draw: async (props) => (markup = await draw(props)),
      })
      const { backend, says, click, run } = stage
      expect(markup).toContain('unknown')
      expect(markup).toContain('idle')
      backend.origin.serve('/a.gguf', { content })
      await says('#connection', 'live')
      await click('#rows .a .start')
      await says('#rows .a .text', 'completed 100')
      expect(await run('mismatches')).toEqual([])
      expect(streamsOf(backend)).toBe(1)
    })

    it('goes on after the server was away', async () => {
      await using stage = await open(binding)
      const { backend, page, says, click } = stage
      await says('#connection', 'live')
      await page.context().setOffline(true)
      for (const stream of backend.streams) stream.destroy()
      await says('#connection', 'offline')
      await says('#error', 'CONNECT_FAILED')
      await page.context().setOffline(false)
      await says('#connection', 'live')
      backend.origin.serve('/a.gguf', { content })
      await click('#rows .a .start')
      await says('#rows .a .text', 'completed 100')
    })

    it('shows a preload with its log, and the models', async () => {
      const models: NonNullable<Parameters<typeof startBackend>[0]>['models'] = (origin) => {
        origin.serve('/chat.gguf', { content })
        return [{ key: 'chat', url: origin.url('/chat.gguf') }]
      }
      await using stage = await open(binding, { options: { models } })
      const { backend, says, click } = stage
      await says('#preload', 'not running, 0 ready')
      await click('#preload-start')
      await says('#preload', 'not running, 1 ready')
      await says('#logs', /\[chat\]/)
      expect(backend.asked.filter((each) => each === 'GET /api/v1/models/preload/events')).toHaveLength(1)
      expect(backend.streams.size).toBe(2)
    })
  })

  it('react: parts that are drawn in the background show the same at any time', async () => {
    await using stage = await open('copies')
    const { backend, says, click, run } = stage
    for (let index = 0; index < 8; index++) {
      backend.origin.serve(`/${index}.bin`, { content, bytesPerSecond: 60 * KiB })
      await backend.manager.download({ url: backend.origin.url(`/${index}.bin`) })
    }
    let changed = 0
    for (let round = 1; round <= 4; round++) {
      await click('#again')
      await says('#round', `${round} done`)
      // An event has arrived while React was rendering.
      if ((await run<number>('read.size')) > 1) changed++
    }
    expect(changed).toBeGreaterThan(0)
    expect(await run('torn')).toEqual([])
  })
})
