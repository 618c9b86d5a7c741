/** FAULTS.md row 21: no server can be reached. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Download } from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { describeWith, namespaces, spawnUnder } from '../support/machine.js'
import { root } from '../support/process.js'
import { startOrigin } from '../support/origin.js'
import { ownPort } from '../support/ports.js'
import { tempDir } from '../support/temp.js'
import { arrives, expectInvariant, fails, fastTuning, makeManager, startBench } from './harness.js'

async function failsAfterRetries(
  url: string,
): Promise<{ code: string; retryable: boolean; retries: string[] }> {
  const directory = join(tempDir('unreachable'), 'models')
  await using manager = makeManager(directory)
  const retries: string[] = []
  manager.on('retrying', ({ error }) => retries.push(error.code))
  const { code, retryable } = await fails(await manager.download({ url, filename: 'model.bin' }))
  await expectInvariant(directory, 'model.bin', 'N')
  return { code, retryable, retries }
}

describe('row 21: no server can be reached', () => {
  it('row 21: a refused port is tried again, then CONNECT_FAILED', async () => {
    const code = 'CONNECT_FAILED'
    const seen = await failsAfterRetries(`http://127.0.0.1:${await ownPort()}/model.bin`)
    expect(seen).toEqual({ code, retryable: true, retries: [code, code, code] })
  })

  it('row 21: a name that does not exist is asked for again, then NAME_RESOLUTION', async () => {
    const code = 'NAME_RESOLUTION'
    const seen = await failsAfterRetries('http://name.invalid/model.bin')
    expect(seen).toEqual({ code, retryable: true, retries: [code, code, code] })
    await using manager = makeManager(join(tempDir('unreachable'), 'models'), { tuning: { maxAttempts: 1 } })
    const { message } = await fails(await manager.download({ url: 'http://name.invalid/model.bin' }))
    expect(message).toBe('The host name name.invalid could not be resolved.')
  })

  it('row 21: a server that begins to listen between two attempts is found', async () => {
    await using bench = await startBench({ tuning: { minDelayMs: 50, maxDelayMs: 50, maxAttempts: 100 } })
    const { origin, manager, directory } = bench
    const content = randomContent(300_000)
    origin.serve('/model.bin', { content })
    origin.stopListening()
    const refused = new Promise<Download>((resolve) => {
      manager.once('retrying', ({ download }) => {
        resolve(download)
      })
    })
    const download = await manager.download({ url: origin.url('/model.bin') })
    await refused
    await origin.listenAgain()
    await arrives(download)
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })

  it('row 21: bytes of an earlier run stay when the server is gone', async () => {
    const origin = await startOrigin()
    const directory = join(tempDir('gone'), 'models')
    const content = randomContent(2_000_000)
    origin.serve('/model.bin', { content, bytesPerSecond: 1_000_000 })
    await using manager = makeManager(directory)
    const download = await manager.download({ url: origin.url('/model.bin') })
    await origin.waitForBytes('/model.bin', 500_000)
    await manager.pause(download.url)
    await origin.close()
    await manager.resume(download.url)
    expect((await fails(download)).code).toBe('CONNECT_FAILED')
    await expectInvariant(directory, 'model.bin', 'K')
  })
})

/** A host `box` of several addresses, and a server on some of them; prints how the download ended. */
const script = (dist: string, listen: string | null, tuning: object) => `
import { createServer } from 'node:http'
import { DownloadManager } from ${JSON.stringify(dist)}
const body = Buffer.alloc(500_000, 'model')
let port = 80
if (${JSON.stringify(listen)} !== null) {
  const server = createServer((request, response) => response.end(body))
  await new Promise((resolve) => server.listen(port, ${JSON.stringify(listen)}, resolve))
  server.unref()
}
const manager = new DownloadManager({
  directory: process.argv[1] + '/models', defaultMode: null, store: 'memory', proxy: false,
  tuning: ${JSON.stringify(tuning)},
})
const retries = []
manager.on('retrying', ({ error }) => retries.push(error.code))
const begin = performance.now()
const download = await manager.download({ url: 'http://box/model.bin' })
const code = await download.finished.then((file) => 'done ' + file.size, (error) => error.code)
console.log(JSON.stringify({ code, retries, ms: performance.now() - begin }))
await manager.close()
`

