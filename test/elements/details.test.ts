/** The details of one download in a real browser. */
import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { huggingFace } from '../../src/index.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { chromium, describeWith } from '../support/machine.js'
import { waitFor } from '../support/wait.js'
import { expectAccessible, openBoard, slowly, untilSays } from './board.js'

describeWith(chromium, 'the details of a download', () => {
  it('tell how it goes, change its settings, and say how to use it in the end', async () => {
    await using board = await openBoard({}, { permissions: ['clipboard-read', 'clipboard-write'] })
    const { page, backend, row } = board
    const { manager, origin } = backend
    const url = slowly(backend, '/chat.gguf', 20_000_000, 400_000)
    const download = await manager.download({ url, mode: 'llm' })
    await untilSays(row('chat.gguf'), 'Downloading')
    await row('chat.gguf').getByRole('button', { name: 'chat.gguf', exact: true }).click()
    const dialog = page.getByRole('dialog', { name: 'chat.gguf' })
    await dialog.getByText(url).waitFor()
    await dialog.getByText(download.path).waitFor()
    await dialog.getByRole('img', { name: /^now .*MB\/s|kB\/s, average/ }).waitFor()
    await dialog.getByRole('log').getByText('Waiting for its turn.').waitFor()
    manager.emit('log', { download, level: 'warn', message: 'Starting over: the file has changed.' })
    await dialog.getByRole('log').getByText('Starting over').waitFor()
    await expectAccessible(page)
    await dialog.getByLabel('Speed limit').selectOption('Max. 2.0 MB/s')
    await waitFor(() => download.maxBytesPerSecond === 2e6, { what: 'the limit' })
    await dialog.getByLabel('Priority').selectOption('High priority')
    await waitFor(() => download.priority === 10, { what: 'the priority' })
    await dialog.getByRole('button', { name: 'Close' }).click()
    await untilSays(row('chat.gguf'), /High priority[^]*Max. 2.0 MB\/s/)

    // As much of the file as there is, at full speed.
    download.maxBytesPerSecond = null
    await manager.pause(url)
    origin.serve('/chat.gguf', { content: ggufContent(20_000_000, '/chat.gguf') })
    await manager.resume(url)
    await untilSays(row('chat.gguf'), 'Done')
    await row('chat.gguf').getByRole('button', { name: 'chat.gguf', exact: true }).click()
    await dialog.getByText(`llama-server -m ${download.path}`).waitFor()
    await dialog.getByRole('button', { name: 'Copy: llama.cpp' }).click()
    await waitFor(
      async () =>
        (await page.evaluate<string>('navigator.clipboard.readText()')) ===
        `llama-server -m ${download.path}`,
      { what: 'the copy' },
    )
    await page.keyboard.press('Escape')
    await waitFor(async () => (await dialog.count()) === 0, { what: 'the dialog to close' })
  })

  it('list the files of a group, in Chinese, on a phone, in the dark', async () => {
    await using hub = await startHub()
    const files = { 'config.json': textContent('{}'), 'model.safetensors': randomContent(2_000_000, 'm') }
    hub.add('owner/model', { files })
    hub.cdnBehaviour = { bytesPerSecond: 200_000 }
    await using board = await openBoard(
      { of: { sources: [huggingFace({ endpoint: hub.url, token: null })] }, allowPrivateNetwork: true },
      { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 320, height: 700 } },
    )
    const { page, row } = board
    await board.add('hf:owner/model')
    await untilSays(row('model'), '1 / 2 个文件')
    await row('model').getByRole('button', { name: 'model', exact: true }).click()
    const list = page.getByRole('list', { name: '文件: model' })
    await waitFor(
      async () => /config\.json[^]*已完成[^]*model\.safetensors[^]*下载中/.test(await list.innerText()),
      { what: 'the files' },
    )
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(320)
    await expectAccessible(page)
    hub.cdnBehaviour = {}
    await page.getByText('AutoModelForCausalLM.from_pretrained').waitFor()
  })

  it('tell whether the source has a newer version, and fetch it', async () => {
    await using hub = await startHub()
    const weights = randomContent(300_000, 'same')
    hub.add('owner/model', { files: { 'config.json': textContent('{"a":1}'), 'model.bin': weights } })
    await using board = await openBoard({
      of: { sources: [huggingFace({ endpoint: hub.url, token: null })] },
      allowPrivateNetwork: true,
    })
    const { page, row, backend } = board
    const url = 'hf:owner/model'
    await board.add(url)
    await untilSays(row('model'), 'Done')
    await row('model').getByRole('button', { name: 'model', exact: true }).click()
    const section = page.locator('model-download-upstream')
    const ask = section.getByRole('button', { name: 'Check for a newer version' })
    await ask.click()
    await section.getByText('This is the newest version.').waitFor()
    expect(await section.getByRole('button', { name: 'Update' }).count()).toBe(0)

    hub.commit('owner/model', { 'config.json': textContent('{"a":2}'), 'model.bin': weights })
    await ask.click()
    await section.getByText('The source has a newer version. 1 file is different (7 bytes)').waitFor()
    await expectAccessible(page)
    await section.getByRole('button', { name: 'Update' }).click()
    const path = backend.manager.get(url)?.group?.files[0]?.path ?? ''
    await waitFor(async () => (await readFile(path, 'utf8')) === '{"a":2}', { what: 'the new version' })
    await untilSays(row('model'), 'Done')
    await ask.click()
    await section.getByText('This is the newest version.').waitFor()

    hub.remove('owner/model')
    await ask.click()
    await section.getByText('Whether there is a newer version is not known.').waitFor()
    await section.locator('.error').waitFor()
  })
})
