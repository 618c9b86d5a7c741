/**
 * The engine in a worker: what the host sees when it is lost, stuck or missing. All other tests cover what it
 * downloads.
 */
import { readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterEach, describe, expect, it } from 'vitest'
import { createEngine, type EngineOptions } from '../../src/engine/engine.js'
import type {
  TransferEngine,
  TransferEvent,
  TransferHandle,
  TransferResult,
  TransferSpec,
} from '../../src/engine/protocol.js'
import { WorkerEngine } from '../../src/engine/worker.js'
import { DownloadError } from '../../src/errors.js'
import { HostGates } from '../../src/net/host-gate.js'
import { randomContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { dist, root } from '../support/process.js'
import { listTree, tempDir } from '../support/temp.js'
import { deadline, waitFor, withTimeout } from '../support/wait.js'

const MiB = 1024 * 1024
const content = randomContent(4 * MiB, 'worker')
const folder = tempDir('worker')
/** A limit that makes the faulty worker below end. */
const fatalLimit = 987_654_321

const engines: TransferEngine[] = []
const origins: Origin[] = []
let warnings: string[] = []
afterEach(async () => {
  await withTimeout(Promise.all(engines.splice(0).map((engine) => engine.close())), 10_000, 'close()')
  await Promise.all(origins.splice(0).map((origin) => origin.close()))
})

function start(file?: URL | null, gates = new HostGates()): WorkerEngine {
  warnings = []
  const options: EngineOptions = {
    tuning: { minDelayMs: 1, maxDelayMs: 5, progressIntervalMs: 20, journalIntervalMs: 20 },
    onLog: (_level, message) => warnings.push(message),
  }
  const engine = new WorkerEngine({
    ...options,
    fallback: createEngine,
    gates,
    ...(file === undefined ? {} : { file }),
  })
  engines.push(engine)
  return engine
}

let count = 0
async function module(code: string): Promise<URL> {
  const path = join(folder, `worker-${count++}.mjs`)
  await writeFile(path, code)
  return pathToFileURL(path)
}

/** The real worker, which ends in a given way. */
const treacherous = (how: string) =>
  module(`
    import { parentPort } from 'node:worker_threads'
    import ${JSON.stringify(pathToFileURL(join(dist, 'engine-worker.js')).href)}
    parentPort.on('message', ({ command }) => {
      if (command?.maxBytesPerSecond === ${fatalLimit}) { ${how} }
    })`)

async function origin(bytesPerSecond?: number): Promise<Origin> {
  const made = await startOrigin()
  origins.push(made)
  made.serve('/model.bin', { content, ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) })
  return made
}

interface Run {
  events: TransferEvent[]
  handle: TransferHandle
  directory: string
  /** The last event. */
  end: () => Promise<TransferEvent | undefined>
}

function run(engine: TransferEngine, from: Origin, spec: Partial<TransferSpec> = {}): Run {
  const directory = join(tempDir('worker-target'), 'models')
  const events: TransferEvent[] = []
  const handle = engine.start(
    {
      id: String(count++),
      url: from.url('/model.bin'),
      directory,
      filename: 'model.bin',
      sha256: null,
      size: null,
      headers: {},
      connections: 2,
      maxBytesPerSecond: null,
      force: false,
      remote: null,
      proxy: false,
      known: null,
      share: null,
      ...spec,
    },
    (event) => events.push(event),
  )
  const last = () =>
    events.find(({ type }) => type === 'completed' || type === 'failed' || type === 'stopped')
  return {
    events,
    handle,
    directory,
    end: () => waitFor(() => last(), { timeoutMs: 15_000, what: 'the end' }),
  }
}

async function expectFile({ end, directory }: Run): Promise<TransferResult> {
  const event = await end()
  expect(event).toMatchObject({ type: 'completed', result: { size: content.size } })
  expect((await readFile(join(directory, 'model.bin'))).equals(content.slice(0, content.size))).toBe(true)
  expect(await listTree(directory)).toEqual(['model.bin'])
  // Asserted above.
  return (event as TransferEvent & { type: 'completed' }).result
}

/** Waits until half of the file is written and noted. */
async function untilHalfWay({ events }: Run): Promise<void> {
  await waitFor(
    () => events.some((event) => event.type === 'progress' && event.downloaded > content.size / 2),
    {
      timeoutMs: 10_000,
      what: 'half of the file',
    },
  )
}

