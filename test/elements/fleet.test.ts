/** The view of a fleet in a real browser. */
import { expect, it } from 'vitest'
import { MemoryFleetStore } from '../../src/catalog/fleet/store.js'
import { Fleet } from '../../src/catalog/fleet/fleet.js'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { makeManager } from '../faults/harness.js'
import { startBackend } from '../frontends/stage.js'
import { openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { expectAccessible, openBoard, ui } from './board.js'

const last: { percent: number; speed: number; error: string | null } = { percent: 0, speed: 0, error: null }

/** A server that is the node `here` of a fleet with two others, which only say what they have. */
async function openFleet() {
  const origin = await startOrigin()
  for (const key of ['chat', 'search']) origin.serve(`/${key}.gguf`, { content: ggufContent(60_000, key) })
  const store = new MemoryFleetStore()
  const manager = makeManager(tempDir('fleet-page'), { defaultMode: 'llm' })
  const models = ['chat', 'search'].map((key) => ({ key, name: key, url: origin.url(`/${key}.gguf`) }))
  const preloader = new Preloader({ manager, catalog: new Catalog(models) })
  const fleet = new Fleet({
    ...{ manager, preloader, store, node: 'here', labels: ['eu'], heartbeatMs: 100, absentMs: 60_000 },
  })
  const tell = (name: string, state: 'ready' | 'downloading' | 'failed', more: Partial<typeof last> = {}) =>
    store.report({
      ...{ name, labels: ['gpu'], url: null, digests: [] },
      models: { chat: { ...last, ...more, state } },
    })
  // The backend has another manager, and is told of this fleet.
  const backend = await startBackend({ ui: true, fleet, preloader })
  return {
    ...{ backend, store, fleet, tell },
    async [Symbol.asyncDispose]() {
      await backend[Symbol.asyncDispose]()
      await fleet.close()
      await preloader.close()
      await manager.close()
      await origin.close()
    },
  }
}

describeWith(chromium, 'the view of a fleet', () => {
  it('shows which node has which model, follows it, and has chosen nodes get models', async () => {
    await using scene = await openFleet()
    await scene.tell('far', 'downloading', { percent: 41.26, speed: 2_500_000 })
    const page = await openPage(scene.backend.url + ui, { locale: 'en-US' })
    const view = page.locator('model-fleet')
    await view.getByRole('heading', { name: 'Fleet' }).waitFor()
    const table = view.getByRole('table')
    const row = table.getByRole('row', { name: /^chat/ })
    await row.getByText('Downloading').waitFor()
    await row.getByText('41.2% · 2.5 MB/s').waitFor()
    expect(await row.getByRole('progressbar', { name: 'chat, far' }).getAttribute('aria-valuenow')).toBe(
      '41.26',
    )
    await scene.tell('far', 'failed', { error: 'No space.' })
    await row.getByText('No space.').waitFor()
    // Nobody has asked for a model yet.
    await view.getByText('2 of 2 nodes have all of their models.').waitFor()

    // A label, of which there is no node yet; then a node, chosen in the table.
    const nodes = view.getByLabel('Nodes')
    await nodes.fill('label:none of these')
    await view.getByRole('button', { name: 'Fetch' }).click()
    await view.getByRole('alert').filter({ hasText: 'names of nodes' }).waitFor()
    await nodes.fill('all')
    await table.getByRole('button', { name: 'here' }).click()
    expect(await nodes.inputValue()).toBe('here')
    expect(await table.getByRole('button', { name: 'here' }).getAttribute('aria-pressed')).toBe('true')
    await view.locator('select').selectOption('search')
    await view.getByRole('button', { name: 'Fetch' }).click()
    await table
      .getByRole('row', { name: /^search/ })
      .getByText('Ready')
      .waitFor()
    expect((await scene.store.read()).wishes).toEqual([{ key: 'search', nodes: 'here' }])
    expect(await view.getByRole('alert').count()).toBe(0)
    await waitFor(async () => (await view.getByText('The nodes get it: search → here').count()) === 1, {
      what: 'the announcement',
    })
  })

  it.each([
    [320, 'en-US', 'light'],
    [768, 'zh-CN', 'dark'],
    [1440, 'en-US', 'dark'],
  ] as const)('is accessible at a width of %i, in %s and %s', async (width, locale, colorScheme) => {
    await using scene = await openFleet()
    await scene.tell('far', 'downloading', { percent: 41, speed: 2_500_000 })
    await scene.tell('farther', 'failed', { error: 'No space.' })
    const page = await openPage(scene.backend.url + ui, {
      ...{ locale, colorScheme, viewport: { width, height: 900 } },
    })
    const view = page.locator('model-fleet')
    await view.getByRole('row', { name: /^chat/ }).waitFor()
    await view.getByText(locale === 'zh-CN' ? '节点群' : 'Fleet', { exact: true }).waitFor()
    await expectAccessible(page)
    // The table is scrolled in its card, and not the page.
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
  })

  it('is not there without a fleet, and offers nothing to those who may only look', async () => {
    await using board = await openBoard()
    await board.page.getByText('No downloads yet').waitFor()
    expect(await board.page.locator('model-fleet').count()).toBe(0)
    expect(board.backend.asked.filter((path) => path.includes('fleet'))).toEqual([])

    await using scene = await openFleet()
    await scene.tell('far', 'ready')
    const page = await openPage(scene.backend.url + ui, { locale: 'en-US' })
    await page.route('**/api/models/permissions', async (route) => {
      const response = await route.fetch()
      const body = (await response.json()) as { permissions: object }
      const permissions = { ...body.permissions, 'queue:manage': false, 'downloads:manage': false }
      await route.fulfill({ json: { ...body, permissions } })
    })
    await page.reload()
    await page.locator('model-fleet').getByRole('row', { name: /^chat/ }).waitFor()
    expect(await page.locator('model-fleet').getByRole('button').count()).toBe(0)
  })

  it('is polled where there are no streams of events', async () => {
    await using scene = await openFleet()
    await scene.tell('far', 'ready')
    const page = await openPage(`${scene.backend.url}${ui}`, { locale: 'en-US' })
    await page.route('**/fleet/events', (route) => route.fulfill({ contentType: 'text/html', body: 'no' }))
    await page.reload()
    const row = page.locator('model-fleet').getByRole('row', { name: /^chat/ })
    await row.getByText('Ready').waitFor()
    await scene.tell('far', 'downloading', { percent: 12 })
    await row.getByText('Downloading').waitFor()
  })
})
