import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { startOrigin } from '../support/origin.js'
import { openFds } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { MiB, serveModel, startServeProcess, writeCatalog, type Serving } from './serving.js'

/** Opens an event stream; with `hang` nobody reads what comes after the head. */
async function openEvents(
  { port }: Serving,
  hang: boolean,
): Promise<{ socket: Socket; closed: Promise<unknown> }> {
  const socket = connect(port, '127.0.0.1')
  // A server that cuts the connection does so with a reset when there is unread data.
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  socket.write('GET /api/models/download/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const [head] = (await withTimeout(once(socket, 'data'), 5_000, 'the head')) as [Buffer]
  expect(head.toString()).toMatch(/^HTTP\/1\.1 200 /)
  if (hang) socket.pause()
  else socket.resume()
  return { socket, closed }
}

describe('SIGTERM', () => {
  it('ends it with 0 within 5 s while clients hang and downloads run, and keeps the bytes', async () => {
    await using origin = await startOrigin()
    const models = ['a', 'b', 'c'].map((key) => serveModel(origin, key, 4 * MiB, { bytesPerSecond: MiB / 4 }))
    const directory = tempDir('serve')
    const catalog = writeCatalog(models.map(({ entry }) => entry))
    await using serving = await startServeProcess(['--catalog', catalog], { directory })
    await serving.client.preload.start()
    const clients = await Promise.all(Array.from({ length: 20 }, (_, n) => openEvents(serving, n < 10)))
    // A request whose body never ends, and a connection on which nothing was ever sent.
    const endless = request(`${serving.url}/api/models/download`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': 100 },
    }).on('error', () => undefined)
    endless.write('{')
    const silent = connect(serving.port, '127.0.0.1').on('error', () => undefined)
    await once(silent, 'connect')
    for (const model of models) await origin.waitForBytes(model.path, MiB / 2)

    const ended = await serving.process.kill('SIGTERM', 5_000)
    expect(ended).toMatchObject({ code: 0, signal: null })
    expect(ended.stderr).toMatch(/\[server\] stopping; 3 downloads resume at the next start$/m)
    expect(ended.stderr).not.toMatch(/error|not everything/)
    for (const { socket, closed } of clients) {
      socket.resume()
      await withTimeout(closed, 5_000, 'the stream to end')
    }
    const llm = path.join(directory, 'llm')
    expect((await readdir(llm)).filter((name) => !name.endsWith('.part') && !name.endsWith('.json'))).toEqual(
      [],
    )

    for (const model of models) origin.serve(model.path, { content: model.content })
    await waitFor(() => origin.activeRequests === 0, { what: 'the origin to notice' })
    origin.clearRequests()
    await using again = await startServeProcess(['--catalog', catalog], { directory })
    expect(await again.preloaded()).toMatchObject({ success_flag: true, completed: 3 })
    for (const model of models) {
      const file = await readFile(path.join(llm, path.basename(model.path)))
      expect(file.equals(model.content.slice(0, model.content.size))).toBe(true)
      expect(origin.bytesSent(model.path)).toBeLessThan(3.8 * MiB)
    }
  })

  it('ends an idle one', async () => {
    await using serving = await startServeProcess()
    await serving.client.list()
    expect(await serving.process.kill('SIGTERM')).toMatchObject({ code: 0, signal: null })
  })

  it('lets an answer that is under way end', async () => {
    await using serving = await startServeProcess()
    const asked = request(`${serving.url}/api/models/download`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': 2 },
    })
    asked.write('{')
    const answered = once(asked, 'response') as Promise<[{ statusCode: number }]>
    await waitFor(
      async () => (await openFds(serving.process.pid)).filter((fd) => fd.startsWith('socket')).length > 1,
    )
    const exited = serving.process.kill('SIGTERM')
    await serving.process.waitForOutput(/stopping/)
    asked.end('}')
    const [{ statusCode }] = await withTimeout(answered, 5_000, 'the answer')
    expect(statusCode).toBe(400)
    expect(await exited).toMatchObject({ code: 0 })
  })
})

describe('other signals', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('%s ends it with %d', async (signal, code) => {
    await using serving = await startServeProcess()
    expect(await serving.process.kill(signal)).toMatchObject({ code, signal: null })
  })

  it('a second one ends it at once, whatever hangs', async () => {
    await using serving = await startServeProcess()
    const endless = request(`${serving.url}/api/models/download`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': 100 },
    }).on('error', () => undefined)
    endless.write('{')
    await waitFor(
      async () => (await openFds(serving.process.pid)).filter((fd) => fd.startsWith('socket')).length > 1,
    )
    process.kill(serving.process.pid, 'SIGTERM')
    await serving.process.waitForOutput(/stopping/)
    // The first one alone would make it exit with 0.
    expect(await serving.process.kill('SIGTERM')).toMatchObject({ code: 143, signal: null })
  })
})
