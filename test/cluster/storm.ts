/** Instances of a cluster that are killed again and again, over one folder, one Redis and an origin with faults. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../src/client/index.js'
import { isDownloadError } from '../../src/index.js'
import { randomContent, type Content } from '../support/content.js'
import { container } from '../support/machine.js'
import { type Fault, startOrigin } from '../support/origin.js'
import { RedisServer } from '../support/redis-server.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { deadline, waitFor } from '../support/wait.js'
import { Instance } from './instances.js'

/** How long a storm is, and how hard. */
export interface ClusterStormPlan {
  instances: number
  downloads: number
  /** Of each file. */
  bytes: number
  /** Of each connection, of which a download has one. */
  bytesPerSecond: number
  /** Downloads that an instance runs at the same time. */
  concurrency: number
  /** Downloads that all instances run at the same time. Default: as many as each may. */
  clusterConcurrency?: number
  leaseMs: number
  killEveryMs: number
  /** After how many no instance is killed any more. Default: no limit. */
  maxKills?: number
  /** Whether each instance has process ids and a host name of its own. */
  containers: boolean
  random: () => number
  /** How long it may take, in milliseconds. */
  deadlineMs: number
}

/** What came of it. */
export interface ClusterStormOutcome {
  kills: number
  /** What each instance has said. */
  logs: string[]
  /** Paths of files that are missing or wrong. */
  wrong: string[]
  /** What else lies in the folder, but for the records. */
  odd: string[]
  /** URLs that were accepted, and that an instance did not know afterwards. */
  lost: string[]
  /** Errors that no caller should get. */
  refused: string[]
  /** Bytes that were sent beyond one copy of each file. */
  againBytes: number
  /** How many bytes that may be: 1 % of all, and 5 s of transfer per kill. */
  allowedAgainBytes: number
  /** How long after each kill another instance held what the dead one had run, in milliseconds, sorted. */
  takeOversMs: number[]
  /** How long after the end all instances said the same, in milliseconds. */
  agreedAfterMs: number
}

const prefix = 'storm'

/** So many requests meet a fault, none of which costs bytes that the client has received. */
const faulty = 0.1

function drawFault(random: () => number, bytes: number): Fault | undefined {
  if (random() >= faulty) return undefined
  const afterBytes = Math.floor(random() * bytes)
  const faults: Fault[] = [
    { type: 'status', status: 503, retryAfter: 1 },
    { type: 'hangUp', reset: true },
    { type: 'truncate', afterBytes },
    { type: 'stallBody', afterBytes, forMs: 500 },
    { type: 'stallBeforeHeaders', forMs: 500 },
  ]
  return faults[Math.floor(random() * faults.length)]
}

/**
 * Whether a caller may ask again: an instance that has just died answers nothing, and while a dead one still has its lease,
 * others say 503 with `Retry-After`.
 */
function mayAskAgain(error: unknown): boolean {
  if (!isDownloadError(error)) return false
  return error.code === 'CONNECT_FAILED' || (error.code === 'STORE_ERROR' && error.retryable)
}

