/** What a download does to the host that runs it: the event loop, with the engine in its worker and in the host's thread. */
import { execFile } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), '../tools/host.mjs')
const ENGINES = ['worker', 'in-process']
/** What is aimed at: share of the time, milliseconds, and the speed against in-process. */
export const HOST_AIMS = { utilization: 0.1, p99Ms: 10, speed: 0.95 }

/**
 * Runs host after host, the two kinds in turn.
 *
 * @param {{ url: string, ca: string, target: string, runs: number, timeoutMs: number }} job
 * @returns {Promise<{ engine: string, seconds: number, utilization: number, p99Ms: number }[]>} the medians
 */
export async function measureHosts({ url, ca, target, runs, timeoutMs }) {
  const all = new Map(ENGINES.map((engine) => [engine, []]))
  for (let round = 1; round <= runs; round++) {
    for (const engine of ENGINES) {
      rmSync(target, { recursive: true, force: true })
      mkdirSync(target)
      const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, url, target, engine], {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: ca },
        timeout: timeoutMs,
      })
      all.get(engine).push(JSON.parse(stdout))
      console.error(`host ${String(round)}/${String(runs)}  ${engine}: ${stdout.trim()}`)
    }
  }
  rmSync(target, { recursive: true, force: true })
  return ENGINES.map((engine) => {
    const results = all.get(engine)
    const middle = (name) => median(results.map((result) => result[name]))
    return {
      engine,
      seconds: middle('seconds'),
      utilization: middle('utilization'),
      p99Ms: middle('p99Ms'),
    }
  })
}

/** The table and the verdict, in Markdown that also reads well on a terminal. */
export function hostText(results, title) {
  const [worker, here] = results
  const speed = here.seconds / worker.seconds
  const lines = results.map(
    ({ engine, seconds, utilization, p99Ms }) =>
      `| ${engine.padEnd(10)} | ${seconds.toFixed(2).padStart(6)} | ${utilization.toFixed(3).padStart(11)} | ${p99Ms.toFixed(1).padStart(13)} |`,
  )
  const verdict = (good) => (good ? 'PASS' : 'MISS')
  return [
    title,
    '',
    '| engine     | wall s | utilisation | p99 delay, ms |',
    '| ---------- | -----: | ----------: | ------------: |',
    ...lines,
    '',
    `- ${verdict(worker.utilization <= HOST_AIMS.utilization)}: event-loop utilisation of the host at most ${String(HOST_AIMS.utilization)}`,
    `- ${verdict(worker.p99Ms <= HOST_AIMS.p99Ms)}: p99 delay of its event loop at most ${String(HOST_AIMS.p99Ms)} ms`,
    `- ${verdict(speed >= HOST_AIMS.speed)}: as fast as in-process within 5 % (${speed.toFixed(2)} ×)`,
  ].join('\n')
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}
