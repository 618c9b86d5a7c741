import { writeFileSync } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { get, type RequestOptions } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { caPem } from './certificate.js'
import { randomContent, textContent } from './content.js'
import { startHttpProxy } from './http-proxy.js'
import { describeWithNginx, startNginx } from './nginx.js'
import { startOrigin, type Origin } from './origin.js'
import { openFds, spawnNode } from './process.js'
import { rawGet } from './raw-client.js'
import { startTcpProxy } from './tcp-proxy.js'
import { mounting, skipFor } from './machine.js'
import { listTree, sha256File, smallTmpfs, tempDir } from './temp.js'
import { deadline, waitFor, withTimeout } from './wait.js'

const content = randomContent(3_000_000, 'support')

let origin: Origin
beforeEach(async () => {
  origin = await startOrigin()
  origin.serve('/file', { content })
  origin.serve('/slow', { content, bytesPerSecond: 1_000_000 })
})
afterEach(async () => {
  await origin.close()
})

describe('wait', () => {
  it('returns what it waited for, and fails at the deadline', async () => {
    let asked = 0
    expect(await waitFor(() => (asked += 1) > 3 && 'yes')).toBe('yes')
    await expect(waitFor(() => false, { timeoutMs: 50, what: 'rain' })).rejects.toThrow(
      `Waited ${deadline(50)} ms for rain`,
    )
    await expect(waitFor(() => new Promise(() => undefined), { timeoutMs: 50 })).rejects.toThrow(/in vain/)
    await expect(waitFor(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    await expect(withTimeout(new Promise(() => undefined), 20, 'nothing')).rejects.toThrow(/nothing/)
    expect(await withTimeout(Promise.resolve(1), 20)).toBe(1)
  })
})

describe('tcp proxy', () => {
  it('forwards and counts', async () => {
    await using proxy = await startTcpProxy(origin.port)
    const { body } = await rawGet(`http://127.0.0.1:${proxy.port}/file`)
    expect(body.equals(content.slice(0, content.size))).toBe(true)
    expect(proxy.bytesDown).toBeGreaterThan(content.size)
    expect(proxy.bytesUp).toBeGreaterThan(20)
    expect(proxy.totalConnections).toBe(1)
  })

  it('cuts in silence, and restores without loss', async () => {
    await using proxy = await startTcpProxy(origin.port)
    const response = rawGet(`http://127.0.0.1:${proxy.port}/slow`, { listenMs: 10_000 })
    await waitFor(() => proxy.bytesDown > 100_000)
    proxy.cut()
    const before = proxy.bytesDown
    const other = await rawGet(`http://127.0.0.1:${proxy.port}/file`, { listenMs: 200 })
    expect([other.end, other.bytes.length]).toEqual(['open', 0])
    expect(proxy.bytesDown).toBe(before)
    proxy.restore()
    expect((await response).body.equals(content.slice(0, content.size))).toBe(true)
  })

  it('refuses, resets, delays', async () => {
    await using proxy = await startTcpProxy(origin.port)
    const url = `http://127.0.0.1:${proxy.port}`
    const response = rawGet(`${url}/slow`)
    await waitFor(() => proxy.bytesDown > 10_000)
    proxy.refuse()
    expect((await rawGet(`${url}/file`)).end).toMatch(/ECONNRESET|EPIPE/)
    proxy.resetAll()
    expect((await response).end).toBe('ECONNRESET')
    proxy.restore()
    proxy.delay(100)
    const { tookMs, body } = await rawGet(`${url}/file`, { headers: { Range: 'bytes=0-9' } })
    expect(body).toHaveLength(10)
    expect(tookMs).toBeGreaterThan(190)
  })
})

describe('http proxy', () => {
  const viaProxy = (options: RequestOptions) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      get(options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (data: string) => (text += data))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      }).on('error', reject)
    })

  it('passes absolute requests on, to whom it likes', async () => {
    origin.serve('/hello', { content: textContent('hello') })
    await using proxy = await startHttpProxy({
      auth: 'Basic eDp5',
      target: { host: '127.0.0.1', port: origin.port },
    })
    const options = { host: '127.0.0.1', port: proxy.port, path: 'http://models.invalid/hello' }
    expect((await viaProxy(options)).status).toBe(407)
    const headers = { 'proxy-authorization': 'Basic eDp5' }
    expect(await viaProxy({ ...options, headers })).toEqual({ status: 200, text: 'hello' })
    expect(proxy.requests.map(({ target }) => target)).toEqual(Array(2).fill('http://models.invalid/hello'))
    expect(origin.requests()[0]?.headers['proxy-authorization']).toBeUndefined()
  })

  it('opens tunnels', async () => {
    await using secure = await startOrigin({ tls: true })
    await using proxy = await startHttpProxy()
    const socket = connectTcp(proxy.port, '127.0.0.1')
    socket.write(`CONNECT localhost:${secure.port} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (data) => resolve(data.toString())),
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    const tunnel = connectTls({ socket, servername: 'localhost', ca: caPem })
    tunnel.write('GET /x HTTP/1.1\r\nConnection: close\r\n\r\n')
    await new Promise((resolve) => tunnel.once('data', resolve))
    tunnel.destroy()
    expect(secure.requests('/x')).toHaveLength(1)
    expect(proxy.requests).toMatchObject([{ method: 'CONNECT', target: `localhost:${secure.port}` }])
  })
})

describe('temporary places', () => {
  it('list and hash what is in them', async () => {
    const folder = tempDir()
    expect(await listTree(join(folder, 'missing'))).toEqual([])
    await mkdir(join(folder, 'b', 'c'), { recursive: true })
    await writeFile(join(folder, 'b', 'c', 'file'), content.slice(0, content.size))
    await writeFile(join(folder, 'a'), '')
    expect(await listTree(folder)).toEqual(['a', 'b/', 'b/c/', 'b/c/file'])
    expect(await sha256File(join(folder, 'b', 'c', 'file'))).toBe(content.sha256())
  })

  it('can be as small as one likes, where mounting is allowed', (context) => {
    const folder = smallTmpfs(64 * 1024)
    if (folder === null) return skipFor(context, mounting)
    expect(() => writeFileSync(join(folder, 'big'), Buffer.alloc(128 * 1024))).toThrow(/ENOSPC/)
  })
})

describe('processes', () => {
  const script = (text: string): string => {
    const path = join(tempDir(), 'script.mjs')
    writeFileSync(path, text)
    return path
  }

  it('tell output, code and signal', async () => {
    const path = script(
      "console.log(process.argv[2], process.env.MINE); console.error('bad'); process.exitCode = 3",
    )
    const result = await spawnNode(path, ['one'], { env: { MINE: 'two' } }).finished()
    expect(result).toEqual({ code: 3, signal: null, stdout: 'one two\n', stderr: 'bad\n' })
    await using endless = spawnNode(script("console.log('up'); setInterval(() => {}, 1000)"))
    await endless.waitForOutput(/up/)
    expect((await openFds(endless.pid)).length).toBeGreaterThan(2)
    expect(await endless.kill()).toMatchObject({ code: null, signal: 'SIGKILL' })
    await expect(endless.waitForOutput(/more/)).rejects.toThrow(/Ended without/)
  })

  it('are killed at their deadline', async () => {
    const endless = spawnNode(script('setInterval(() => {}, 1000)'))
    await expect(endless.finished(200)).rejects.toThrow(/Killed after 200 ms/)
    expect(endless.running).toBe(false)
  })

  it('show their open files', async () => {
    const path = join(tempDir(), 'held')
    const file = await open(path, 'w')
    expect(await openFds()).toContain(path)
    await file.close()
    expect(await openFds()).not.toContain(path)
  })
})

describeWithNginx('nginx', () => {
  const folder = tempDir('nginx-root')
  const data = content.slice(0, content.size)
  writeFileSync(join(folder, 'file'), data)

  it.each([false, true])('serves files and ranges: TLS %s', async (tls) => {
    await using nginx = await startNginx({ root: folder, tls })
    expect((await rawGet(nginx.url('/file'))).body.equals(data)).toBe(true)
    const { status, header, body } = await rawGet(nginx.url('/file'), { headers: { Range: 'bytes=-9' } })
    expect([status, header('content-range')]).toEqual([206, 'bytes 2999991-2999999/3000000'])
    expect(body.equals(data.subarray(-9))).toBe(true)
  })

  it('is limited in speed and in ranges, takes further lines, and stops', async () => {
    const extraServerLines = ['location /own { return 299 "own"; }']
    const nginx = await startNginx({ root: folder, limitRate: '1m', maxRanges0: true, extraServerLines })
    const { status, tookMs } = await rawGet(nginx.url('/file'), { headers: { Range: 'bytes=0-9' } })
    expect(status).toBe(200)
    expect(tookMs).toBeGreaterThan(1_500)
    expect((await rawGet(nginx.url('/own'))).status).toBe(299)
    await nginx.stop()
    expect((await rawGet(nginx.url('/file'))).end).toBe('ECONNREFUSED')
  })

  it('says why it does not start', async () => {
    await expect(startNginx({ root: folder, extraServerLines: ['nonsense;'] })).rejects.toThrow(/nonsense/)
  })

  it('and the origin answer ranges alike', async () => {
    await using nginx = await startNginx({ root: folder })
    const tag = (await rawGet(nginx.url('/file'))).header('etag') ?? ''
    origin.serve('/file', { content, etag: tag })
    const modified = (await rawGet(nginx.url('/file'))).header('last-modified') ?? ''
    origin.serve('/file', { content, etag: tag, lastModified: new Date(modified) })
    const questions: Record<string, string>[] = [
      ...['bytes=0-', 'bytes=5-9', 'bytes=-5', 'bytes=-0', 'bytes=9-5', 'bytes=2999999-', 'bytes=3000000-'],
      ...['bytes=x', 'bytes=', 'items=0-5', 'bytes=-99999999', 'bytes=0-99999999', 'bytes= 5-9'],
    ].map((Range) => ({ Range }))
    for (const value of [tag, `W/${tag}`, '"x"', modified])
      questions.push({ Range: 'bytes=5-9', 'If-Range': value })
    for (const headers of questions) {
      const [real, ours] = await Promise.all(
        [nginx, origin].map((server) => rawGet(server.url('/file'), { headers })),
      )
      const essence = [real, ours].map((response) => [
        response?.status,
        ...['content-range', 'etag', 'last-modified', 'accept-ranges'].map((name) => {
          return response?.status === 416 && name !== 'content-range' ? '' : response?.header(name)
        }),
      ])
      expect({ headers, answer: essence[1] }).toEqual({ headers, answer: essence[0] })
    }
  })
})
