/** Proof 3 of clusters: an instance that was frozen for longer than its lease writes nothing when it wakes. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { KiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { Instance, type InstancePlan } from './instances.js'

const content = randomContent(512 * KiB, 'fencing')
const leaseMs = 1_500

/** Whatever is written to a file, and whatever becomes of its name, changes one of these. */
async function traces(directory: string): Promise<string[]> {
  const tree = (await listTree(directory)).filter((path) => !path.startsWith('.model-downloader'))
  return await Promise.all(
    ['.', ...tree].map(async (path) => {
      const { ino, size, mtimeNs, ctimeNs } = await lstat(join(directory, path), { bigint: true })
      return [path, ino, size, mtimeNs, ctimeNs].join(' ')
    }),
  )
}

describeWith(redisServer, 'an instance that has lost its lease', () => {
  const redis = shared(() => RedisServer.start())
  const origin = shared(() => startOrigin())
  let round = 0
  /** Each response waits after some bytes until this holds, so that nothing here depends on how fast anybody is. */
  let isOpen = false
  const serve = (path: string) =>
    origin().serve(path, {
      content,
      faults: [{ type: 'stallBody', afterBytes: 64 * KiB, until: () => isOpen, when: () => !isOpen }],
    })

  /** Two instances, the first of which runs the download. */
  async function openPair(name: string, first: Partial<InstancePlan> = {}) {
    const directory = join(tempDir('fencing'), 'models')
    const prefix = `fencing-${(round += 1)}`
    const open = (node: string, more: Partial<InstancePlan> = {}) =>
      new Instance({
        directory,
        cluster: { connection: redis().path, prefix, node, leaseMs },
        allowedHosts: [`127.0.0.1:${origin().port}`],
        ...more,
        manager: { connections: 1, tuning: { bodyTimeoutMs: 600_000 }, ...more.manager },
      })
    isOpen = first.stopAt !== undefined
    serve(`/${name}`)
    const one = await open('one', first).ready()
    const url = origin().url(`/${name}`)
    await one.client.download({ url })
    const client = redis().client()
    const stored = async () => {
      const [id = ''] = await client.smembers(`{${prefix}}:ids`)
      return await client.hgetall(`{${prefix}}:r:${id}`)
    }
    const ownerOf = async () => (await stored())['owner'] ?? ''
    await waitFor(async () => (await ownerOf()).startsWith('one:'), { what: 'the first to run it' })
    const two = await open('two').ready()
    return {
      ...{ one, two, url, directory, stored, ownerOf },
      async [Symbol.asyncDispose]() {
        client.disconnect()
        await Promise.all([one, two].map((each) => each[Symbol.asyncDispose]()))
      },
    }
  }

  type Pair = Awaited<ReturnType<typeof openPair>>

  const hasBytes = ({ two, url }: Pair) =>
    waitFor(async () => (await two.client.status(url)).downloaded > 0, {
      what: 'some bytes',
      timeoutMs: 20_000,
    })

  const completes = ({ url }: Pair, instance: Instance) =>
    waitFor(async () => (await instance.client.status(url)).state === 'completed', {
      ...{ what: `${instance.node} to have it`, timeoutMs: 30_000 },
    })

  /** The other has published already: whatever the first does when it wakes would show in the folder. */
  async function wakesAfterTheEnd(pair: Pair): Promise<void> {
    const { one, two, directory } = pair
    await completes(pair, two)
    await waitFor(async () => (await pair.ownerOf()) === '', { what: 'the lease to be given up' })
    const before = await traces(directory)
    expect(before).toHaveLength(2)
    const record = await pair.stored()
    one.goOn()
    // It says so once its own run has ended.
    await completes(pair, one)
    one.process.signal('SIGTERM')
    await one.process.finished(60_000)
    expect(await traces(directory)).toEqual(before)
    expect(await sha256File(join(directory, pair.url.slice(pair.url.lastIndexOf('/') + 1)))).toBe(
      content.sha256(),
    )
    expect(await pair.stored(), 'what is stored of it').toEqual(record)
  }

  it('writes nothing, stopped while it fetched', async () => {
    await using pair = await openPair('fetching.bin')
    await hasBytes(pair)
    pair.one.stop()
    await waitFor(async () => !(await pair.ownerOf()).startsWith('one:'), {
      what: 'its lease to end',
      timeoutMs: 20_000,
    })
    isOpen = true
    await wakesAfterTheEnd(pair)
  })

  it('writes nothing, stopped while it verified', async () => {
    await using pair = await openPair('verifying.bin', { stopAt: 'verifying' })
    await waitFor(() => pair.one.said('stopped at verifying'), { what: 'the stop' })
    await wakesAfterTheEnd(pair)
  })

  it('publishes nothing, stopped right before', async () => {
    await using pair = await openPair('publishing.bin', { stopAt: 'renaming', manager: { worker: false } })
    await waitFor(() => pair.one.said('stopped at renaming'), { what: 'the stop' })
    await wakesAfterTheEnd(pair)
  })

  it('leaves the file to the one that still fetches it', async () => {
    await using pair = await openPair('shared.bin')
    const { one, two, directory, ownerOf } = pair
    await hasBytes(pair)
    one.stop()
    await waitFor(async () => (await ownerOf()).startsWith('two:'), {
      what: 'the take-over',
      timeoutMs: 20_000,
    })
    one.goOn()
    await waitFor(
      () =>
        origin()
          .requests('/shared.bin')
          .filter(({ outcome }) => outcome === 'open').length === 1,
      {
        ...{ what: 'its transfer to end', timeoutMs: 20_000 },
      },
    )
    isOpen = true
    await completes(pair, two)
    await completes(pair, one)
    expect(await sha256File(join(directory, 'shared.bin'))).toBe(content.sha256())
  })

  it('writes nothing with its main thread blocked, though its engine goes on', async () => {
    await using pair = await openPair('blocked.bin')
    await hasBytes(pair)
    pair.one.block(3_600_000)
    await waitFor(async () => (await pair.ownerOf()).startsWith('two:'), {
      what: 'the take-over',
      timeoutMs: 30_000,
    })
    isOpen = true
    await completes(pair, pair.two)
    // Its engine is alive all the time, and has had the chance to write until now.
    const before = await traces(pair.directory)
    expect(before).toHaveLength(2)
    expect(await sha256File(join(pair.directory, 'blocked.bin'))).toBe(content.sha256())
    await waitFor(
      () =>
        origin()
          .requests('/blocked.bin')
          .every(({ outcome }) => outcome !== 'open'),
      {
        ...{ what: 'its engine to hang up', timeoutMs: 30_000 },
      },
    )
    expect(await traces(pair.directory)).toEqual(before)
  })
})
