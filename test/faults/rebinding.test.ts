/**
 * FAULTS.md rows 42 and 43: names that resolve to internal addresses, immediately or later. The engine uses a
 * resolver of the test.
 */
import { lookup, type LookupAddress } from 'node:dns'
import { connect, isIPv6, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { DownloadErrorCode } from '../../src/index.js'
import { guardedConnect, lookupWith, type AddressResolver } from '../../src/net/guard.js'
import { isPublicAddress, publicOnly, type RemoteGrant } from '../../src/net/address-policy.js'
import { createEngine } from '../../src/engine/engine.js'
import type { TransferEvent, TransferResult, TransferSpec } from '../../src/engine/protocol.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { startCanary } from '../support/canary.js'
import { fastTuning, KiB } from './harness.js'

const content = randomContent(300 * KiB)
/** Global unicast, but from an unassigned block. */
const nowhere = '2d00::1'

/** Answers with these lists of addresses one after the other, in the end always with the last. */
function answering(...answers: string[][]): AddressResolver & { asked: string[] } {
  const asked: string[] = []
  const resolve = (hostname: string): Promise<LookupAddress[]> => {
    const answer = answers[Math.min(asked.length, answers.length - 1)] ?? []
    asked.push(hostname)
    return Promise.resolve(answer.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 })))
  }
  return Object.assign(resolve, { asked })
}

type End = { result: TransferResult; code: null } | { result: null; code: DownloadErrorCode }

/** Runs one transfer in an engine of its own. */
async function transfer(
  resolve: AddressResolver,
  spec: Partial<TransferSpec> & { url: string; directory: string },
): Promise<End & { retries: DownloadErrorCode[] }> {
  const engine = createEngine({ tuning: { ...fastTuning, connectTimeoutMs: 300 }, resolve })
  onTestFinished(() => engine.close())
  const retries: DownloadErrorCode[] = []
  const ended = new Promise<End>((settle, reject) => {
    const on = (event: TransferEvent) => {
      if (event.type === 'retrying') retries.push(event.error.code)
      if (event.type === 'completed') settle({ result: event.result, code: null })
      if (event.type === 'failed') settle({ result: null, code: event.error.code })
      if (event.type === 'stopped') reject(new Error('It was stopped.'))
    }
    const rest = { sha256: null, size: null, headers: {}, maxBytesPerSecond: null, force: false, known: null }
    const filename = 'model.bin'
    const share = null
    engine.start(
      { id: 'a', filename, connections: 4, remote: publicOnly, proxy: true, share, ...rest, ...spec },
      on,
    )
  })
  return { ...(await withTimeout(ended, 10_000, 'the end of the transfer')), retries }
}

