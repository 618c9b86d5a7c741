/** The dashboard while its server ends and comes again. */
import { expect, it } from 'vitest'
import { startServeProcess } from '../cli/serving.js'
import { openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { chromium, describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { add, progressOf, rowOf, ui, untilSays } from './board.js'
import { ownPort } from '../support/ports.js'
import { deadline } from '../support/wait.js'

describeWith(chromium, 'the dashboard', () => {
  it('says that the server is gone, and goes on by itself when it is there again', async () => {
    await using origin = await startOrigin()
    origin.serve('/large.gguf', { content: ggufContent(6_000_000), bytesPerSecond: 300_000 })
    const allowed = ['--allow-host', `127.0.0.1:${origin.port}`]
    const port = await ownPort()
    const first = await startServeProcess([...allowed, '--port', String(port)])
    const page = await openPage(first.url + ui, { locale: 'en-US' })
    await page.getByText('No downloads yet').waitFor()
    await add(page, origin.url('/large.gguf'))
    const row = rowOf(page, 'large.gguf')
    await untilSays(row, /Downloading[^]*of 6\.0 MB/)
    const before = await progressOf(row)
    await first[Symbol.asyncDispose]()
    await page.getByText('No connection to the server.').waitFor({ timeout: deadline(30_000) })
    // The last known state stays visible.
    expect(await row.count()).toBe(1)

    await using second = await startServeProcess([...allowed, '--port', String(port)], {
      directory: first.directory,
    })
    expect([first.port, second.port]).toEqual([port, port])
    await untilSays(row, 'Done', 60_000)
    expect(await page.getByText('No connection to the server.').count()).toBe(0)
    expect(before).toBeLessThan(100)
  })
})
