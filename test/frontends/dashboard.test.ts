/** A dashboard that was written for the first version of the preload routes works unchanged. */
import { join } from 'node:path'
import axios from 'axios'
import { describe, expect, it } from 'vitest'
import type { CatalogModel } from '../../src/catalog/catalog.js'
import type { Authorize } from '../../src/http/handler.js'
import { KiB } from '../faults/harness.js'
import { bundlePage, openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import type { Origin } from '../support/origin.js'
import { listTree } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { Dashboard, type Form } from './dashboard.js'
import { everyMs, pageOf, servePages, startBackend, type Backend } from './stage.js'

const contents = { chat: ggufContent(400 * KiB, 'chat'), search: ggufContent(100 * KiB, 'search') }

/** Two models that are fetched by themselves, and one that is not. */
const models = (origin: Origin): CatalogModel[] => {
  origin.serve('/chat.gguf', { content: contents.chat, bytesPerSecond: 800 * KiB })
  origin.serve('/search.gguf', { content: contents.search })
  origin.serve('/extra.gguf', { content: contents.search })
  const digest = contents.chat.sha256()
  return [
    { key: 'chat', name: 'Chat', url: origin.url('/chat.gguf'), sha256: digest, description: 'It talks.' },
    { key: 'search', name: 'Search', url: origin.url('/search.gguf'), mode: 'embed', required: false },
    { key: 'extra', url: origin.url('/extra.gguf'), required: false, auto_download: false },
  ]
}

/** All known users may read; managers may start. */
const authorize: Authorize = (action, request) => {
  const token = /^Bearer (.+)$/.exec(request.headers.get('authorization') ?? '')?.[1]
  if (token !== 'manager' && token !== 'member') return 'unauthenticated'
  return action !== 'queue:manage' || token === 'manager'
}

const boardOf = (backend: Backend, token = 'manager') => new Dashboard(axios, backend.url, token, everyMs)

const start = (board: Dashboard, form?: Form) => withTimeout(board.start(form), 15_000, 'the run to end')

describe('in Node', () => {
  it('starts a run, watches it until its end, and finds the models ready', async () => {
    await using backend = await startBackend({ models, authorize })
    const board = boardOf(backend)
    await board.open()
    expect(board).toMatchObject({ error: '', run: { running: false, started_at: null, logs: [] } })
    expect(board.models).toMatchObject({ any_ready: false, any_missing: true })

    await start(board)
    expect(board.error).toBe('')
    const going = board.seen.filter(({ running }) => running)
    expect(going.length).toBeGreaterThan(2)
    for (const run of going) {
      expect(run).toMatchObject({ finished_at: null, success_flag: null, return_code: null, error: null })
      expect(run.output_dir).toBe(backend.directory)
      // What was shown once stays.
      expect(board.run?.logs.slice(0, run.logs.length)).toEqual(run.logs)
    }
    expect(board.run).toMatchObject({ running: false, success_flag: true, return_code: 0, error: null })
    expect(board.run?.logs.join('\n')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*Z \[chat\] /m)
    expect(board.models?.models).toMatchObject({
      chat: { ready: true, name: 'Chat', cache_hint: join(backend.directory, 'llm', 'chat.gguf') },
      search: { ready: true },
      extra: { ready: false, message: expect.stringMatching(/\S/) },
    })
    expect(board.models?.catalog.map(({ key, required, auto_download }) => [key, required, auto_download]))
      // In the catalog's order.
      .toEqual([
        ['chat', true, true],
        ['search', false, true],
        ['extra', false, false],
      ])
    expect(board.models).toMatchObject({ any_ready: true, any_missing: true })
    expect(board.models?.first_use_tip).toMatch(/extra/)
  })

  it('passes what is chosen in the query of a POST without a body', async () => {
    await using backend = await startBackend({ models, authorize })
    const board = boardOf(backend)
    const outputDir = join(backend.directory, 'there')
    await start(board, { models: 'extra,search', output_dir: outputDir, force: false })
    expect(board).toMatchObject({ error: '', run: { success_flag: true, output_dir: outputDir } })
    expect((await listTree(outputDir)).filter((path) => !path.endsWith('/'))).toEqual([
      'embed/search.gguf',
      'llm/extra.gguf',
    ])
    // Forms send what was left empty, too.
    await start(board, { models: '', output_dir: '', force: true })
    expect(board).toMatchObject({ error: '', run: { success_flag: true, output_dir: backend.directory } })
    await start(board, { models: 'all' })
    expect(board).toMatchObject({ error: '', run: { success_flag: true } })
    expect(backend.origin.requests('/chat.gguf').length).toBeGreaterThan(0)
  })

  it('takes up a run that is going when it is opened', async () => {
    await using backend = await startBackend({ models, authorize })
    await backend.preloader?.start({})
    const board = boardOf(backend, 'member')
    await withTimeout(board.open(), 15_000, 'the run to end')
    expect(board.error).toBe('')
    expect(board.seen[0]).toMatchObject({ running: true })
    expect(board.run).toMatchObject({ running: false, success_flag: true })
    expect(board.models?.models).toMatchObject({ chat: { ready: true } })
  })

  it('lets managers start only, and says so', async () => {
    await using backend = await startBackend({ models, authorize })
    const member = boardOf(backend, 'member')
    await member.open()
    expect(member).toMatchObject({ error: '', run: { running: false } })
    await member.start()
    expect(member.error).toMatch(/permission/)
    const nobody = boardOf(backend, '')
    await nobody.start()
    expect(nobody.error).toMatch(/authentication/)
    await nobody.open()
    expect(nobody).toMatchObject({ run: null, models: null })
    expect(backend.preloader?.status()).toMatchObject({ running: false, started_at: null })
  })

  it('says why a run can’t be started', async () => {
    await using backend = await startBackend({ models, authorize })
    const board = boardOf(backend)
    await board.start({ models: 'chat,nonsense' })
    expect(board.error).toMatch(/nonsense/)
    await board.start({ output_dir: '/etc' })
    expect(board.error).toMatch(/\S/)
    expect(board.error).not.toMatch(/status code/)
    await backend.preloader?.start({})
    await board.start()
    expect(board.error).toMatch(/\S/)
    expect(board.error).not.toMatch(/status code/)
    await backend.preloader?.cancel()
    await board.open()
    expect(board.run).toMatchObject({
      running: false,
      success_flag: false,
      return_code: 1,
      error: 'canceled',
    })
  })

  it('says when a required model failed, and when an optional one did', async () => {
    await using backend = await startBackend({ models, authorize })
    const board = boardOf(backend)
    backend.origin.remove('/search.gguf')
    await start(board)
    expect(board.run).toMatchObject({ success_flag: true, return_code: 0, error: null })
    expect(board.models?.models).toMatchObject({ chat: { ready: true }, search: { ready: false } })
    backend.origin.serve('/chat.gguf', { content: contents.search })
    await start(board, { force: true })
    expect(board.run).toMatchObject({
      success_flag: false,
      return_code: 1,
      error: expect.stringMatching(/chat/),
    })
    // The old file is kept rather than none.
    expect(board.models?.models).toMatchObject({ chat: { ready: true } })
  })
})

describeWith(chromium, 'in a browser, from another origin', () => {
  const open = async (token: string) => {
    const script = await bundlePage(join(import.meta.dirname, 'pages', 'dashboard.mjs'))
    const site = await servePages({ '/': pageOf(script) })
    const backend = await startBackend({ models, authorize, cors: { origins: [site] } })
    const query = new URLSearchParams({ api: backend.url, token, every: String(everyMs) })
    const page = await openPage(`${site}/?${query.toString()}`)
    const text = async (id: string) => (await page.locator(`#${id}`).textContent()) ?? ''
    await waitFor(async () => (await text('models')).includes('Chat: missing'), { what: 'the models' })
    return { backend, page, text, [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose]() }
  }

  it('starts a run, watches it until its end, and shows the models', async () => {
    await using stage = await open('manager')
    const { page, text } = stage
    await page.locator('#start').click()
    await waitFor(async () => (await text('state')) === 'ended: true', {
      what: 'the run to end',
      timeoutMs: 15_000,
    })
    expect(await text('error')).toBe('')
    expect(await text('models')).toMatch(/Chat: ready .*Search: ready .*extra: missing/)
    expect(await text('logs')).toContain('[chat]')
  })

  it('shows why it may not', async () => {
    await using stage = await open('member')
    const { backend, page, text } = stage
    await page.locator('#start').click()
    await waitFor(async () => (await text('error')).includes('permission'), { what: 'the refusal' })
    expect(backend.preloader?.status().started_at).toBeNull()
  })
})
