/** Each command once as people start it: the built file, in a process of its own. The other tests share theirs with it. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { tempDir } from '../support/temp.js'
import { jsonLines, runBuilt } from './run.js'

it('brings a repository, lists it, looks at it, checks it, and deletes it', async () => {
  const cwd = tempDir('built')
  const home = path.join(cwd, 'home')
  await using hub = await startHub()
  hub.add('owner/repo', { files: { 'model.onnx': randomContent(100_000), 'config.json': textContent('{}') } })
  const env = { HOME: home, USERPROFILE: home, XDG_CACHE_HOME: '', HF_HOME: '', HF_HUB_CACHE: '' }
  const built = async (...args: string[]) =>
    await runBuilt([...args, '--json'], { cwd, env: { ...env, HF_ENDPOINT: hub.url } })
  const types = async (...args: string[]) => {
    const ended = await built(...args)
    expect([args, ended.code, ended.stderr]).toEqual([args, 0, expect.not.stringMatching(/error|\n\s+at /)])
    return jsonLines(ended.stdout).at(-1)
  }
  expect(await types('get', 'hf:owner/repo', '-d', 'models')).toMatchObject({ type: 'completed' })
  expect(await types('ls')).toMatchObject({ type: 'group', name: 'repo' })
  expect(await types('info', 'hf:owner/repo')).toMatchObject({ type: 'info' })
  expect(await types('verify')).toMatchObject({ type: 'summary', ok: true })
  expect(await types('outdated', '--all')).toMatchObject({ type: 'check', url: 'hf:owner/repo' })
  expect(await types('rm', 'repo')).toMatchObject({ type: 'removed', name: 'repo' })
  expect(await readdir(path.join(cwd, 'models'))).toEqual([])
  const nothing = await built('get', 'hf:owner/none', '-d', 'models')
  expect(nothing).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: .* \([A-Z_]+\)\n$/) })
})
