/**
 * What users of Windows do first: whole downloads, processes that are killed, `serve`, and other programs that have the
 * same files open. `npm run test:windows` runs it under Wine.
 */
import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { createMemoryStore, DownloadManager } from '../../src/index.js'
import { startServeProcess } from '../cli/serving.js'
import { type Content, ggufContent } from '../support/content.js'
import { type Origin, startOrigin } from '../support/origin.js'
import { type RunningProcess, runCli, spawnCli } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

const MiB = 1024 * 1024
const timeoutMs = 10_000

/** A model of some size on an origin, and a folder to bring it to. */
function scene(origin: Origin, sizeBytes: number, bytesPerSecond?: number) {
  const content = ggufContent(sizeBytes)
  origin.serve('/model.gguf', { content, ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) })
  const directory = tempDir('smoke')
  const url = origin.url('/model.gguf')
  return { content, directory, url, target: path.join(directory, 'model.gguf') }
}

async function expectContent(file: string, content: Content): Promise<void> {
  expect((await readFile(file)).equals(content.slice(0, content.size))).toBe(true)
}

/** The server is as fast as it can be again, also for what it is sending. */
function hurry(origin: Origin, content: Content): void {
  origin.serve('/model.gguf', { content })
  origin.destroyConnections()
}

/** Waits until a command has brought some bytes, and some of them are on disk. */
async function underWay(origin: Origin, directory: string): Promise<void> {
  await origin.waitForBytes('/model.gguf', 3 * MiB, timeoutMs)
  await waitFor(async () => (await readdir(directory)).includes('model.gguf.part'), {
    timeoutMs,
    what: 'the part file',
  })
}

async function succeeds(command: RunningProcess): Promise<void> {
  const { code, stderr } = await command.finished(timeoutMs)
  expect([stderr, code]).toEqual([stderr, 0])
}

describe('get', () => {
  it('brings a file, knows it again, and leaves nothing beside it', async () => {
    await using origin = await startOrigin()
    const { content, directory, url, target } = scene(origin, 20 * MiB)
    for (let times = 0; times < 2; times += 1) {
      origin.clearRequests()
      const ended = await runCli(['get', url, '-d', directory, '--sha256', content.sha256()], { timeoutMs })
      expect([ended.stderr, ended.code]).toEqual([ended.stderr, 0])
      expect(ended.stdout.trim()).toBe(target)
    }
    expect(origin.requests()).toEqual([])
    await expectContent(target, content)
    expect(await readdir(directory)).toEqual(['model.gguf'])
  })

  it('resumes after kill -9, at once and without fetching twice', async () => {
    await using origin = await startOrigin()
    const { content, directory, url, target } = scene(origin, 24 * MiB, 4 * MiB)
    const first = spawnCli(['get', url, '-d', directory])
    await underWay(origin, directory)
    await first.kill('SIGKILL', timeoutMs)
    await waitFor(() => origin.activeRequests === 0, { timeoutMs, what: 'the origin to notice' })
    hurry(origin, content)
    origin.clearRequests()
    await succeeds(spawnCli(['get', url, '-d', directory]))
    await expectContent(target, content)
    expect(await readdir(directory)).toEqual(['model.gguf'])
    // What had been brought is not asked for again.
    const starts = origin.requests('/model.gguf').map(({ range }) => range?.start ?? 0)
    expect(Math.min(...starts)).toBeGreaterThan(0)
  })
})

describe('serve', () => {
  it('goes on with its downloads after kill -9', async () => {
    await using origin = await startOrigin()
    const { content, directory, url } = scene(origin, 24 * MiB, 4 * MiB)
    const args = ['--allow-private-network']
    const first = await startServeProcess(args, { directory })
    await first.client.download({ url })
    await origin.waitForBytes('/model.gguf', 3 * MiB, timeoutMs)
    await first.process.kill('SIGKILL', timeoutMs)
    hurry(origin, content)
    await using second = await startServeProcess(args, { directory })
    await waitFor(async () => (await second.client.status(url)).state === 'completed', {
      timeoutMs,
      what: 'the download to complete',
    })
    const [file] = (await readdir(directory, { recursive: true })).filter((name) =>
      name.endsWith('model.gguf'),
    )
    await expectContent(path.join(directory, file ?? ''), content)
  })
})

