/** The dashboard in a real browser, over a real server. */
import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import type { CatalogModel } from '../../src/catalog/catalog.js'
import type { Authorize } from '../../src/http/handler.js'
import { huggingFace } from '../../src/index.js'
import { ggufContent } from '../support/content.js'
import { ggufModel, llamaMetadata } from '../support/gguf.js'
import { startHub } from '../support/hub.js'
import { chromium, describeWith } from '../support/machine.js'
import type { Origin } from '../support/origin.js'
import { deadline, waitFor } from '../support/wait.js'
import { expectAccessible, filledOf, inside, openBoard, progressOf, slowly, untilSays } from './board.js'

const models = (origin: Origin): CatalogModel[] => {
  origin.serve('/chat.gguf', { content: ggufContent(900_000, 'chat'), bytesPerSecond: 400_000 })
  origin.serve('/search.gguf', { content: ggufContent(100_000, 'search') })
  return [
    { key: 'chat', name: 'Chat model', url: origin.url('/chat.gguf'), description: 'It talks.' },
    { key: 'search', name: 'Search', url: origin.url('/search.gguf'), mode: 'embed', auto_download: false },
  ]
}

/** Callers with the token may do everything. */
const authorize: Authorize = (_action, request) =>
  request.headers.get('authorization') === 'Bearer right' || 'unauthenticated'

