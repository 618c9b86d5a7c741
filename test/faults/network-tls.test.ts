/** FAULTS.md row 23: a certificate that can't be trusted. */
import { createServer, type AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { caPath, caPem, type CertificateName } from '../support/certificate.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { runCli } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { arrives, expectInvariant, fails, makeManager, startBench } from './harness.js'

const content = randomContent(200_000)

/** The last line of `--json` for one URL that fails. */
async function cliFails(certificate: CertificateName) {
  await using origin = await startOrigin({ tls: certificate })
  origin.serve('/model.bin', { content })
  const root = tempDir('tls')
  const directory = join(root, 'models')
  const { code, stdout } = await runCli(['get', origin.url('/model.bin'), '-d', directory, '--json'], {
    env: { NODE_EXTRA_CA_CERTS: caPath },
  })
  const lines = stdout.trim().split('\n')
  expect(code).toBe(1)
  expect(await listTree(root)).toEqual([])
  expect(origin.requests()).toEqual([])
  expect(origin.totalConnections, 'exactly one attempt').toBe(1)
  expect(lines.filter((line) => line.includes('"retrying"'))).toEqual([])
  return JSON.parse(lines.at(-1) ?? '') as unknown
}

describe('row 23: a certificate that cannot be trusted', () => {
  it('row 23: signed by an unknown authority: TLS_ERROR, one attempt, nothing written', async () => {
    await using bench = await startBench({ origin: { tls: true } })
    const { origin, manager, directory } = bench
    origin.serve('/model.bin', { content })
    const retries: string[] = []
    manager.on('retrying', ({ error }) => retries.push(error.code))
    const error = await fails(await manager.download({ url: origin.url('/model.bin') }))
    expect(error).toMatchObject({ code: 'TLS_ERROR', retryable: false })
    expect(retries).toEqual([])
    expect(origin.totalConnections).toBe(1)
    expect(origin.requests()).toEqual([])
    await expectInvariant(directory, 'model.bin', 'N')
    expect(await listTree(dirname(directory))).toEqual([])
  })

  it('row 23: not even with NODE_TLS_REJECT_UNAUTHORIZED=0; with the option `ca`', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    onTestFinished(() => void vi.unstubAllEnvs())
    await using bench = await startBench({ origin: { tls: true } })
    const { origin, manager } = bench
    origin.serve('/model.bin', { content })
    expect((await fails(await manager.download({ url: origin.url('/model.bin') }))).code).toBe('TLS_ERROR')
    await expect(manager.plan({ url: origin.url('/model.bin') })).rejects.toMatchObject({ code: 'TLS_ERROR' })
    expect(origin.requests()).toEqual([])
    await using trusting = makeManager(tempDir('tls'), { ca: caPem })
    await arrives(await trusting.download({ url: origin.url('/model.bin') }))
    expect(() => makeManager(tempDir('tls'), { ca: 'ca.pem' })).toThrow(/certificates in PEM/)
  })

  it('row 23: expired: TLS_ERROR, one attempt, nothing written', async () => {
    expect(await cliFails('expired')).toMatchObject({ type: 'failed', code: 'TLS_ERROR' })
  })

  it('row 23: made for another host: TLS_ERROR, one attempt, nothing written', async () => {
    expect(await cliFails('otherHost')).toMatchObject({ type: 'failed', code: 'TLS_ERROR' })
  })

  it('row 23: a trusted one works, so the tests above fail for the right reason', async () => {
    await using origin = await startOrigin({ tls: true })
    origin.serve('/model.bin', { content })
    const directory = tempDir('tls')
    const env = { NODE_EXTRA_CA_CERTS: caPath }
    const { code } = await runCli(['get', origin.url('/model.bin'), '-d', directory], { env })
    expect(code).toBe(0)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it.each(['alert', 'plain HTTP'] as const)(
    'row 58: %s on single handshakes, at first and in the middle: asked again',
    async (trouble) => {
      await using origin = await startOrigin({ tls: true })
      const large = randomContent(4_000_000)
      origin.serve('/model.bin', {
        content: large,
        faults: [{ type: 'truncate', afterBytes: 500_000, times: 2 }],
      })
      origin.failHandshakes((connection) => (connection === 1 || connection === 3 ? trouble : null))
      const directory = tempDir('tls')
      const { code, stdout } = await runCli(['get', origin.url('/model.bin'), '-d', directory, '--json'], {
        env: { NODE_EXTRA_CA_CERTS: caPath },
      })
      expect(code, stdout).toBe(0)
      expect(stdout).toContain('"code":"TLS_ERROR"')
      expect(origin.totalConnections).toBeGreaterThan(3)
      await expectInvariant(directory, 'model.bin', 'done', { content: large })
    },
  )

  it('row 23: plain HTTP on that port: TLS_ERROR after two attempts, nothing written', async () => {
    let connections = 0
    const server = createServer((socket) => {
      connections += 1
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    // Only a pipe has another kind of address.
    const { port } = server.address() as AddressInfo
    await using bench = await startBench()
    const error = await fails(await bench.manager.download({ url: `https://127.0.0.1:${port}/model.bin` }))
    expect(error).toMatchObject({ code: 'TLS_ERROR', retryable: true })
    expect(connections).toBe(2)
    await expectInvariant(bench.directory, 'model.bin', 'N')
  })

  it('row 23: the certificate of a redirect target is checked too', async () => {
    await using bench = await startBench()
    await using secure = await startOrigin({ tls: true })
    const { origin, manager, directory } = bench
    secure.serve('/model.bin', { content })
    origin.serve('/model.bin', { redirect: secure.url('/model.bin') })
    const error = await fails(await manager.download({ url: origin.url('/model.bin') }))
    expect(error.code).toBe('TLS_ERROR')
    expect(origin.requests()).toHaveLength(1)
    expect(secure.totalConnections).toBe(1)
    await expectInvariant(directory, 'model.bin', 'N')
  })
})
