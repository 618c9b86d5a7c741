/** An owner that was stopped or blocked for longer than its lease: not one write after the loss. */
import { createHash } from 'node:crypto'
import { lstat, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { createEngine } from '../../src/engine/engine.js'
import { parseJournal } from '../../src/engine/part/journal.js'
import type { TransferEvent, TransferSpec } from '../../src/engine/protocol.js'
import { randomContent } from '../support/content.js'
import { describeWith, posix } from '../support/machine.js'
import { type Origin, startOrigin } from '../support/origin.js'
import { dist, RunningProcess } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { slowness, waitFor, withTimeout } from '../support/wait.js'
import { MiB } from './harness.js'

const content = randomContent(4 * MiB, 'lease')
const name = 'model.bin'

/** How long the lease of the first owner lasts after each renewal, in milliseconds. On a busy machine renewals come late. */
const leaseMs = Math.round(1_000 * slowness)

/** Takes four leases for the file. */
const bytesPerSecond = Math.round(MiB / slowness)

/**
 * The first owner: the engine in its thread, and a host that renews the lease until it is blocked. It says yes to every
 * question, as a host does that knows of nothing.
 */
const owner = `
  import { Worker } from 'node:worker_threads'
  let [spec, answers, blockMs] = JSON.parse(process.argv[2])
  const worker = new Worker(new URL(${JSON.stringify(pathToFileURL(join(dist, 'engine-worker.js')).href)}), {
    workerData: { tuning: { journalIntervalMs: 20, syncIntervalMs: 50 }, maxBytesPerSecond: null, deadThreads: [], waits: [] },
  })
  const now = () => Number(process.hrtime.bigint()) / 1e6
  const send = (command) => worker.postMessage({ type: 'command', id: 1, command, sentMs: now() })
  const renewals = setInterval(() => send({ type: 'lease', validForMs: ${leaseMs} }), 100)
  worker.on('message', ({ type, events }) => {
    if (type !== 'events') return
    for (const [, event] of events) {
      console.log(JSON.stringify(event))
      if (event.type === 'confirmLease' && answers) send({ type: 'leaseConfirmed', requestId: event.requestId, isHeld: true })
      if (event.type === 'failed' || event.type === 'completed') process.exit(0)
      if (event.type === 'progress' && event.downloaded > 500_000 && blockMs > 0) {
        clearInterval(renewals)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs)
        blockMs = 0
      }
    }
  })
  worker.postMessage({ type: 'start', id: 1, spec, sentMs: now() })
`

function specOf(origin: Origin, directory: string, lease: TransferSpec['lease']): TransferSpec {
  return {
    ...{
      id: 'a',
      url: origin.url(`/${name}`),
      directory,
      filename: name,
      sha256: content.sha256(),
      size: null,
    },
    ...{ headers: {}, connections: 1, maxBytesPerSecond: null, force: false, remote: null, proxy: false },
    ...{ known: null, share: null, lease },
  }
}

class FirstOwner implements AsyncDisposable {
  readonly #process: RunningProcess

  constructor(script: string, spec: TransferSpec, { answers = true, blockMs = 0 } = {}) {
    this.#process = new RunningProcess(process.execPath, [script, JSON.stringify([spec, answers, blockMs])])
  }

  get events(): TransferEvent[] {
    const lines = this.#process.stdout.split('\n').filter((line) => line.endsWith('}'))
    // The owner prints them as they are.
    return lines.map((line) => JSON.parse(line) as TransferEvent)
  }

  async until(what: string, holds: (event: TransferEvent) => boolean): Promise<void> {
    await waitFor(() => this.events.some(holds), { what: `${what}: ${this.#process.stderr}` })
  }

  stop(): void {
    this.#process.signal('SIGSTOP')
  }

  goOn(): void {
    this.#process.signal('SIGCONT')
  }

  async end(): Promise<TransferEvent | undefined> {
    await withTimeout(this.#process.exited, 20_000, 'the end of the first owner')
    return this.events.at(-1)
  }

  async [Symbol.asyncDispose]() {
    this.goOn()
    await this.#process.kill()
  }
}

/** Another owner, with a later lease, gets the file. */
async function takeOver(origin: Origin, directory: string): Promise<TransferEvent> {
  const engine = createEngine()
  try {
    return await withTimeout(
      new Promise<TransferEvent>((resolve) => {
        const handle = engine.start(
          specOf(origin, directory, { epoch: 2, validForMs: Infinity }),
          (event) => {
            if (event.type === 'confirmLease')
              handle.send({ type: 'leaseConfirmed', requestId: event.requestId, isHeld: true })
            if (event.type === 'completed' || event.type === 'failed') resolve(event)
          },
        )
      }),
      20_000,
      'the other owner',
    )
  } finally {
    await engine.close()
  }
}

/** Everything that a write could change. */
async function snapshot(directory: string): Promise<unknown[]> {
  const entries = await listTree(directory)
  return await Promise.all(
    entries.map(async (entry) => {
      const path = join(directory, entry)
      const { ino, size, mtimeMs, ctimeMs, mode } = await lstat(path)
      return { entry, ino, size, mtimeMs, ctimeMs, mode, sha256: digest(await readFile(path)) }
    }),
  )
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function scene() {
  const directory = tempDir('lease')
  const script = join(tempDir('lease-owner'), 'owner.mjs')
  await writeFile(script, owner)
  const origin = await startOrigin()
  return { directory, script, origin, [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose]() }
}

const takenOver = { type: 'failed', error: { code: 'TAKEN_OVER', retryable: true } }

describeWith(posix, 'an owner that was stopped for longer than its lease', () => {
  it.each([
    ['fetches', 'progress', { type: 'progress', downloaded: 500_000 }],
    ['verifies and publishes', 'confirmLease', { type: 'confirmLease' }],
  ] as const)(
    'while it %s: another one publishes first, and it writes nothing more',
    async (_, type, least) => {
      await using all = await scene()
      const { directory, script, origin } = all
      // Only the one that fetches has to be slow.
      origin.serve(`/${name}`, { content, ...(type === 'progress' ? { bytesPerSecond } : {}) })
      const spec = specOf(origin, directory, { epoch: 1, validForMs: leaseMs })
      await using first = new FirstOwner(script, spec, { answers: false })
      await first.until(type, (event) => {
        if (event.type !== least.type) return false
        return event.type !== 'progress' || !('downloaded' in least) || event.downloaded > least.downloaded
      })
      first.stop()
      const stoppedAt = performance.now()
      const journal = parseJournal(await readFile(join(directory, `${name}.part.json`), 'utf8'))
      expect(journal?.epoch).toBe(1)
      origin.serve(`/${name}`, { content })
      expect(await takeOver(origin, directory)).toMatchObject({
        type: 'completed',
        result: { verification: { algorithm: 'sha256', value: content.sha256() } },
      })
      expect(await listTree(directory)).toEqual([name])
      const before = await snapshot(directory)
      await waitFor(() => performance.now() - stoppedAt > leaseMs + 100, { what: 'the end of the lease' })
      first.goOn()
      expect(await first.end()).toMatchObject(takenOver)
      expect(await snapshot(directory)).toEqual(before)
    },
  )
})

describeWith(posix, 'an owner whose host is blocked for longer than its lease', () => {
  it('stops writing by itself, keeps the bytes, and leaves them to the next one', async () => {
    await using all = await scene()
    const { directory, script, origin } = all
    origin.serve(`/${name}`, { content, bytesPerSecond })
    const spec = specOf(origin, directory, { epoch: 1, validForMs: leaseMs })
    await using first = new FirstOwner(script, spec, { blockMs: leaseMs + 1_000 })
    await first.until('the first bytes', (event) => event.type === 'progress' && event.downloaded > 500_000)
    await waitFor(() => origin.requests().every(({ outcome }) => outcome !== 'open'), {
      what: 'the end of its requests',
    })
    const before = await snapshot(directory)
    expect(await first.end()).toMatchObject(takenOver)
    expect(await snapshot(directory)).toEqual(before)
    origin.serve(`/${name}`, { content })
    origin.clearRequests()
    expect(await takeOver(origin, directory)).toMatchObject({ type: 'completed' })
    expect(origin.requests()[0]?.range?.start).toBeGreaterThan(0)
  })
})