describeWith(chromium, 'the dashboard', () => {
  it('starts a download, shows its bar move, pauses it, goes on, and says when it is done', async () => {
    await using board = await openBoard()
    const { page, backend, row, add } = board
    await page.getByText('No downloads yet').waitFor()
    // It does not end before it is paused, however long the page takes.
    await add(slowly(backend, '/llama.gguf', 2_000_000, 40_000))
    const llama = row('llama.gguf')
    await untilSays(llama, 'Downloading')
    const seen = new Set<number>()
    await waitFor(async () => seen.add(await progressOf(llama)).size > 3, {
      timeoutMs: 15_000,
      what: 'the bar to move',
    })
    expect([...seen]).toEqual([...seen].sort((a, b) => a - b))
    await waitFor(async () => (await filledOf(llama)) > 1, { what: 'the bar to fill' })

    await llama.getByRole('button', { name: 'Pause: llama.gguf' }).click()
    await untilSays(llama, 'Paused')
    const at = await progressOf(llama)
    await waitFor(async () => Math.abs((await filledOf(llama)) - at) < 1, { what: 'the bar to stand' })
    expect(backend.manager.list()[0]?.state).toBe('paused')
    slowly(backend, '/llama.gguf')

    await llama.getByRole('button', { name: 'Resume: llama.gguf' }).click()
    await untilSays(llama, /Done\s+2\.0 MB/)
    expect(await llama.getByRole('progressbar').count()).toBe(0)
    await waitFor(async () => (await page.locator('[role=status]').allInnerTexts()).join().includes('Done'), {
      what: 'the announcement',
    })
  })

  it('says why a download failed, and tries again', async () => {
    await using board = await openBoard()
    const { backend, row, add } = board
    await add(backend.origin.url('/missing.gguf'))
    const missing = row('missing.gguf')
    await untilSays(missing, /Failed[^]*no such file[^]*NOT_FOUND/)
    backend.origin.serve('/missing.gguf', { content: ggufContent(50_000) })
    await missing.getByRole('button', { name: 'Try again: missing.gguf' }).click()
    await untilSays(missing, 'Done')
  })

  it('says why something can not be asked for', async () => {
    await using board = await openBoard()
    const { page, add } = board
    await add('ftp://example.com/x.gguf')
    const input = page.locator('model-download-add input')
    await page.getByRole('alert').filter({ hasText: 'INVALID_URL' }).waitFor()
    expect(await input.getAttribute('aria-invalid')).toBe('true')
    expect(await input.inputValue()).toBe('ftp://example.com/x.gguf')
    await expectAccessible(page)
  })

  it('searches, shows what a model is, and downloads it from there', async () => {
    await using hub = await startHub()
    const tensors = [{ name: 'token_embd.weight', shape: [4096, 1000], type: 12 }]
    const file = (size: number) => ggufModel(size, { metadata: llamaMetadata, tensors })
    hub.add('owner/tiny-GGUF', {
      files: { 'tiny-Q4_K_M.gguf': file(30_000), 'tiny-Q8_0.gguf': file(60_000) },
    })
    const sources = [huggingFace({ endpoint: hub.url, token: null })]
    await using board = await openBoard({ of: { sources }, allowPrivateNetwork: true })
    const { page, row } = board
    await page.locator('model-download-add input[name=url]').fill('tiny')
    await page.getByRole('button', { name: 'Look first, or search' }).click()
    await page.getByRole('button', { name: 'owner/tiny-GGUF' }).click()
    const look = page.locator('model-download-look')
    await look.getByText('Tiny Llama').waitFor()
    expect(await look.locator('section').innerText()).toMatch(
      /2 files[^]*90\.0 kB[^]*llama[^]*4,096,000 parameters[^]*context 8,192[^]*1 tensors[^]*chat template/,
    )
    await expectAccessible(page)
    await look.getByRole('button', { name: 'Back to the results' }).click()
    await look.getByText('Models found for tiny').waitFor()
    await page.getByRole('button', { name: 'owner/tiny-GGUF' }).click()
    expect(board.backend.manager.list()).toEqual([])
    await look.getByRole('button', { name: 'Download Q4_K_M' }).click()
    await untilSays(row('tiny-Q4_K_M.gguf'), 'Done')
    expect(board.backend.manager.list().map(({ url }) => url)).toEqual(['hf:owner/tiny-GGUF:Q4_K_M'])
    expect(await look.count()).toBe(0)
  })

  it('asks before it cancels, and before it removes a file', async () => {
    await using board = await openBoard()
    const { page, backend, row, add } = board
    await add(slowly(backend, '/large.gguf', 40_000_000))
    const large = row('large.gguf')
    await untilSays(large, /Downloading[^]*of 40\.0 MB/)
    await large.getByRole('button', { name: 'Cancel: large.gguf' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'Keep it' }).click()
    expect(backend.manager.list()[0]?.state).toBe('downloading')
    await large.getByRole('button', { name: 'Cancel: large.gguf' }).click()
    await expectAccessible(page)
    await dialog.getByRole('button', { name: 'Cancel download' }).click()
    await untilSays(large, 'Canceled')

    backend.origin.serve('/small.gguf', { content: ggufContent(10_000) })
    await add(backend.origin.url('/small.gguf'))
    const small = row('small.gguf')
    await untilSays(small, 'Done')
    const file = await backend.manager.get(backend.origin.url('/small.gguf'))!.finished
    await small.getByRole('button', { name: 'Remove: small.gguf' }).click()
    await dialog.getByLabel('Also delete the file').check()
    await dialog.getByRole('button', { name: 'Remove' }).click()
    await waitFor(async () => (await small.count()) === 0, { what: 'the row to go' })
    expect(existsSync(file.path)).toBe(false)
  })

  it('fetches the models of the catalog, with a log that follows', async () => {
    await using board = await openBoard({ models })
    const { page } = board
    const panel = page.locator('model-preload')
    await panel.getByText('2 of 2 models are missing.').waitFor()
    await panel.locator('pre').waitFor()
    await panel.getByRole('button', { name: 'Fetch missing models' }).click()
    await panel.getByText('Fetching models: 0 of 1 done').waitFor()
    await panel.getByText('The last run succeeded.').waitFor({ timeout: deadline(30_000) })
    await panel.getByText('1 of 2 models are missing.').waitFor()
    const log = panel.getByRole('log')
    expect(await log.innerText()).toMatch(/\[chat\]/)
    const lines = inside('model-preload', 'model-preload-log', '.lines')
    const isAtEnd = () =>
      page.evaluate<boolean>(`((at) => at.scrollHeight - at.scrollTop - at.clientHeight < 2)(${lines})`)
    expect(await isAtEnd()).toBe(true)
    await panel.getByRole('button', { name: 'Pause' }).click()
    const before = await log.innerText()
    await panel.getByRole('button', { name: 'Fetch: Search' }).click()
    await panel.getByText('All models are ready.').waitFor({ timeout: deadline(30_000) })
    expect(await log.innerText()).toBe(before)
    await panel.getByRole('button', { name: 'Follow' }).click()
    await waitFor(async () => (await log.innerText()).includes('[search]'), { what: 'the log to go on' })
    expect(await isAtEnd()).toBe(true)
    await expectAccessible(page)
  })

  it('shows a preload that fails, and why', async () => {
    await using board = await openBoard({ models })
    board.backend.origin.remove('/chat.gguf')
    const panel = board.page.locator('model-preload')
    await panel.getByRole('button', { name: 'Fetch missing models' }).click()
    await panel.getByText(/The last run failed: .*chat/).waitFor({ timeout: deadline(30_000) })
    await expectAccessible(board.page)
  })

  it('offers nothing that its reader may not do', async () => {
    const readers: Authorize = (action) => action === 'downloads:read'
    await using board = await openBoard({ models, authorize: readers })
    const { page, backend, row } = board
    await backend.manager.download({ url: slowly(backend, '/other.gguf'), mode: 'llm' })
    await untilSays(row('other.gguf'), 'Downloading')
    await page.getByText('2 of 2 models are missing.').waitFor()
    expect(await page.locator('model-download-add').count()).toBe(0)
    expect(await row('other.gguf').getByRole('button').allInnerTexts()).toEqual(['other.gguf'])
    for (const name of ['Pause all', 'Clear finished'])
      expect(await page.getByRole('button', { name }).count()).toBe(0)
    expect(await page.locator('model-preload').getByRole('button').allInnerTexts()).toEqual(['Pause', 'Copy'])
  })

  it('asks for a token where the server does, and forgets it', async () => {
    await using board = await openBoard({ authorize })
    const { page, add, backend } = board
    const field = page.getByLabel('Access token')
    await field.waitFor()
    expect(await page.locator('model-downloads').count()).toBe(0)
    await expectAccessible(page)
    await field.fill('wrong')
    await field.press('Enter')
    await page.getByText('The server rejected this token.').waitFor()
    await field.fill('right')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('No downloads yet').waitFor()
    await add(backend.origin.url('/none.gguf'))
    await untilSays(board.row('none.gguf'), 'Failed')
    await page.reload()
    await untilSays(board.row('none.gguf'), 'Failed')
    expect(page.url()).not.toContain('right')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await field.waitFor()
    expect(await page.locator('model-download-row').count()).toBe(0)
  })

  it('can be used with the keyboard alone', async () => {
    await using board = await openBoard()
    const { page, backend, row } = board
    await page.getByText('No downloads yet').waitFor()
    const tabTo = async (name: string | RegExp) => {
      for (let i = 0; i < 30; i++) {
        await page.keyboard.press('Tab')
        const label = await page.evaluate<string>(
          '(() => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement; return at?.getAttribute("aria-label") ?? at?.innerText ?? "" })()',
        )
        if (typeof name === 'string' ? label === name : name.test(label)) return
      }
      throw new Error(`The focus never came to ${String(name)}.`)
    }
    await tabTo('Address or name of a model')
    await page.keyboard.type(slowly(backend, '/keys.gguf', 8_000_000, 80_000))
    await page.keyboard.press('Enter')
    await untilSays(row('keys.gguf'), 'Downloading')
    await tabTo('Pause: keys.gguf')
    await page.keyboard.press('Space')
    await untilSays(row('keys.gguf'), 'Paused')
    await waitFor(
      async () => await row('keys.gguf').getByRole('button', { name: 'Resume: keys.gguf' }).isEnabled(),
      { what: 'the button' },
    )
    await tabTo('Cancel: keys.gguf')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await waitFor(async () => !(await page.getByRole('dialog').isVisible()), { what: 'the dialog to close' })
    expect(backend.manager.list()[0]?.state).toBe('paused')
    await page.keyboard.press('Enter')
    await tabTo('Cancel download')
    await page.keyboard.press('Enter')
    await untilSays(row('keys.gguf'), 'Canceled')
  })
})