/** Runs a storm until all downloads are completed. */
export async function clusterStorm(plan: ClusterStormPlan): Promise<ClusterStormOutcome> {
  const { random, bytes, leaseMs } = plan
  const { clusterConcurrency = plan.instances * plan.concurrency } = plan
  /** Downloads that an instance runs on average, and so one that is killed. */
  const perInstance = clusterConcurrency / plan.instances
  await using origin = await startOrigin()
  await using redis = await RedisServer.start()
  await using store = { redis: redis.client(), [Symbol.asyncDispose]: async () => store.redis.disconnect() }
  const directory = join(tempDir('storm'), 'models')
  const files = new Map<string, Content>()
  for (let index = 0; index < plan.downloads; index += 1) {
    const content = randomContent(bytes, `storm ${index}`)
    files.set(`/file-${index}.bin`, content)
    const faults = () => drawFault(random, bytes)
    origin.serve(`/file-${index}.bin`, { content, bytesPerSecond: plan.bytesPerSecond, faults })
  }

  const start = (index: number) =>
    new Instance(
      {
        directory,
        cluster: {
          ...{ connection: redis.path, prefix, node: `node-${index}`, leaseMs },
          clusterConcurrency: plan.clusterConcurrency ?? null,
        },
        manager: { concurrency: plan.concurrency, connections: 1 },
        allowedHosts: [`127.0.0.1:${origin.port}`],
      },
      plan.containers ? container(`node-${index}`) : [],
    )
  const running = Array.from({ length: plan.instances }, (_, index) => start(index))
  await using all = {
    running,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(running.map((instance) => instance[Symbol.asyncDispose]()))
    },
  }
  await Promise.all(all.running.map((instance) => instance.ready()))

  const lost = new Set<string>()
  const refused: string[] = []
  /** Asks any instance; another one if that has died. */
  const ask = async <T>(question: (client: Client) => Promise<T>): Promise<T> => {
    for (;;) {
      const ready = running.filter(({ isReady }) => isReady)
      const one = ready[Math.floor(random() * ready.length)]
      try {
        if (one !== undefined) return await question(one.client)
      } catch (error) {
        if (!mayAskAgain(error)) throw error
      }
      await sleep(50)
    }
  }

  /** When each was accepted. */
  const accepted = new Map<string, number>()
  const asking = (async () => {
    for (const path of files.keys()) {
      const url = origin.url(path)
      await ask((client) => client.download({ url })).catch((error: unknown) => refused.push(String(error)))
      accepted.set(url, performance.now())
    }
  })()

  /** Who holds the lease of each download, by its id; empty if nobody does. */
  const owners = async (): Promise<Map<string, string>> => {
    const ids = await store.redis.smembers(`{${prefix}}:ids`)
    const pipeline = store.redis.pipeline()
    for (const id of ids) pipeline.hget(`{${prefix}}:r:${id}`, 'owner')
    const found = (await pipeline.exec()) ?? []
    return new Map(ids.map((id, index) => [id, (found[index]?.[1] ?? '') as string]))
  }
  const takeOversMs: number[] = []
  /** What dead instances have left, by id. */
  const left = new Map<string, { owner: string; at: number }>()
  const watch = async () => {
    if (left.size === 0) return
    const now = performance.now()
    for (const [id, owner] of await owners()) {
      const dead = left.get(id)
      if (dead === undefined || owner === '' || owner === dead.owner) continue
      takeOversMs.push(now - dead.at)
      left.delete(id)
    }
  }

  /** What those that were killed have said. */
  const logs: string[] = []
  const over = new AbortController()
  let kills = 0
  const killing = (async () => {
    let next = performance.now() + plan.killEveryMs
    while (!over.signal.aborted) {
      await watch()
      // One that still starts has nothing to lose.
      const isDue = performance.now() >= next && kills < (plan.maxKills ?? Infinity)
      if (!isDue || !running.every(({ isReady }) => isReady)) {
        await sleep(100)
        continue
      }
      next = performance.now() + plan.killEveryMs
      const index = Math.floor(random() * running.length)
      const victim = running[index]
      if (victim === undefined) continue
      await victim.kill()
      const at = performance.now()
      kills += 1
      for (const [id, owner] of await owners())
        if (owner.startsWith(`${victim.node}:`) && !left.has(id)) left.set(id, { owner, at })
      logs.push(`--- ${victim.node}\n${victim.process.stdout}${victim.process.stderr}`)
      running[index] = start(index)
    }
  })()

  const statesOf = async (client: Client) => {
    const found = new Map<string, string>()
    for await (const page of client.pages({}))
      for (const [url, { state }] of Object.entries(page.downloads)) found.set(url, state)
    return found
  }
  const until = performance.now() + plan.deadlineMs
  const follow = async () => {
    for (;;) {
      // An instance may be a second behind, and more where everything is slow.
      const known = performance.now() - deadline(1_000)
      const before = [...accepted].flatMap(([url, at]) => (at <= known ? [url] : []))
      const states = await ask(statesOf)
      for (const url of before) if (!states.has(url)) lost.add(url)
      const done = [...states.values()].filter((state) => state === 'completed').length
      if (done === files.size) return
      const failed = [...states].filter(([, state]) => state === 'failed' || state === 'canceled')
      for (const [url] of failed) refused.push(`${url} has failed`)
      if (failed.length > 0 || performance.now() > until) {
        refused.push(`${done} of ${files.size} were completed in time.`)
        return
      }
      await sleep(250)
    }
  }
  await follow().finally(() => {
    over.abort()
  })
  const endedAt = performance.now()
  await Promise.all([asking, killing])
  await Promise.all(running.map((instance) => instance.ready()))
  const begunAt = performance.now()
  await waitFor(
    async () => {
      const told = await Promise.all(running.map(({ client }) => statesOf(client)))
      return told.every(
        (states) => files.size === [...states.values()].filter((s) => s === 'completed').length,
      )
    },
    { timeoutMs: 10_000, what: 'all to agree' },
  ).catch((error: unknown) => refused.push(String(error)))
  const agreedAfterMs = performance.now() - Math.max(endedAt, begunAt)

  const tree = (await listTree(directory)).filter((path) => !path.startsWith('.model-downloader'))
  const wrong: string[] = []
  for (const [path, content] of files) {
    const name = path.slice(1)
    if (!tree.includes(name) || (await sha256File(join(directory, name))) !== content.sha256())
      wrong.push(name)
  }
  const size = bytes * files.size
  for (const {
    node,
    process: { stdout, stderr },
  } of running)
    logs.push(`--- ${node}, the last\n${stdout}${stderr}`)
  return {
    logs,
    kills,
    wrong,
    odd: tree.filter((path) => !files.has(`/${path}`)),
    lost: [...lost],
    refused,
    againBytes: origin.bytesSent() - size,
    allowedAgainBytes: size / 100 + kills * 5 * plan.bytesPerSecond * perInstance,
    takeOversMs: takeOversMs.sort((a, b) => a - b),
    agreedAfterMs,
  }
}

/** What lies in the middle of sorted numbers; null without any. */
export function medianOf(sorted: readonly number[]): number | null {
  return sorted[Math.floor(sorted.length / 2)] ?? null
}

/** A line for the output. */
export function describeStorm(outcome: ClusterStormOutcome): string {
  const { kills, wrong, lost, againBytes, allowedAgainBytes, takeOversMs, agreedAfterMs } = outcome
  const seconds = (ms: number | null | undefined) =>
    ms === null || ms === undefined ? '-' : `${(ms / 1_000).toFixed(1)} s`
  return (
    `${kills} kills, ${wrong.length} wrong, ${lost.length} lost, ` +
    `${(againBytes / 1_048_576).toFixed(1)} MiB fetched again of ${(allowedAgainBytes / 1_048_576).toFixed(1)} allowed, ` +
    `${takeOversMs.length} taken over after ${seconds(medianOf(takeOversMs))} (median), ` +
    `${seconds(takeOversMs.at(-1))} (longest), agreed after ${seconds(agreedAfterMs)}`
  )
}