describe('row 42: a name', () => {
  it.each([
    ['127.0.0.1'],
    ['::1'],
    ['0.0.0.0'],
    ['::ffff:127.0.0.1'],
    ['10.0.0.1'],
    ['169.254.169.254'],
    ['fd00:ec2::254'],
    ['64:ff9b::7f00:1'],
    // One is enough, wherever it stands.
    ['8.8.8.8', '127.0.0.1'],
    ['127.0.0.1', '8.8.8.8'],
    [nowhere, '2606:4700:4700::1111', '::1'],
  ])('that resolves to %s %s %s is refused as a whole, and not tried again', async (...addresses) => {
    await using canary = await startCanary()
    const directory = join(tempDir('rebinding'), 'models')
    for (const scheme of ['http', 'https']) {
      const resolve = answering(addresses)
      const url = `${scheme}://model.example:${canary.port}/model.bin`
      expect(await transfer(resolve, { url, directory })).toEqual({
        result: null,
        code: 'SSRF_BLOCKED',
        retries: [],
      })
      expect(resolve.asked).toEqual(['model.example'])
    }
    expect(canary.connections).toBe(0)
    expect(await listTree(directory)).toEqual([])
  })

  it('that a redirect leads to is looked at like the first one', async () => {
    await using canary = await startCanary()
    await using origin = await startOrigin()
    origin.serve('/model.bin', { redirect: `http://inside.example:${canary.port}/model.bin` })
    const resolve = answering(['127.0.0.1'])
    const remote = { allowPrivateNetwork: false, allowedHosts: [`outside.example:${origin.port}`] }
    const url = `http://outside.example:${origin.port}/model.bin`
    const { code } = await transfer(resolve, { url, directory: tempDir('rebinding'), remote })
    expect(code).toBe('SSRF_BLOCKED')
    expect(resolve.asked).toEqual(['outside.example', 'inside.example'])
    expect(origin.requests()).toHaveLength(1)
    expect(canary.connections).toBe(0)
  })

  it.each<RemoteGrant>([
    { allowPrivateNetwork: false, allowedHosts: ['model.example'] },
    { allowPrivateNetwork: true, allowedHosts: [] },
  ])('goes where it leads when it may: %j', async (remote) => {
    await using origin = await startOrigin()
    origin.serve('/model.bin', { content })
    const directory = tempDir('rebinding')
    const url = `http://model.example:${origin.port}/model.bin`
    const { result } = await transfer(answering(['127.0.0.1']), { url, directory, remote })
    expect(await sha256File(result?.path ?? '')).toBe(content.sha256())
  })

  it('of a trusted caller is nobody’s business', async () => {
    await using origin = await startOrigin()
    origin.serve('/model.bin', { content })
    const resolve = answering(['8.8.8.8'])
    const url = `http://localhost:${origin.port}/model.bin`
    const { result } = await transfer(resolve, { url, directory: tempDir('rebinding'), remote: null })
    expect(result?.size).toBe(content.size)
    expect(resolve.asked).toEqual([])
  })

  it('without any address is a NAME_RESOLUTION, and tried again', async () => {
    const resolve = answering([])
    const url = 'http://model.example/model.bin'
    const { code, retries } = await transfer(resolve, { url, directory: tempDir('rebinding') })
    expect(code).toBe('NAME_RESOLUTION')
    expect(retries).toHaveLength(fastTuning.maxAttempts - 1)
  })
})

describe('row 43: a name that is public first and leads inside later', () => {
  it.each(['http', 'https'])('is connected to by the answer that was checked, over %s', async (scheme) => {
    await using canary = await startCanary()
    // A second look between check and connect would already get the other answer.
    const resolve = answering([nowhere], ['127.0.0.1'])
    const url = `${scheme}://model.example:${canary.port}/model.bin`
    const end = await transfer(resolve, { url, directory: tempDir('rebinding') })
    expect(end).toEqual({ result: null, code: 'SSRF_BLOCKED', retries: ['CONNECT_FAILED'] })
    expect(resolve.asked).toHaveLength(2)
    expect(canary.connections).toBe(0)
  })

  it('is refused when it goes on from kept bytes, after a restart too', async () => {
    await using origin = await startOrigin()
    const directory = tempDir('rebinding')
    const url = `http://model.example:${origin.port}/model.bin`
    origin.serve('/model.bin', {
      content,
      faults: [{ type: 'truncate', afterBytes: 128 * KiB, times: 1 }, { type: 'hangUp' }],
    })
    const remote = { allowPrivateNetwork: true, allowedHosts: [] }
    const first = await transfer(answering(['127.0.0.1']), { url, directory, remote, connections: 1 })
    expect(first.result).toBeNull()
    const tree = await listTree(directory)
    expect(tree).toEqual(['model.bin.part', 'model.bin.part.json'])
    const seen = origin.totalConnections
    const second = await transfer(answering(['127.0.0.1']), { url, directory })
    expect(second.code).toBe('SSRF_BLOCKED')
    expect(origin.totalConnections).toBe(seen)
    expect(await listTree(directory), 'what was fetched is kept').toEqual(tree)
  })
})

