/** Instances that serve finished files to each other. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createHandler, DownloadManager } from '../../src/index.js'
import { listen } from '../../src/http/node.js'
import { randomContent } from '../support/content.js'
import { type Origin, startOrigin } from '../support/origin.js'
import { sha256File, tempDir } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'

const content = randomContent(1024 * 1024, 'peers')
const sha256 = content.sha256()
const token = 'the-token-of-the-cluster'
const closing: (() => Promise<unknown>)[] = []
const base = tempDir('peers')

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await withTimeout(close(), 10_000, 'closing')
})

async function origin(): Promise<Origin> {
  const made = await startOrigin()
  closing.push(() => made.close())
  made.serve('/model.bin', { content })
  return made
}

async function node(urls: string[] = [], options: { token?: string; basePath?: string } = {}) {
  const directory = await mkdtemp(join(base, 'node-'))
  const logs: string[] = []
  const manager = new DownloadManager({
    ...{ directory, defaultMode: null, store: 'memory', worker: false, adopt: false },
    tuning: { minDelayMs: 1, maxDelayMs: 5 },
    ...(urls.length === 0 ? {} : { peers: { urls, token } }),
  })
  manager.on('log', ({ message }) => logs.push(message))
  closing.push(() => manager.close())
  const { basePath = '' } = options
  // Whoever has the token is no user of the host.
  const handler = createHandler({
    manager,
    basePath,
    authorize: () => false,
    peers: { token: options.token ?? token },
  })
  const server: Server = createServer((req, res) => {
    listen(handler, req, res)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  closing.push(
    () =>
      new Promise((done) => {
        server.close(done)
        server.closeAllConnections()
      }),
  )
  // An address of TCP, as it listens on one.
  const { port } = server.address() as AddressInfo
  return { manager, logs, directory, server, url: `http://127.0.0.1:${port}${basePath}` }
}

type Node = Awaited<ReturnType<typeof node>>

async function fetched({ manager, directory }: Node, url: string): Promise<void> {
  const { finished } = await manager.download({ url, sha256 })
  expect(await withTimeout(finished, 20_000, 'the file')).toMatchObject({ verified: true })
  expect(await sha256File(join(directory, 'model.bin'))).toBe(sha256)
}

const ask = (url: string, headers: Record<string, string> = {}, method = 'GET', digest = sha256) =>
  fetch(`${url}/api/models/blobs/${digest}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...headers },
  })

describe('a finished file', () => {
  it('is served by its digest to whoever has the token: whole, in ranges, and as a head', async () => {
    const from = await origin()
    const first = await node()
    expect((await ask(first.url)).status).toBe(404)
    await fetched(first, from.url('/model.bin'))
    const whole = await ask(first.url)
    expect(whole.status).toBe(200)
    expect(whole.headers.get('etag')).toBe(`"${sha256}"`)
    expect(Buffer.from(await whole.arrayBuffer()).equals(content.slice(0, content.size))).toBe(true)
    const part = await ask(first.url, { range: 'bytes=1000-300999', 'if-range': `"${sha256}"` })
    expect(part.status).toBe(206)
    expect(Buffer.from(await part.arrayBuffer()).equals(content.slice(1000, 301_000))).toBe(true)
    const head = await ask(first.url, {}, 'HEAD')
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([
      200,
      String(content.size),
      '',
    ])
    expect((await ask(first.url, {}, 'POST')).status).toBe(405)
    expect((await ask(first.url, {}, 'GET', 'b'.repeat(64))).status).toBe(404)
    for (const authorization of ['', 'Bearer ', `Bearer ${token}x`, `Basic ${token}`])
      expect((await ask(first.url, { authorization })).status).toBe(401)
  })

  it('is not served once it was changed, nor without the option', async () => {
    const from = await origin()
    const first = await node()
    await fetched(first, from.url('/model.bin'))
    const path = join(first.directory, 'model.bin')
    const then = new Date(0)
    await utimes(path, then, then)
    expect((await ask(first.url)).status).toBe(404)
    await writeFile(path, 'x')
    expect((await ask(first.url)).status).toBe(404)
    const handler = createHandler({ manager: first.manager })
    expect(handler.owns(`/api/models/blobs/${sha256}`)).toBe(false)
  })
})

describe('an instance with others', () => {
  it('fetches from them what they have, and from the origin only what none has', async () => {
    const from = await origin()
    const empty = await node()
    const first = await node([], { basePath: '/ml' })
    await fetched(first, from.url('/model.bin'))
    from.clearRequests()
    const second = await node([empty.url, first.url])
    await fetched(second, from.url('/model.bin'))
    expect(from.requests()).toEqual([])
    const third = await node([empty.url])
    await fetched(third, from.url('/model.bin'))
    expect(from.requests().length).toBeGreaterThan(0)
    // That it was dropped is said, and its token is not.
    expect(third.logs.join('\n')).toContain(`No longer fetching from ${new URL(empty.url).host}`)
    expect(third.logs.join('\n')).not.toContain(token)
    expect(from.requests().every(({ headers }) => headers['authorization'] === undefined)).toBe(true)
  })

  it('drops one that lies, that is gone, or that does not know its token', async () => {
    const from = await origin()
    const liar = await startOrigin()
    closing.push(() => liar.close())
    liar.serve(`/api/models/blobs/${sha256}`, { content: randomContent(content.size, 'a lie') })
    const gone = await node()
    await new Promise((done) => {
      gone.server.close(done)
    })
    const stranger = await node([], { token: 'another-token-altogether' })
    await fetched(stranger, from.url('/model.bin'))
    const last = await node([liar.url(''), gone.url, stranger.url])
    await fetched(last, from.url('/model.bin'))
    expect(liar.requests().length).toBeGreaterThan(0)
    expect(liar.requests()[0]?.headers['authorization']).toBe(`Bearer ${token}`)
    expect(last.logs.join('\n')).toContain('Starting over')
  })
})