describe('other programs with the same files open', () => {
  it('are our own plans', async () => {
    await using origin = await startOrigin()
    const { content, directory, url, target } = scene(origin, 24 * MiB, 6 * MiB)
    const getting = spawnCli(['get', url, '-d', directory])
    await underWay(origin, directory)
    const manager = new DownloadManager({ directory, store: createMemoryStore() })
    try {
      const plans: number[] = []
      while (getting.running) {
        const plan = await manager.plan({ url })
        plans.push(plan.files.length)
      }
      expect(plans.length).toBeGreaterThan(3)
      expect(new Set(plans)).toEqual(new Set([1]))
    } finally {
      await manager.close()
    }
    await succeeds(getting)
    await expectContent(target, content)
    expect(await readdir(directory)).toEqual(['model.gguf'])
  })

  it.each([30, 300])(
    'are scanners that hold each file for %i ms and share it with nobody',
    async (holdMs) => {
      await using origin = await startOrigin()
      const { content, directory, url, target } = scene(origin, 12 * MiB, 6 * MiB)
      await using scanner = await startScanner(directory, holdMs)
      await succeeds(spawnCli(['get', url, '-d', directory]))
      expect(await scanner.stop()).toBeGreaterThan(0)
      await expectContent(target, content)
      expect(await readdir(directory)).toEqual(['model.gguf'])
    },
  )

  it('are scanners of the records of serve', async () => {
    await using origin = await startOrigin()
    const { directory, url } = scene(origin, 12 * MiB, 6 * MiB)
    const records = path.join(directory, '.model-downloader')
    await mkdir(records)
    await using scanner = await startScanner(records, 30)
    await using serving = await startServeProcess(['--allow-private-network'], { directory })
    await serving.client.download({ url })
    await waitFor(async () => (await serving.client.status(url)).state === 'completed', {
      timeoutMs,
      what: 'the download to complete',
    })
    expect(await scanner.stop()).toBeGreaterThan(0)
    expect((await readdir(records)).filter((name) => name.endsWith('.corrupt'))).toEqual([])
  })
})

/**
 * Opens every file of a folder again and again as some antivirus programs do: whoever opens, renames or deletes it
 * meanwhile is refused. `UV_FS_O_EXLOCK` is libuv's name for sharing a file with nobody, for which Node has none.
 */
async function startScanner(folder: string, holdMs: number) {
  const source = `
    const fs = require('node:fs')
    const { join } = require('node:path')
    const { parentPort, workerData: { folder, holdMs } } = require('node:worker_threads')
    const exclusive = fs.constants.O_RDONLY | 0x10000000
    let held = 0
    let isStopping = false
    const scan = () => {
      const open = []
      for (const name of fs.readdirSync(folder)) {
        try { open.push(fs.openSync(join(folder, name), exclusive)) } catch {}
      }
      held += open.length
      setTimeout(() => {
        for (const fd of open) fs.closeSync(fd)
        if (isStopping) parentPort.postMessage(held)
        else setTimeout(scan, 20)
      }, holdMs)
    }
    parentPort.once('message', () => (isStopping = true))
    scan()
    parentPort.postMessage(0)`
  const worker = new Worker(source, { eval: true, workerData: { folder, holdMs } })
  await withTimeout(once(worker, 'message'), 30_000, 'the scanner')
  return {
    /** Ends it, and resolves when it holds no file any more: how many it has held. */
    async stop(): Promise<number> {
      const answer = once(worker, 'message') as Promise<[number]> // the worker posts numbers
      worker.postMessage('stop')
      const [held] = await withTimeout(answer, 30_000, 'the end of the scanner')
      return held
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}
