/** A container that is killed and started again: another process namespace, and another host name (FAULTS row 62). */
import { readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseJournal } from '../../src/engine/part/journal.js'
import { internals } from '../../src/manager/internals.js'
import { ManualClock } from '../support/clock.js'
import { randomContent } from '../support/content.js'
import { container, describeWith, namespaces, spawnUnder } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { cliPath } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { arrives, expectInvariant, makeManager, MiB } from './harness.js'
import { lengthOf } from './leftovers.js'

const content = randomContent(2 * MiB, 'container')
const name = 'model.bin'

describeWith(namespaces, 'row 62: a container that is killed and started again', () => {
  it('goes on when the lock of the dead one has been silent for a minute', async () => {
    const directory = tempDir('container')
    await using origin = await startOrigin()
    origin.serve(`/${name}`, { content, bytesPerSecond: MiB / 2 })
    const url = origin.url(`/${name}`)
    const command = [cliPath, 'get', url, '-d', directory, '--connections', '1']
    const journal = join(directory, `${name}.part.json`)
    const lock = join(directory, `${name}.part.lock`)
    {
      await using first = spawnUnder(container('pod-a'), command)
      await waitFor(
        async () => (parseJournal(await readFile(journal, 'utf8').catch(() => ''))?.written.length ?? 0) > 0,
        { what: 'a journal' },
      )
      await first.kill()
    }
    // So the test takes seconds, and not a minute.
    const then = (await stat(lock)).mtimeMs / 1_000 - 57
    await utimes(lock, then, then)
    const synced = lengthOf(parseJournal(await readFile(journal, 'utf8'))?.synced ?? [])
    origin.serve(`/${name}`, { content })
    origin.clearRequests()
    await using second = spawnUnder(container('pod-b'), command)
    const { code, stderr } = await second.finished()
    expect(stderr).toContain('no sign of life')
    expect(code).toBe(0)
    // What the first one had written without syncing may be gone with its mount.
    expect(origin.requests()[0]?.range?.start ?? 0).toBe(synced)
    await expectInvariant(directory, name, 'done', { content })
  })
})

describe('row 62: a lock whose owner may be dead', () => {
  const owner = {
    ...{ pid: 1, host: 'pod-a pid:[1]', bootId: 'elsewhere', startTime: '1', token: 'theirs' },
  }

  async function begin() {
    const directory = tempDir('container')
    const origin = await startOrigin()
    origin.serve(`/${name}`, { content })
    const lock = join(directory, `${name}.part.lock`)
    await writeFile(lock, JSON.stringify(owner))
    const clock = new ManualClock()
    const manager = makeManager(directory, { worker: false, ...{ [internals]: { clock } } })
    const waits: string[] = []
    manager.on('log', ({ message }) => {
      if (message.includes('no sign of life')) waits.push(message)
    })
    const download = await manager.download({ url: origin.url(`/${name}`) })
    await waitFor(() => waits.length === 1)
    const dispose = async () => {
      await manager.close()
      await origin[Symbol.asyncDispose]()
    }
    return { directory, lock, clock, download, [Symbol.asyncDispose]: dispose }
  }

  it('is waited for by a manager', async () => {
    await using scene = await begin()
    const { directory, clock, download } = scene
    await waitFor(() => (clock.advance(1_000), download.state === 'completed'))
    await arrives(download)
    await expectInvariant(directory, name, 'done', { content })
  })

  it('holds the download while its owner lives', async () => {
    await using scene = await begin()
    const { lock, clock, download } = scene
    await writeFile(lock, JSON.stringify(owner))
    const now = Date.now() / 1_000 + 5
    await utimes(lock, now, now)
    await waitFor(() => (clock.advance(1_000), download.state === 'failed'))
    await expect(download.finished).rejects.toMatchObject({ code: 'TARGET_LOCKED', retryable: true })
    expect(JSON.parse(await readFile(lock, 'utf8'))).toEqual(owner)
  })

  it.each(['pause', 'cancel'] as const)('does not keep a download from its %s', async (what) => {
    await using scene = await begin()
    const { lock, download } = scene
    download.finished.catch(() => undefined)
    await download[what]()
    expect(download.state).toBe(what === 'pause' ? 'paused' : 'canceled')
    expect(JSON.parse(await readFile(lock, 'utf8'))).toEqual(owner)
  })
})