describe('the worker', () => {
  it('fetches files, several at a time, and says the same as an engine in this thread', async () => {
    const from = await origin()
    const worker = start()
    const here = createEngine({ tuning: { progressIntervalMs: 20 } })
    engines.push(here)
    const there = [run(worker, from), run(worker, from), run(worker, from)]
    for (const one of there) await expectFile(one)
    const other = run(here, from)
    await expectFile(other)
    const kinds = ({ events }: Run) =>
      events
        .map((event) => (event.type === 'phase' ? event.phase : event.type))
        .filter((type) => type !== 'progress')
    expect(there.map(kinds)).toEqual(there.map(() => kinds(other)))
    expect(warnings).toEqual([])
  })

  it('reports that it is up, and how late its event loop was', async () => {
    const engine = start()
    await expect(engine.report(true)).resolves.toBeNull()
    engine.prepare()
    const nothing = { loopDelay: null, receivedBytes: 0 }
    await expect(engine.report(true)).resolves.toEqual({ thread: 'worker', ...nothing })
    await waitFor(async () => ((await engine.report(true))?.loopDelay ?? null) !== null)
    await engine.close()
    await expect(engine.report(true)).resolves.toBeNull()
    const fallback = start(null)
    fallback.prepare()
    await expect(fallback.report(true)).resolves.toEqual({ thread: 'host', ...nothing })
  })

  it('takes commands: a limit, a stop', async () => {
    const from = await origin()
    const slow = run(start(), from, { maxBytesPerSecond: 64 * 1024 })
    await waitFor(() => slow.events.some(({ type }) => type === 'progress'))
    slow.handle.send({ type: 'limit', maxBytesPerSecond: null })
    await expectFile(slow)
    const stopped = run(start(), from, { maxBytesPerSecond: 64 * 1024 })
    await waitFor(() => stopped.events.some(({ type }) => type === 'progress'))
    stopped.handle.send({ type: 'stop', mode: 'cancel' })
    expect(await stopped.end()).toEqual({ type: 'stopped', mode: 'cancel' })
    expect(await listTree(stopped.directory)).toEqual([])
  })
})

describe('a server that asks to wait', () => {
  const limits = { ratelimit: '"api";r=0;t=300' }
  const trusted = { remote: false }
  const waitFrom = (gates: HostGates, from: Origin) => gates.for(trusted).wait(from.origin, performance.now())
  /** What a request for metadata does when it gets a 429. */
  const limit = (gates: HostGates, from: Origin) =>
    gates
      .for(trusted)
      .heed(from.origin, { status: 429, headers: limits }, new DownloadError('HTTP_ERROR', 'x'), {
        now: performance.now(),
        wallNow: Date.now(),
        maxMs: 600_000,
      })
  const stop = async (one: Run) => {
    one.handle.send({ type: 'stop', mode: 'cancel' })
    await one.end()
  }

  it.each([
    ['in the worker', undefined],
    ['without a worker', null],
  ])('tells a transfer %s, and requests for metadata wait too', async (_name, file) => {
    const from = await origin()
    from.serve('/model.bin', { status: 429, headers: limits })
    const gates = new HostGates()
    const limited = run(start(file, gates), from)
    await waitFor(() => waitFrom(gates, from) > 0, { what: 'the wait' })
    expect(waitFrom(gates, from)).toBeGreaterThan(200_000)
    await stop(limited)
  })

  it('tells a request for metadata, and transfers wait too, before and after the worker has begun', async () => {
    const [first, second, free] = [await origin(), await origin(), await origin()]
    const gates = new HostGates()
    const engine = start(undefined, gates)
    limit(gates, first)
    const early = run(engine, first)
    await expectFile(run(engine, free))
    limit(gates, second)
    const late = run(engine, second)
    await expectFile(run(engine, free))
    expect([first.requests(), second.requests()]).toEqual([[], []])
    await stop(early)
    await stop(late)
  })
})