/** Runs it in a network of its own, where `setup` has been done. */
async function inNetwork(
  hosts: readonly string[],
  setup: readonly string[],
  listen: string | null,
  tuning: object = fastTuning,
) {
  const folder = tempDir('network')
  const commands = [
    'set -e',
    'ip link set lo up',
    ...setup,
    `printf '%s box\\n' ${hosts.join(' ')} > "$0/hosts"`,
    'mount --bind "$0/hosts" /etc/hosts',
    'exec "$@"',
  ]
  const wrapper = ['unshare', '-n', '-m', 'sh', '-c', commands.join('\n'), folder]
  const dist = join(root, 'dist/index.js')
  const args = ['--input-type=module', '-e', script(dist, listen, tuning), folder]
  const { code, stdout, stderr } = await spawnUnder(wrapper, args).finished(15_000)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  // The script prints this very shape.
  const told = JSON.parse(stdout) as { code: string; retries: string[]; ms: number }
  return { ...told, folder }
}

// A link whose other end accepts nothing: a connection attempt gets no response.
const blackHole = [
  'ip link add hole0 type veth peer name hole1',
  'ip addr add 2001:db8::1/64 dev hole0 nodad',
  'ip addr add 192.0.2.1/24 dev hole0',
  'ip link set hole0 up',
  'ip link set hole1 up',
  'ip -6 neigh replace 2001:db8::2 lladdr 02:00:00:00:00:02 dev hole0 nud permanent',
  'ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev hole0 nud permanent',
]

describeWith(namespaces, 'row 21, in a network of its own', () => {
  it('row 21: an IPv6 address that refuses does not hide the IPv4 one', async () => {
    const seen = await inNetwork(['::1', '127.0.0.1'], [], '127.0.0.1')
    expect(seen).toMatchObject({ code: 'done 500000', retries: [] })
  })

  it('row 21: an IPv4 address that refuses does not hide the IPv6 one', async () => {
    const seen = await inNetwork(['::1', '127.0.0.1'], [], '::1')
    expect(seen).toMatchObject({ code: 'done 500000', retries: [] })
  })

  it('row 21: an IPv6 black hole costs a moment, not the connect timeout', async () => {
    const seen = await inNetwork(['2001:db8::2', '192.0.2.1'], blackHole, '192.0.2.1', {
      ...fastTuning,
      // Whoever waited for it would be killed before.
      connectTimeoutMs: 600_000,
    })
    expect(seen).toMatchObject({ code: 'done 500000', retries: [] })
    // If it took no time at all, it was not tried first, as it is where both seem to work.
    expect(seen.ms).toBeGreaterThan(200)
  })

  it('row 21: a black hole alone is given up after the connect timeout of each attempt', async () => {
    const seen = await inNetwork(['192.0.2.2'], blackHole, null, {
      ...fastTuning,
      connectTimeoutMs: 300,
      maxAttempts: 2,
    })
    expect(seen).toMatchObject({ code: 'CONNECT_FAILED', retries: ['CONNECT_FAILED'] })
    expect(seen.ms).toBeGreaterThan(550)
    await expectInvariant(join(seen.folder, 'models'), 'model.bin', 'N')
  })

  it('row 21: an unreachable network is CONNECT_FAILED', async () => {
    const seen = await inNetwork(['192.0.2.1'], [], null)
    const code = 'CONNECT_FAILED'
    expect(seen).toMatchObject({ code, retries: [code, code, code] })
    await expectInvariant(join(seen.folder, 'models'), 'model.bin', 'N')
  })

  it('row 21: an unreachable host is CONNECT_FAILED', async () => {
    const seen = await inNetwork(['192.0.2.1'], ['ip route add unreachable 192.0.2.0/24'], null)
    const code = 'CONNECT_FAILED'
    expect(seen).toMatchObject({ code, retries: [code, code, code] })
  })
})
