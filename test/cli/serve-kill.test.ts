import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { MiB, serveModel, startServeProcess, writeCatalog } from './serving.js'

describe('kill -9 in the middle of a preload of five files', () => {
  it('costs little: the next one goes on by itself, with status and log', async () => {
    await using origin = await startOrigin()
    const size = 6 * MiB
    // Three run at a time: the first two end soon, and then the others are in progress.
    const models = ['a', 'b', 'c', 'd', 'e'].map((key, index) =>
      serveModel(origin, key, index < 2 ? MiB : size, index < 2 ? {} : { bytesPerSecond: MiB / 4 }),
    )
    const directory = tempDir('serve')
    const args = ['--catalog', writeCatalog(models.map(({ entry }) => entry))]
    const first = await startServeProcess(args, { directory })
    const started = await first.client.preload.start()
    const under = models.slice(2)
    for (const model of under) await origin.waitForBytes(model.path, 2 * MiB, 10_000)
    const before = await first.client.preload.status()
    expect(before).toMatchObject({ running: true, completed: 2, total: 5 })
    await first.process.kill('SIGKILL')
    await waitFor(() => origin.activeRequests === 0, { what: 'the origin to notice' })
    const sent = new Map(models.map(({ path: at }) => [at, origin.bytesSent(at)]))
    expect(await listTree(path.join(directory, 'llm'))).toEqual(
      expect.arrayContaining(['a.gguf', 'b.gguf', 'c.gguf.part', 'd.gguf.part', 'e.gguf.part']),
    )

    origin.clearRequests()
    await using second = await startServeProcess(args, { directory })
    // It resumes without a request. Status and log are those of the killed run.
    const soon = await second.client.preload.status()
    expect(soon).toMatchObject({ started_at: started.started_at, total: 5, output_dir: directory })
    expect(soon.completed).toBeGreaterThanOrEqual(2)
    const early = before.logs.filter((line) => /started|completed|downloading/.test(line))
    expect(early.length).toBeGreaterThan(5)
    for (const line of early) expect(soon.logs).toContain(line)
    // Two of five make 40 %; the kept bytes of the others count before any more of them arrive.
    const kept = await waitFor(
      () => second.client.preload.status().then(({ progress }) => (progress ?? 0) > 45),
      {
        what: 'the kept bytes to count',
      },
    )
    expect(kept).toBe(true)
    await second.process.waitForOutput(/\[preload\] resumed after a restart: 2 of 5 completed/)

    for (const model of models) origin.serve(model.path, { content: model.content })
    origin.destroyConnections()
    const end = await second.preloaded()
    expect(end).toMatchObject({ success_flag: true, return_code: 0, completed: 5, progress: 100 })
    expect(end.logs).toEqual(expect.arrayContaining([expect.stringMatching(/resumed after a restart/)]))
    for (const { path: at, content } of models) {
      const file = await readFile(path.join(directory, 'llm', path.basename(at)))
      expect([at, file.equals(content.slice(0, content.size))]).toEqual([at, true])
    }
    for (const { path: at } of models.slice(0, 2)) expect([at, origin.requests(at)]).toEqual([at, []])
    for (const { path: at } of under) {
      const requests = origin.requests(at)
      expect(requests.length).toBeGreaterThan(0)
      // Each asks for a part behind the first bytes.
      for (const { range } of requests) expect([at, (range?.start ?? 0) > 0]).toEqual([at, true])
      const twice = (sent.get(at) ?? 0) + origin.bytesSent(at) - size
      expect([at, twice < 1.5 * MiB]).toEqual([at, true])
    }
    expect((await second.client.modelsStatus()).any_missing).toBe(false)
  })
})