describe('a worker that is lost', () => {
  it.each([
    ['ends', 'process.exit(0)', 'it exited unexpectedly'],
    ['throws', "throw new Error('crash')", 'crash'],
    ['leaves a rejection alone', "Promise.reject(new Error('nobody cares'))", 'nobody cares'],
  ])('because it %s is replaced, and its transfers go on from their bytes', async (_name, how, reason) => {
    const from = await origin(2 * MiB)
    const engine = start(await treacherous(how))
    const transfer = run(engine, from)
    await untilHalfWay(transfer)
    transfer.handle.send({ type: 'limit', maxBytesPerSecond: fatalLimit })
    const { fetchedBytes } = await expectFile(transfer)
    expect(fetchedBytes).toBeLessThan(content.size * 0.75)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(reason)
  })

  it('again and again fails its transfers in the end; later ones get a new worker', async () => {
    const from = await origin(2 * MiB)
    const engine = start(await treacherous('process.exit(1)'))
    const transfer = run(engine, from)
    const bury = setInterval(() => {
      transfer.handle.send({ type: 'limit', maxBytesPerSecond: fatalLimit })
    }, 50)
    const end = await transfer.end().finally(() => {
      clearInterval(bury)
    })
    expect(end).toMatchObject({ type: 'failed', error: { code: 'INTERNAL', retryable: true } })
    await expectFile(run(engine, from))
  })

  it.each([
    { asked: ['pause'], mode: 'pause' },
    { asked: ['pause', 'close'], mode: 'pause' },
    { asked: ['pause', 'cancel'], mode: 'cancel' },
    { asked: ['cancel', 'close'], mode: 'cancel' },
  ] as const)('while a transfer was asked to stop ($asked) counts as its stop', async ({ asked, mode }) => {
    const from = await origin(MiB)
    const engine = start(await treacherous('process.exit(1)'))
    const [one, two] = [run(engine, from), run(engine, from)]
    await waitFor(() => [one, two].every(({ events }) => events.some(({ type }) => type === 'progress')))
    two.handle.send({ type: 'limit', maxBytesPerSecond: fatalLimit })
    for (const each of asked) one.handle.send({ type: 'stop', mode: each })
    expect(await one.end()).toMatchObject({ type: 'stopped', mode })
    await expectFile(two)
  })

  it('because it is stuck does not keep close() waiting for ever', async () => {
    const engine = start(await treacherous('for (;;);'))
    const transfer = run(engine, await origin(MiB))
    await waitFor(() => transfer.events.some(({ type }) => type === 'progress'))
    transfer.handle.send({ type: 'limit', maxBytesPerSecond: fatalLimit })
    await withTimeout(engine.close(), 8_000, 'close()')
  })
})

describe('without a worker', () => {
  it.each([
    ['its file is missing', async () => null],
    ['not', async () => new URL('file:///no/such/worker.js')],
    ['will not start', () => module("throw new Error('will not start')")],
  ])('the transfers run in this thread, with one warning (%s)', async (reason, file) => {
    const from = await origin()
    const engine = start(await file())
    const transfers = [run(engine, from), run(engine, from)]
    for (const transfer of transfers) await expectFile(transfer)
    await expectFile(run(engine, from))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(reason)
  })
})

describe('a host', () => {
  const program = (url: string, directory: string) => `
    import { DownloadManager } from 'model-downloader'
    const manager = new DownloadManager({ directory: ${JSON.stringify(directory)}, store: 'memory', proxy: false })
    manager.on('log', ({ level, message }) => { if (level === 'warn') console.log('warning:', message) })
    manager.download({ url: ${JSON.stringify(url)} }).then(async (download) => {
      console.log(JSON.stringify(await download.finished))
    })`

  async function runHost(file: string): Promise<string[]> {
    const { execFile } = await import('node:child_process')
    const { promisify } = await import('node:util')
    const { stdout } = await promisify(execFile)(process.execPath, [file], {
      cwd: root,
      timeout: deadline(15_000),
    })
    return stdout.trim().split('\n')
  }

  it('ends by itself when its downloads have ended, closed or not', async () => {
    const from = await origin()
    const home = join(root, '.cache', `host-${process.pid}`)
    await mkdir(home, { recursive: true })
    const file = join(home, 'host.mjs')
    await writeFile(file, program(from.url('/model.bin'), join(tempDir('host'), 'models')))
    const lines = await runHost(file)
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ size: content.size })
  })

  it.each(['esm', 'cjs'] as const)(
    'that is bundled (%s) falls back to its own thread, with one warning',
    async (format) => {
      const from = await origin()
      const home = tempDir('bundled')
      const file = join(home, format === 'esm' ? 'host.mjs' : 'host.cjs')
      await build({
        stdin: {
          contents: program(from.url('/model.bin'), join(home, 'models')),
          resolveDir: root,
          loader: 'ts',
        },
        bundle: true,
        platform: 'node',
        format,
        outfile: file,
        logLevel: 'silent',
        ...(format === 'esm'
          ? {
              banner: {
                js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
              },
            }
          : {}),
      })
      expect(readFileSync(file, 'utf8')).toContain('engine-worker')
      const lines = await runHost(file)
      expect(lines.filter((line) => line.startsWith('warning:'))).toHaveLength(1)
      expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ size: content.size })
    },
  )
})
