/** The page “Getting started”, followed command by command: what a reader types gives a bar that moves. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openPage } from '../support/browser.js'
import { ggufContent } from '../support/content.js'
import { blocksOf, read } from '../support/documents.js'
import { chromium, describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { root, spawnNode } from '../support/process.js'
import { tempDir } from '../support/temp.js'

const blocks = blocksOf(read('docs/getting-started.md'))
const model = 'hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf'
const content = ggufContent(400_000)

/** Runs a command of the page as a shell would, without a network: packages are those of this project. */
function type(folder: string, command: string): string {
  const [program = '', ...words] = command.split(' ')
  if (program === 'mkdir') {
    mkdirSync(path.join(folder, words[0] ?? ''))
    return folder
  }
  if (program === 'cd') return path.join(folder, words[0] ?? '')
  if (program === 'npm' && words[0] === 'install') {
    mkdirSync(path.join(folder, 'node_modules'))
    for (const name of words.slice(1))
      symlinkSync(
        name === 'model-downloader' ? root : path.join(root, 'node_modules', name),
        path.join(folder, 'node_modules', name),
      )
    return folder
  }
  execFileSync(program, words, { cwd: folder, stdio: 'pipe' })
  return folder
}

it('has the same commands and files in Chinese', () => {
  expect(blocksOf(read('docs/getting-started.zh-CN.md'))).toEqual(blocks)
})

describeWith(chromium, 'whoever follows it', () => {
  it('sees a bar that moves, and has the file', async () => {
    await using origin = await startOrigin()
    origin.serve('/model.gguf', { content, bytesPerSecond: 50_000 })
    const [install, server, page, start, ask] = blocks
    expect(start?.code).toBe('node server.mjs\n')

    let folder = tempDir('getting-started')
    for (const command of (install?.code ?? '').trim().split('\n')) folder = type(folder, command)
    mkdirSync(path.join(folder, 'public'))
    const file = path.join(folder, 'server.mjs')
    // A model of this test, on a port of its own; everything else is as it stands on the page.
    writeFileSync(
      file,
      (server?.code ?? '')
        .replace('ui: true', 'ui: true, allowPrivateNetwork: true')
        .replace('listen(3000,', 'listen(0,')
        .replace("console.log('http://localhost:3000')", 'console.log(server.address().port)'),
    )
    writeFileSync(
      path.join(folder, 'public/index.html'),
      (page?.code ?? '').replace(model, origin.url('/model.gguf')),
    )
    const running = spawnNode(file, [], { cwd: folder })
    onTestFinished(async () => {
      await running.kill('SIGKILL')
    })
    await expect.poll(() => running.stdout).toMatch(/^\d+\n/u)
    const address = `http://localhost:${running.stdout.trim()}`

    const shown = await openPage(address)
    await shown.getByRole('button', { name: 'Download' }).click()
    const bar = shown.getByRole('progressbar')
    await expect.poll(async () => Number(await bar.getAttribute('aria-valuenow'))).toBeGreaterThan(10)
    // The second way to ask, of the last step: it joins what runs.
    const body = /-d '(.*)'/u.exec(ask?.code ?? '')?.[1]?.replace(model, origin.url('/model.gguf'))
    const answer = await fetch(`${address}/api/models/download`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: body ?? '',
    })
    expect(answer.ok).toBe(true)
    origin.serve('/model.gguf', { content })
    const whole = path.join(folder, 'models/llm/model.gguf')
    await expect
      .poll(() =>
        stat(whole).then(
          ({ size }) => size,
          () => 0,
        ),
      )
      .toBe(content.size)

    expect((await running.kill('SIGINT')).code).toBe(0)
  })
})
