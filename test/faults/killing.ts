/** Kills the command line again and again, and lets the same command go on (FAULTS row 30). */
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Content } from '../support/content.js'
import type { Origin } from '../support/origin.js'
import { spawnUnder } from '../support/machine.js'
import { cliPath, spawnCli } from '../support/process.js'
import { listTree, sha256File } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

/** A repeatable source of numbers from 0 to 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** What is killed, how often. */
export interface KillPlan {
  origin: Origin
  /** Path at the origin that serves `content`; its last segment is the file's name. */
  path: string
  content: Content
  directory: string
  kills: number
  /** More arguments of the command. */
  args?: readonly string[]
  /** Command prefix under which each run takes place, see `spawnUnder`. Locks are then a minute old at the next run. */
  wrapper?: readonly string[]
  random: () => number
}

/** What came of it. */
export interface KillOutcome {
  /** Kills that hit a living process. */
  kills: number
  /** Body bytes that the origin sent beyond one copy of the file. */
  againBytes: number
  /** Whether the file is the right one. */
  right: boolean
  /** Whether it lies alone in its folder: no part, no lock, nothing temporary. */
  tidy: boolean
  /** Whether the last run did not end in time. */
  stuck: boolean
  /** For the message of a failure. */
  detail: string
}

/** A kill comes this long after its moment at most, so that some hit the start of a process. */
const maxDelayMs = 150

/** Runs the command, kills it at random moments, and lets a last run end. */
export async function killAndResume(plan: KillPlan): Promise<KillOutcome> {
  const { origin, path, content, directory, random } = plan
  const name = path.slice(path.lastIndexOf('/') + 1)
  const command = ['get', origin.url(path), '-d', directory, '--quiet', ...(plan.args ?? [])]
  const start = async () => {
    if (plan.wrapper === undefined) return spawnCli(command)
    const then = Date.now() / 1_000 - 61
    await utimes(join(directory, `${name}.part.lock`), then, then).catch(() => undefined)
    return spawnUnder(plan.wrapper, [cliPath, ...command])
  }
  const moments = Array.from({ length: plan.kills }, () => random() * 0.95 * content.size)
  moments.sort((a, b) => a - b)
  let kills = 0
  for (const moment of moments) {
    const run = await start()
    await waitFor(() => origin.bytesSent(path) >= moment || !run.running, {
      timeoutMs: 30_000,
      what: `byte ${Math.round(moment)} of ${path}`,
    })
    await sleep(random() * maxDelayMs)
    const { code, signal, stderr } = await run.kill()
    if (signal === 'SIGKILL') kills += 1
    else if (code !== 0) throw new Error(`The run before a kill failed with ${String(code)}: ${stderr}`)
  }
  let stuck = false
  let last: string
  try {
    const { code, stderr } = await (await start()).finished(30_000)
    last = `exit ${String(code)} ${stderr}`
  } catch (error) {
    stuck = true
    last = String(error)
  }
  const tree = await listTree(directory)
  const right = tree.includes(name) && (await sha256File(join(directory, name))) === content.sha256()
  return {
    kills,
    againBytes: origin.bytesSent(path) - content.size,
    right,
    tidy: right && tree.length === 1,
    stuck,
    detail: `${path}: ${kills} kills at ${moments.map(Math.round).join(', ')}; ${tree.join(' ')}; ${last}`,
  }
}
