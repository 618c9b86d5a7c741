/** Proxies from the environment: plain http in absolute form, https through a tunnel, and how to leave them out. */
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { DownloadManagerOptions } from '../../src/index.js'
import { caPath } from '../support/certificate.js'
import { randomContent } from '../support/content.js'
import { startHttpProxy } from '../support/http-proxy.js'
import { startOrigin } from '../support/origin.js'
import { startSocksServer } from '../support/socks-server.js'
import { runCli } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { arrives, expectInvariant, fails, startBench } from '../faults/harness.js'

const content = randomContent(1_500_000)

const names = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [
  name,
  name.toUpperCase(),
])
const before = new Map<string, string | undefined>()

beforeEach(() => {
  for (const name of names) {
    before.set(name, process.env[name])
    // Reflect: a property of the environment that is set to undefined becomes the text "undefined".
    Reflect.deleteProperty(process.env, name)
  }
})

afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = value
  }
})

const proxied: DownloadManagerOptions = { proxy: true }

describe('a proxy for plain http', () => {
  it.each(['http_proxy', 'HTTP_PROXY'])('%s: every request goes to it in absolute form', async (name) => {
    await using bench = await startBench(proxied)
    await using proxy = await startHttpProxy()
    process.env[name] = proxy.url
    const { origin, manager, directory } = bench
    origin.serve('/model.bin', { content, bytesPerSecond: 1_500_000 })
    const url = origin.url('/model.bin?query=1')
    await arrives(await manager.download({ url, headers: { authorization: 'Bearer mine' } }))
    await expectInvariant(directory, 'model.bin', 'done', { content })
    expect(origin.requests().length, 'several connections').toBeGreaterThan(1)
    expect(proxy.requests).toHaveLength(origin.requests().length)
    for (const request of proxy.requests) expect(request).toMatchObject({ method: 'GET', target: url })
    for (const { headers } of origin.requests()) {
      expect(headers).toMatchObject({
        host: `127.0.0.1:${origin.port}`,
        authorization: 'Bearer mine',
        'accept-encoding': 'identity',
      })
      expect(headers['range']).toMatch(/^bytes=\d+-\d*$/)
    }
  })

  it('the name is resolved by the proxy, not here', async () => {
    await using bench = await startBench(proxied)
    await using proxy = await startHttpProxy({ target: { host: '127.0.0.1', port: bench.origin.port } })
    process.env['HTTP_PROXY'] = proxy.url
    bench.origin.serve('/model.bin', { content })
    await arrives(await bench.manager.download({ url: 'http://models.invalid/model.bin' }))
    expect(proxy.requests[0]?.target).toBe('http://models.invalid/model.bin')
    expect(bench.origin.requests()[0]?.headers['host']).toBe('models.invalid')
    await expectInvariant(bench.directory, 'model.bin', 'done', { content })
  })

  it('an address without a scheme is one of an http proxy, as curl takes it', async () => {
    await using bench = await startBench(proxied)
    await using proxy = await startHttpProxy()
    process.env['HTTP_PROXY'] = `127.0.0.1:${proxy.port}`
    bench.origin.serve('/model.bin', { content })
    await arrives(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(proxy.requests.length).toBeGreaterThan(0)
  })

  it('user and password of the proxy go to the proxy alone', async () => {
    await using bench = await startBench(proxied)
    const auth = `Basic ${Buffer.from('me:p@ss').toString('base64')}`
    await using proxy = await startHttpProxy({ auth })
    process.env['HTTP_PROXY'] = proxy.url.replace('//', '//me:p%40ss@')
    bench.origin.serve('/model.bin', { content })
    await arrives(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(proxy.requests[0]?.headers['proxy-authorization']).toBe(auth)
    for (const { headers } of bench.origin.requests()) {
      expect(headers).not.toHaveProperty('proxy-authorization')
      expect(headers).not.toHaveProperty('authorization')
    }
  })

  it('one that asks for a password fails the download at once, with its status', async () => {
    await using bench = await startBench(proxied)
    await using proxy = await startHttpProxy({ auth: 'Basic other' })
    process.env['HTTP_PROXY'] = proxy.url
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'HTTP_ERROR', status: 407, retryable: false })
    expect(proxy.requests).toHaveLength(1)
    await expectInvariant(bench.directory, 'model.bin', 'N')
  })

  it('one that is down fails the download; nothing goes around it', async () => {
    await using bench = await startBench(proxied)
    const proxy = await startHttpProxy()
    await proxy.close()
    process.env['HTTP_PROXY'] = proxy.url
    bench.origin.serve('/model.bin', { content })
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: true })
    expect(bench.origin.totalConnections).toBe(0)
    await expectInvariant(bench.directory, 'model.bin', 'N')
  })

  it.each(['http://', 'ftp://127.0.0.1:1', 'http://[::1', 'a b:1'])(
    'an address that makes no sense (%s) fails the download, not the process',
    async (address) => {
      await using bench = await startBench(proxied)
      process.env['HTTP_PROXY'] = address
      bench.origin.serve('/model.bin', { content })
      const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
      expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: false })
      expect(error.message).toMatch(/proxy/i)
      expect(bench.origin.totalConnections).toBe(0)
      await expectInvariant(bench.directory, 'model.bin', 'N')
    },
  )

  it('it holds for redirects too, each by its own address', async () => {
    await using bench = await startBench(proxied)
    await using elsewhere = await startOrigin()
    await using proxy = await startHttpProxy()
    process.env['HTTP_PROXY'] = proxy.url
    elsewhere.serve('/there.bin', { content })
    bench.origin.serve('/model.bin', { redirect: elsewhere.url('/there.bin') })
    await arrives(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(proxy.requests.map(({ target }) => target).slice(0, 2)).toEqual([
      bench.origin.url('/model.bin'),
      elsewhere.url('/there.bin'),
    ])
    await expectInvariant(bench.directory, 'model.bin', 'done', { content })
  })
})