describe('the lookup of a guarded connection', () => {
  const ask = (resolve: AddressResolver, options: { all?: boolean; family?: number } = { all: true }) =>
    new Promise<unknown[]>((settle) => {
      lookupWith(resolve, isPublicAddress)('model.example', options, (...answer) => {
        settle(answer)
      })
    })

  it.each([
    [['93.184.215.14']],
    [['2606:2800:21f:cb07:6820:80da:af6b:8b2c', '93.184.215.14']],
    [['18.164.174.23', '18.164.174.55', '18.164.174.110', '18.164.174.118']],
    [['2600:9000:2490:5e00:17:b174:6d00:93a1', '2600:9000:2490:b200:17:b174:6d00:93a1']],
  ])('hands ordinary public answers on as they are: %j', async (addresses) => {
    const expected = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
    expect(await ask(answering(addresses))).toEqual([null, expected])
    const [first] = expected
    expect(await ask(answering(addresses), { all: false })).toEqual([null, first?.address, first?.family])
    expect(await ask(answering(addresses), {})).toEqual([null, first?.address, first?.family])
  })

  it('passes on what the resolver fails with, and asks for all addresses whatever it is asked', async () => {
    const failure = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    const resolve = vi.fn<AddressResolver>().mockRejectedValue(failure)
    expect((await ask(resolve, { family: 6 }))[0]).toBe(failure)
    expect(resolve).toHaveBeenCalledExactlyOnceWith('model.example', { family: 6, all: true })
    // Somebody else's resolver may throw anything.
    const [error] = await ask(vi.fn<AddressResolver>().mockRejectedValue('odd'))
    expect(error).toBeInstanceOf(Error)
  })

  it('is not asked about addresses, which is why they are looked at before', async () => {
    await using canary = await startCanary()
    const resolve = answering(['8.8.8.8'])
    const open = guardedConnect(publicOnly, connecting, resolve)
    const [error] = await outcome(open, { hostname: '127.0.0.1', protocol: 'http:', port: `${canary.port}` })
    expect(error).toMatchObject({ code: 'SSRF_BLOCKED' })
    expect(resolve.asked).toEqual([])
    expect(canary.connections).toBe(0)
  })
})

interface To {
  hostname: string
  protocol: string
  port: string
}
type Outcome = [null, Socket] | [Error, null]
type Opens = (to: To, callback: (...outcome: Outcome) => void) => void

/** Connects as told, with the lookup given. */
const connecting =
  (options: Parameters<Parameters<typeof guardedConnect<To>>[1]>[0]): Opens =>
  ({ hostname, port }, callback) => {
    const socket = connect({ host: hostname, port: Number(port), autoSelectFamily: true, ...options })
    socket.once('connect', () => {
      callback(null, socket)
    })
    socket.once('error', (error) => {
      callback(error, null)
    })
  }

function outcome(open: Opens, to: To): Promise<Outcome> {
  return withTimeout(new Promise((settle) => open(to, (...ended) => settle(ended))), 5_000, 'the connection')
}

describe('a socket that got where it must not', () => {
  it('by whatever way, is destroyed before a byte is sent', async () => {
    await using canary = await startCanary()
    const sockets: Socket[] = []
    // A way to connect that does not ask the lookup that it is given.
    const careless = (): Opens => (to, callback) => {
      connecting({ lookup })({ ...to, hostname: 'localhost' }, (...ended) => {
        if (ended[1] !== null) sockets.push(ended[1])
        callback(...ended)
      })
    }
    const open = guardedConnect(publicOnly, careless, answering(['8.8.8.8']))
    const ended = await outcome(open, {
      hostname: 'model.example',
      protocol: 'http:',
      port: `${canary.port}`,
    })
    expect(ended).toMatchObject([{ code: 'SSRF_BLOCKED', retryable: false }, null])
    expect(sockets.map((socket) => socket.destroyed)).toEqual([true])
    await waitFor(() => canary.connections === 1, { what: 'the connection to be seen' })
    expect(canary.bytes).toBe(0)
  })

  it('and is gone already counts as lost', async () => {
    await using origin = await startOrigin()
    const gone = (): Opens => (to, callback) => {
      connecting({ lookup })({ ...to, hostname: 'localhost' }, (...ended) => {
        ended[1]?.destroy()
        callback(...ended)
      })
    }
    const open = guardedConnect(publicOnly, gone, answering(['8.8.8.8']))
    const ended = await outcome(open, {
      hostname: 'model.example',
      protocol: 'http:',
      port: `${origin.port}`,
    })
    expect(ended).toMatchObject([{ code: 'CONNECT_FAILED', retryable: true }, null])
  })
})
