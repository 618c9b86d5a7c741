/** Kills a program again and again, and lets the same command go on (FAULTS row 30). */
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Content } from '../support/content.js'
import type { Origin } from '../support/origin.js'
import { spawnUnder } from '../support/machine.js'
import { cliPath, type RunningProcess } from '../support/process.js'
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

/** What lies on the disk in the end. */
export interface Found {
  /** Whether all files are there, and are the right ones. */
  right: boolean
  /** Whether nothing else is: no part, no lock, nothing temporary. */
  tidy: boolean
  /** For the message of a failure. */
  detail: string
}

/** What is killed, how often. */
export interface KillPlan {
  /** For messages. */
  name: string
  /** Starts the program, or has it go on. */
  start: () => RunningProcess | Promise<RunningProcess>
  /**
   * Waits until all has arrived in the last run. Rejects after a deadline. Default: until the program ends, with exit
   * code 0.
   */
  arrived?: (last: RunningProcess) => Promise<unknown>
  /** Body bytes that have been sent so far. */
  sent: () => number
  /** What is to arrive, in bytes. */
  size: number
  kills: number
  found: () => Promise<Found>
  random: () => number
}

/** What came of it. */
export interface KillOutcome {
  /** Kills that hit a living process. */
  kills: number
  /** Body bytes that were sent beyond one copy. */
  againBytes: number
  /** See {@link Found}. */
  right: boolean
  tidy: boolean
  /** Whether the last run did not end in time, or a run ended with an error. */
  stuck: boolean
  /** For the message of a failure. */
  detail: string
}

/** A kill comes this long after its moment at most. */
const maxDelayMs = 150

/** So many kills come at any time after the start instead, so that some hit a process that starts. */
const earlyShare = 0.1

const maxEarlyMs = 1_000

const lastRunMs = 30_000

/** Runs a program, kills it at random moments, and lets a last run end. */
export async function killStorm(plan: KillPlan): Promise<KillOutcome> {
  const { name, start, sent, size, random } = plan
  const moments = Array.from({ length: plan.kills }, () =>
    random() < earlyShare ? 0 : random() * 0.95 * size,
  )
  moments.sort((a, b) => a - b)
  const trouble: string[] = []
  let kills = 0
  for (const moment of moments) {
    await using run = await start()
    const arrives = waitFor(() => sent() >= moment || !run.running, {
      timeoutMs: 30_000,
      what: `byte ${Math.round(moment)} of ${name}`,
    })
    await arrives.catch((error: unknown) => trouble.push(String(error)))
    await sleep(random() * (moment === 0 ? maxEarlyMs : maxDelayMs))
    const { code, signal, stdout, stderr } = await run.kill()
    if (signal === 'SIGKILL') kills += 1
    else if (code !== 0) trouble.push(`exit ${String(code)} before a kill: ${stdout} ${stderr}`)
  }
  try {
    await using last = await start()
    await (plan.arrived ?? exitsWell)(last)
  } catch (error) {
    trouble.push(String(error))
  }
  const { right, tidy, detail } = await plan.found()
  return {
    kills,
    againBytes: sent() - size,
    right,
    tidy: right && tidy,
    stuck: trouble.length > 0,
    detail: `${name}: kills at ${moments.map(Math.round).join(', ')}; ${detail}; ${trouble.join('; ')}`,
  }
}

async function exitsWell(last: RunningProcess): Promise<void> {
  const { code, stdout, stderr } = await last.finished(lastRunMs)
  if (code !== 0) throw new Error(`exit ${String(code)}: ${stdout} ${stderr}`)
}

/** What `findFiles` finds in a cache besides the links: the blobs, each named by its digest, and the ref. */
export const cacheFiles = /^models--owner--model\/(?:blobs\/[0-9a-f]+|refs\/main)$/

/** Looks for files by their paths in a folder, which has nothing else but what `others` matches. */
export async function findFiles(
  directory: string,
  files: Readonly<Record<string, Content>>,
  others = /^$/,
): Promise<Found> {
  const tree = await listTree(directory)
  let right = true
  for (const [path, content] of Object.entries(files))
    right &&= tree.includes(path) && (await sha256File(join(directory, path))) === content.sha256()
  const odd = tree.filter((path) => !path.endsWith('/') && !(path in files) && !others.test(path))
  return { right, tidy: odd.length === 0, detail: tree.join(' ') }
}

/** One file that the command `get` fetches. */
export interface FilePlan extends Pick<KillPlan, 'kills' | 'random'> {
  origin: Origin
  /** Path at the origin that serves `content`; its last segment is the file's name. */
  path: string
  content: Content
  directory: string
  /** More arguments of the command. */
  args?: readonly string[]
  /** Command prefix under which each run takes place, see `spawnUnder`. Locks are then a minute old at the next run. */
  wrapper?: readonly string[]
}

/** Kills `get` of one file, see {@link killStorm}. */
export function killAndResume(plan: FilePlan): Promise<KillOutcome> {
  const { origin, path, content, directory, kills, random, args = [], wrapper } = plan
  const name = path.slice(path.lastIndexOf('/') + 1)
  return killStorm({
    ...{ name, kills, random, size: content.size },
    start: async () => {
      if (wrapper !== undefined) {
        const then = Date.now() / 1_000 - 61
        await utimes(join(directory, `${name}.part.lock`), then, then).catch(() => undefined)
      }
      return spawnUnder(wrapper ?? [], [
        cliPath,
        'get',
        origin.url(path),
        '-d',
        directory,
        '--quiet',
        ...args,
      ])
    },
    sent: () => origin.bytesSent(path),
    found: () => findFiles(directory, { [name]: content }),
  })
}
