/** A preload and remote callers who request its URLs: nothing that they said counts for the models. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ggufContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { open } from './support.js'

const content = ggufContent(300_000)
const evil = ggufContent(300_001)
const remote = { allowPrivateNetwork: true }

async function start() {
  const origin = await startOrigin()
  origin.serve('/a.gguf', { content })
  origin.serve('/evil/a.gguf', { content: evil })
  const directory = tempDir('distrust')
  const url = origin.url('/a.gguf')
  const scene = await open([{ key: 'a', url }], { directory, defaultMode: 'llm', adopt: false })
  const path = join(directory, 'llm', 'a.gguf')
  const end = async () => {
    await scene.preloader.close()
    await scene.manager.close()
    await origin.close()
  }
  return { ...scene, [Symbol.asyncDispose]: end, origin, url, mirror: origin.url('/evil/a.gguf'), path }
}

it.each([
  ['a random digest', { sha256: 'f'.repeat(64) }],
  ['another name', { filename: 'b.gguf' }],
  ['another size', { size: 7 }],
])('a remote request of the same URL with %s does not fail the model', async (_, said) => {
  await using scene = await start()
  const download = await scene.manager.download({ url: scene.url, remote, ...said })
  await download.finished.catch(() => undefined)
  await scene.preloader.start()
  expect(await scene.end()).toMatchObject({ success_flag: true })
  expect((await readFile(scene.path)).length).toBe(content.size)
})

it("the file of a remote caller's mirror is not taken for the model", async () => {
  await using scene = await start()
  const { manager, origin, url, mirror, path } = scene
  origin.serve('/a.gguf', { status: 404 })
  const download = await manager.download({ url, remote, urls: [mirror], sha256: evil.sha256() })
  expect((await download.finished).path).toBe(path)
  origin.serve('/a.gguf', { content })
  await scene.preloader.start()
  expect(await scene.end()).toMatchObject({ success_flag: true })
  expect((await readFile(path)).length).toBe(content.size)
})

it('neither is the file of another URL under its name', async () => {
  await using scene = await start()
  await (
    await scene.manager.download({ url: scene.mirror, remote })
  ).finished
  await scene.preloader.start()
  expect(await scene.end()).toMatchObject({ success_flag: true })
  expect((await readFile(scene.path)).length).toBe(content.size)
})

it('a remote caller who requests a failed model again does not complete it', async () => {
  await using scene = await start()
  const { manager, preloader, origin, url, mirror } = scene
  origin.serve('/a.gguf', { status: 404 })
  await preloader.start()
  await waitFor(() => manager.get(url)?.state === 'failed')
  const again = await manager.download({ url, remote, urls: [mirror] })
  await again.finished
  expect(await scene.end()).toMatchObject({ success_flag: false })
})