describe('no proxy', () => {
  it('proxy: false ignores the environment', async () => {
    await using bench = await startBench({ proxy: false })
    await using proxy = await startHttpProxy()
    process.env['HTTP_PROXY'] = proxy.url
    process.env['http_proxy'] = proxy.url
    bench.origin.serve('/model.bin', { content })
    await arrives(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(proxy.requests).toEqual([])
  })

  it.each([
    ['127.0.0.1', true],
    ['elsewhere.example, 127.0.0.1', true],
    ['*', true],
    ['elsewhere.example', false],
    ['127.0.0.1:1', false],
  ])('NO_PROXY=%s: direct %s', async (value, direct) => {
    await using bench = await startBench(proxied)
    await using proxy = await startHttpProxy()
    process.env['HTTP_PROXY'] = proxy.url
    process.env['NO_PROXY'] = value
    bench.origin.serve('/model.bin', { content })
    await arrives(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(proxy.requests.length === 0).toBe(direct)
    await expectInvariant(bench.directory, 'model.bin', 'done', { content })
  })

  it.each([{ allowPrivateNetwork: true }, { allowedHosts: ['127.0.0.1'] }])(
    'none for what a remote caller asked for, whatever the environment says: %j',
    async (remote) => {
      await using bench = await startBench(proxied)
      await using proxy = await startHttpProxy()
      process.env['HTTP_PROXY'] = proxy.url
      bench.origin.serve('/model.bin', { content })
      await arrives(await bench.manager.download({ url: bench.origin.url('/model.bin'), remote }))
      expect(proxy.requests).toEqual([])
      await expectInvariant(bench.directory, 'model.bin', 'done', { content })
    },
  )
})

describe('a proxy for https', () => {
  const env = (url: string, more: Record<string, string> = {}) => ({
    NODE_EXTRA_CA_CERTS: caPath,
    HTTPS_PROXY: url,
    ...more,
  })

  it('every connection goes through a tunnel that it can not look into', async () => {
    await using origin = await startOrigin({ tls: true })
    await using proxy = await startHttpProxy()
    origin.serve('/model.bin', { content, bytesPerSecond: 2_000_000 })
    const directory = tempDir('proxy')
    const args = ['get', origin.url('/model.bin'), '-d', directory, '--header', 'Authorization: Bearer mine']
    const { code, stderr } = await runCli(args, { env: env(proxy.url) })
    expect({ code, stderr }).toMatchObject({ code: 0 })
    await expectInvariant(directory, 'model.bin', 'done', { content })
    expect(proxy.requests.length).toBeGreaterThan(0)
    expect(origin.totalConnections).toBe(proxy.requests.length)
    for (const request of proxy.requests) {
      expect(request).toMatchObject({ method: 'CONNECT', target: `127.0.0.1:${origin.port}` })
      expect(JSON.stringify(request)).not.toMatch(/mine|model\.bin/)
    }
  })

  it('takes user and password', async () => {
    await using origin = await startOrigin({ tls: true })
    await using proxy = await startHttpProxy({ auth: `Basic ${Buffer.from('me:pass').toString('base64')}` })
    origin.serve('/model.bin', { content })
    const directory = tempDir('proxy')
    const args = ['get', origin.url('/model.bin'), '-d', directory]
    const { code } = await runCli(args, { env: env(proxy.url.replace('//', '//me:pass@')) })
    expect(code).toBe(0)
    for (const { headers } of origin.requests()) expect(headers).not.toHaveProperty('proxy-authorization')
  })

  it('NO_PROXY leaves it out', async () => {
    await using origin = await startOrigin({ tls: true })
    await using proxy = await startHttpProxy()
    origin.serve('/model.bin', { content })
    const args = ['get', origin.url('/model.bin'), '-d', tempDir('proxy')]
    const { code } = await runCli(args, { env: env(proxy.url, { NO_PROXY: '127.0.0.1' }) })
    expect(code).toBe(0)
    expect(proxy.requests).toEqual([])
  })

  it('the certificate behind the tunnel is checked: TLS_ERROR, one attempt', async () => {
    await using bench = await startBench({ ...proxied, origin: { tls: true } })
    await using proxy = await startHttpProxy()
    process.env['HTTPS_PROXY'] = proxy.url
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(error.code).toBe('TLS_ERROR')
    expect(proxy.requests).toHaveLength(1)
    await expectInvariant(bench.directory, 'model.bin', 'N')
  })

  it('a proxy that asks for a password fails the download at once, with its status', async () => {
    await using bench = await startBench({ ...proxied, origin: { tls: true } })
    await using proxy = await startHttpProxy({ auth: 'Basic other' })
    process.env['HTTPS_PROXY'] = proxy.url
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'HTTP_ERROR', status: 407, retryable: false })
    expect(proxy.requests).toHaveLength(1)
    expect(bench.origin.totalConnections).toBe(0)
  })

  it('a proxy that gets nowhere is tried again', async () => {
    await using bench = await startBench({ ...proxied, origin: { tls: true } })
    const answers = Array.from({ length: 3 }, () => 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n')
    let asked = 0
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        asked += 1
        socket.end(answers.pop() ?? 'HTTP/1.1 407 Enough\r\nContent-Length: 0\r\n\r\n')
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    // Only a pipe has another kind of address.
    process.env['HTTPS_PROXY'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const retries: string[] = []
    bench.manager.on('retrying', ({ error }) => retries.push(`${error.code} ${error.status}`))
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(retries).toEqual(Array.from({ length: 3 }, () => 'CONNECT_FAILED 502'))
    expect(error).toMatchObject({ code: 'HTTP_ERROR', status: 407 })
    expect(asked).toBe(4)
  })
})

describe('a SOCKS proxy', () => {
  it.each([
    ['socks5h', 5, 'models.invalid'],
    ['socks4a', 4, 'models.invalid'],
    ['socks5', 5, '127.0.0.1'],
    ['socks4', 4, '127.0.0.1'],
  ])('%s', async (scheme, version, host) => {
    await using bench = await startBench(proxied)
    await using proxy = await startSocksServer({ target: { host: '127.0.0.1', port: bench.origin.port } })
    process.env['ALL_PROXY'] = `${scheme}://127.0.0.1:${proxy.port}`
    bench.origin.serve('/model.bin', { content, bytesPerSecond: 1_500_000 })
    // Names are resolved by the proxy where the protocol can do that, else here.
    const url = `http://${host === 'models.invalid' ? host : 'localhost'}:81/model.bin`
    await arrives(await bench.manager.download({ url }))
    await expectInvariant(bench.directory, 'model.bin', 'done', { content })
    expect(proxy.requests.length, 'several connections').toBeGreaterThan(1)
    for (const request of proxy.requests) expect(request).toMatchObject({ version, port: 81 })
    if (version === 4 || host === 'models.invalid') expect(proxy.requests[0]?.host).toBe(host)
    else expect(['127.0.0.1', '0000:0000:0000:0000:0000:0000:0000:0001']).toContain(proxy.requests[0]?.host)
  })

  it('takes user and password, and carries https', async () => {
    await using origin = await startOrigin({ tls: true })
    await using proxy = await startSocksServer({ credentials: { user: 'me', password: '100%' } })
    origin.serve('/model.bin', { content })
    const directory = tempDir('proxy')
    const address = `socks5h://me:100%@127.0.0.1:${proxy.port}`
    const args = ['get', origin.url('/model.bin'), '-d', directory, '--proxy', address]
    const env = { NODE_EXTRA_CA_CERTS: caPath, NO_PROXY: '', no_proxy: '' }
    const { code, stderr } = await runCli(args, { env })
    expect({ code, stderr }).toMatchObject({ code: 0 })
    // Nothing but progress: no warning about an experimental feature.
    expect(stderr).not.toMatch(/warning/i)
    await expectInvariant(directory, 'model.bin', 'done', { content })
    expect(origin.totalConnections).toBe(proxy.requests.length)
  })

  it('that wants other credentials fails the download at once', async () => {
    await using proxy = await startSocksServer({ credentials: { user: 'me', password: 'right' } })
    await using bench = await startBench({ proxy: `socks5h://me:wrong@127.0.0.1:${proxy.port}` })
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: false })
    expect(error.message).not.toMatch(/wrong/)
    await using open = await startBench({ proxy: `socks5h://127.0.0.1:${proxy.port}` })
    const without = await fails(await open.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(without).toMatchObject({ code: 'CONNECT_FAILED', retryable: false })
    expect(proxy.requests).toEqual([])
  })

  it.each([
    ['is not allowed', 2, false],
    ['finds no host', 4, true],
  ])('whose connection %s', async (_what, refuseWith, retryable) => {
    await using proxy = await startSocksServer({ refuseWith })
    const tuning = { maxAttempts: 2 }
    await using bench = await startBench({ proxy: `socks5h://127.0.0.1:${proxy.port}`, tuning })
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable })
    expect(proxy.requests).toHaveLength(retryable ? 2 : 1)
    expect(bench.origin.totalConnections).toBe(0)
  })

  it('that says nothing is given up in time, and left when the manager closes', async () => {
    await using proxy = await startSocksServer({ silent: true })
    const address = `socks5h://127.0.0.1:${proxy.port}`
    await using bench = await startBench({ proxy: address, tuning: { connectTimeoutMs: 50, maxAttempts: 1 } })
    const error = await fails(await bench.manager.download({ url: bench.origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', retryable: true })
    await using waiting = await startBench({ proxy: address })
    void (await waiting.manager.download({ url: bench.origin.url('/model.bin') })).finished.catch(
      () => undefined,
    )
    await waitFor(() => proxy.open > 0, { what: 'a connection to the proxy' })
    await waiting.manager.close()
    await waitFor(() => proxy.open === 0, { what: 'the connection to end' })
  })
})

describe('a proxy that the host program names', () => {
  it('serves remote callers too, whose hosts are checked before', async () => {
    await using origin = await startOrigin()
    await using proxy = await startHttpProxy({ target: { host: '127.0.0.1', port: origin.port } })
    await using bench = await startBench({ proxy: proxy.url })
    origin.serve('/model.bin', { content })
    // Nobody here knows the name; the proxy does.
    const url = 'http://models.invalid/model.bin'
    await arrives(await bench.manager.download({ url, remote: true }))
    await expectInvariant(bench.directory, 'model.bin', 'done', { content })
    expect(proxy.requests.length).toBeGreaterThan(0)
    const before = proxy.requests.length
    for (const host of ['localhost', '127.0.0.1', '[::1]', '169.254.169.254', 'printer.local']) {
      const refused = await bench.manager.download({ url: `http://${host}/x.bin`, remote: true })
      expect((await fails(refused)).code, host).toBe('SSRF_BLOCKED')
    }
    expect(proxy.requests).toHaveLength(before)
  })
})