describeWith(chromium, 'how the dashboard looks', () => {
  it('speaks the language of the browser, or another one when told', async () => {
    await using board = await openBoard({ models }, { locale: 'zh-CN' })
    const { page, backend, add, row } = board
    await page.getByText('还没有下载任务').waitFor()
    await page.getByText('共 2 个模型，缺少 2 个。').waitFor()
    await add(backend.origin.url('/none.gguf'))
    await untilSays(row('none.gguf'), /失败[^]*找不到该文件/)
    await expectAccessible(page)
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN')
    // What the server says to people comes in the same language.
    await page.locator('model-preload').getByText('尚未下载').first().waitFor()
    await page.getByLabel('语言').selectOption('English')
    await untilSays(row('none.gguf'), /Failed[^]*no such file/)
    await page.reload()
    await untilSays(row('none.gguf'), /Failed[^]*no such file/)
  })

  it.each(['light', 'dark'] as const)('is as the system is: %s', async (colorScheme) => {
    await using board = await openBoard({ models }, { colorScheme })
    const { page, backend, row, add } = board
    await add(slowly(backend, '/a.gguf', 8_000_000))
    await untilSays(row('a.gguf'), 'Downloading')
    await add(backend.origin.url('/none.gguf'))
    await untilSays(row('none.gguf'), 'Failed')
    await page.getByText('2 of 2 models are missing.').waitFor()
    await expectAccessible(page)
    const ground = () =>
      page.evaluate<string>(`getComputedStyle(${inside('model-downloads', '.card')}).backgroundColor`)
    const own = await ground()
    expect(own).toBe(colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(24, 27, 33)')
    await page.getByLabel('Appearance').selectOption(colorScheme === 'light' ? 'Dark' : 'Light')
    expect(await ground()).not.toBe(own)
    await expectAccessible(page)
  })

  it.each([320, 768, 1440])('fits into %i pixels', async (width) => {
    await using board = await openBoard({ models }, { viewport: { width, height: 800 } })
    const { page, backend, row, add } = board
    const name = `a-name-without-an-end-${'x'.repeat(80)}.gguf`
    await add(slowly(backend, `/${name}`, 8_000_000))
    await untilSays(row('a-name-without'), 'Downloading')
    await page.getByText('2 of 2 models are missing.').waitFor()
    const widest = await page.evaluate<number>('document.documentElement.scrollWidth')
    expect(widest).toBeLessThanOrEqual(width)
    const button = await row('a-name-without').getByRole('button').first().boundingBox()
    expect(button!.x + button!.width).toBeLessThanOrEqual(width)
    expect(button!.height).toBeGreaterThanOrEqual(24)
    await expectAccessible(page)
  })

  it('stands still for those who want no motion', async () => {
    await using board = await openBoard({}, { reducedMotion: 'reduce' })
    const { page, backend, row, add } = board
    await add(slowly(backend, '/still.gguf', 8_000_000))
    await untilSays(row('still.gguf'), 'Downloading')
    const moves = await page.evaluate<number>('document.getAnimations().length')
    expect(moves).toBe(0)
  })
})
