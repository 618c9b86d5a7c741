/** FAULTS rows 30 and 62 at full length: storms of `kill -9`. Each prints what it measured. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createClient, type Client } from '../../src/client/index.js'
import { serveModel, writeCatalog } from '../cli/serving.js'
import { MiB } from '../faults/harness.js'
import {
  cacheFiles,
  findFiles,
  killAndResume,
  killStorm,
  seededRandom,
  type KillOutcome,
  type KillPlan,
} from '../faults/killing.js'
import { killBetweenWays } from '../faults/xet-kills.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { container, describeWith, namespaces } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { spawnCli, type RunningProcess } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { roundsOf, soakSeed } from './rounds.js'

/** Kills of one program, between two of which it gets some work done. */
const kills = 4

/** What all connections of a program get together: a quarter of a second of it is less than 1 MiB. */
const bytesPerSecond = 3.5 * MiB

const connections = 4

type Drawn = Pick<KillPlan, 'kills' | 'random'> & { number: number }

/** A client of a `serve`, once that listens. */
async function clientOf(server: RunningProcess): Promise<Client> {
  await server.waitForOutput(/^listening on \S+\n/m)
  return createClient({ baseUrl: /^listening on (\S+)$/m.exec(server.stdout)?.[1] ?? '' })
}

/** Kills programs until there were as many kills as `share` of all asks for, and expects that none came to harm. */
async function storm(
  name: string,
  { share, parallel, againPerKill = MiB }: { share: number; parallel: number; againPerKill?: number },
  program: (drawn: Drawn) => Promise<KillOutcome>,
): Promise<void> {
  const seed = soakSeed()
  const random = seededRandom(seed)
  const wanted = roundsOf('SOAK_KILLS', share)
  const outcomes: KillOutcome[] = []
  const killed = () => outcomes.reduce((sum, outcome) => sum + outcome.kills, 0)
  const start = performance.now()
  let started = 0
  const work = async () => {
    while (killed() < wanted) {
      started += 1
      // A generator for each: which of them is the next to draw depends on the machine.
      const own = seededRandom(random() * 0x1_0000_0000)
      outcomes.push(await program({ kills, random: own, number: started }))
    }
  }
  await Promise.all(Array.from({ length: parallel }, work))

  const again = outcomes.reduce((sum, outcome) => sum + outcome.againBytes, 0) / killed()
  const wrong = outcomes.filter(({ right }) => !right).length
  const stuck = outcomes.filter((outcome) => outcome.stuck).length
  console.log(
    `${name}: ${killed()} kills of ${started} programs, ${wrong} wrong, ${stuck} stuck, ` +
      `${(again / MiB).toFixed(2)} MiB fetched again per kill, ` +
      `${Math.round((performance.now() - start) / 1_000)} s (seed ${seed})`,
  )
  expect(outcomes.filter(({ right, tidy, stuck }) => !right || !tidy || stuck)).toEqual([])
  expect(again).toBeLessThanOrEqual(againPerKill)
}

describe('row 30: storms of kill -9', { timeout: 3_600_000 }, () => {
  it.each([
    {
      how: 'several connections',
      each: bytesPerSecond / connections,
      args: ['--connections', `${connections}`],
    },
    { how: 'one connection', each: bytesPerSecond, args: ['--connections', '1'] },
    {
      how: 'a limit of our own',
      // Hardly faster than the limit: what a fast origin puts into the buffers between the two would be counted, though
      // it never reaches the client.
      each: MiB,
      args: ['--connections', `${connections}`, '--limit-rate', '3500k'],
    },
    // As fast as it gets here, where a quarter of a second is more.
    {
      how: '8 MB/s per connection',
      each: 8_000_000,
      args: [],
      size: 24 * MiB,
      againPerKill: (8 * 8_000_000) / 4,
    },
  ])('one file, $how', async ({ how, each, args, size = 8 * MiB, againPerKill = MiB }) => {
    await using origin = await startOrigin()
    const parallel = size > 8 * MiB ? 1 : 3
    await storm(`one file, ${how}`, { share: 0.08, parallel, againPerKill }, async ({ number, ...drawn }) => {
      const content = randomContent(size, `soak ${number}`)
      const path = `/file-${number}.bin`
      origin.serve(path, { content, bytesPerSecond: each })
      const directory = join(tempDir('soak-kill'), 'models')
      return killAndResume({ origin, path, content, directory, args, ...drawn })
    })
  })

  const group = {
    'a.bin': randomContent(3 * MiB, 'a'),
    'b/c.bin': randomContent(5 * MiB, 'c'),
    'b/d.bin': randomContent(300_000, 'd'),
  }
  const groupBytes = Object.values(group).reduce((sum, { size }) => sum + size, 0)

  /** Served by the hub itself. */
  const small = { 'config.json': textContent('{}') }

  it.each(['flat', 'hf-cache'])('a group in the layout %s', async (layout) => {
    await storm(`a group, ${layout}`, { share: 0.15, parallel: 3 }, async ({ number, ...drawn }) => {
      await using hub = await startHub()
      const commit = hub.add('owner/model', { files: { ...group, ...small } })
      hub.cdnBehaviour = { bytesPerSecond: bytesPerSecond / connections }
      const home = tempDir('soak-group')
      const directory = join(home, 'models')
      const env = { HF_ENDPOINT: hub.url, HOME: home, HF_HOME: join(home, 'hf') }
      const args = ['get', 'hf:owner/model', '-d', directory, '--layout', layout, '--quiet']
      const inCache = 'models--owner--model'
      const folder = layout === 'flat' ? 'model' : `${inCache}/snapshots/${commit}`
      const files = Object.entries({ ...group, ...small }).map(
        ([path, content]) => [`${folder}/${path}`, content] as const,
      )
      const others = layout === 'flat' ? /^$/ : cacheFiles
      return await killStorm({
        ...{ name: `group ${number}`, size: groupBytes, ...drawn },
        start: () => spawnCli([...args, '--connections', `${connections}`], { env }),
        sent: () => hub.cdn.bytesSent(),
        found: () => findFiles(directory, Object.fromEntries(files), others),
      })
    })
  })

  it('over HTTP and Xet in turns', async () => {
    const againPerKill = 2 * MiB
    await storm('HTTP and Xet', { share: 0.1, parallel: 2, againPerKill }, async ({ number, ...drawn }) =>
      killBetweenWays(`turns ${number}`, { size: 8 * MiB, bytesPerSecond: bytesPerSecond / 2, ...drawn }),
    )
  })

  it('mirrors in another order each time', async () => {
    await storm('mirrors', { share: 0.15, parallel: 3 }, async ({ number, random, ...drawn }) => {
      const content = randomContent(8 * MiB, `mirror ${number}`)
      const origins = await Promise.all([startOrigin(), startOrigin(), startOrigin()])
      for (const origin of origins)
        origin.serve('/model.bin', { content, bytesPerSecond: bytesPerSecond / connections })
      const directory = join(tempDir('soak-mirrors'), 'models')
      const more = [
        ...(random() < 0.5 ? ['--spread'] : []),
        ...(random() < 0.5 ? ['--sha256', content.sha256()] : []),
      ]
      return killStorm({
        ...{ name: `mirrors ${number} ${more.join(' ')}`, size: content.size, random, ...drawn },
        start: () => {
          const first = Math.floor(random() * origins.length)
          const [url = '', ...mirrors] = [...origins.slice(first), ...origins.slice(0, first)].map((origin) =>
            origin.url('/model.bin'),
          )
          const args = mirrors.flatMap((mirror) => ['--mirror', mirror])
          return spawnCli(['get', url, ...args, ...more, '-d', directory, '--connections', '4', '--quiet'])
        },
        sent: () => origins.reduce((sum, origin) => sum + origin.bytesSent(), 0),
        found: () => findFiles(directory, { 'model.bin': content }),
      }).finally(() => Promise.all(origins.map((origin) => origin.close())))
    })
  })

  it('serve, with a preload and downloads of callers', async () => {
    await storm('serve', { share: 0.15, parallel: 2 }, async ({ number, ...drawn }) => {
      await using origin = await startOrigin()
      const models = ['a', 'b', 'c', 'd', 'e'].map((key) =>
        // Three at a time, with two connections each.
        serveModel(origin, `${key}${number}`, 2 * MiB, { bytesPerSecond: bytesPerSecond / 6 }),
      )
      const directory = tempDir('soak-serve')
      const catalog = writeCatalog(models.slice(0, 3).map(({ entry }) => entry))
      const wanted = models.slice(3).map(({ entry: { url, sha256 } }) => ({ url, sha256, mode: 'llm' }))
      const args = ['serve', '--port', '0', '-d', directory, '--catalog', catalog, '--allow-private-network']
      /** What was accepted so far: each further run must know it before anybody asks again. */
      const accepted = new Set<string>()
      const forgotten: string[] = []
      const ask = async (client: Client) => {
        const { started_at: startedAt } = await client.preload.status()
        if (startedAt === null) {
          if (accepted.has('the preload')) forgotten.push('the preload')
          await client.preload.start()
          accepted.add('the preload')
        }
        const { downloads } = await client.list()
        for (const request of wanted) {
          if (request.url in downloads) continue
          if (accepted.has(request.url)) forgotten.push(request.url)
          await client.download(request)
          accepted.add(request.url)
        }
      }
      const clients = new WeakMap<RunningProcess, Promise<Client>>()
      const start = () => {
        const server = spawnCli(args)
        const asked = clientOf(server).then((client) => ask(client).then(() => client))
        // Until the last run nobody waits for the answers, and a kill may come before them.
        asked.catch(() => undefined)
        clients.set(server, asked)
        return server
      }
      const outcome = await killStorm({
        ...{ name: `serve ${number}`, size: models.length * 2 * MiB, ...drawn },
        start,
        arrived: async (server) => {
          const client = await clients.get(server)
          await waitFor(
            async () => {
              if (client === undefined || (await client.preload.status()).running) return false
              const downloads = Object.values((await client.list()).downloads)
              const bad = downloads.filter(({ status }) => status === 'failed')
              if (bad.length > 0) throw new Error(JSON.stringify(bad))
              return downloads.every(({ state }) => state === 'completed')
            },
            { timeoutMs: 30_000, what: 'everything to be completed' },
          )
          await server.kill('SIGTERM')
        },
        sent: () => origin.bytesSent(),
        found: () =>
          findFiles(
            directory,
            Object.fromEntries(models.map(({ path, content }) => [`llm${path}`, content])),
            /^\.model-downloader\/(?!.*\.[0-9a-z]{6}$)/,
          ),
      })
      return forgotten.length === 0
        ? outcome
        : { ...outcome, right: false, detail: `${outcome.detail}; forgotten: ${forgotten.join()}` }
    })
  })
})

describeWith(namespaces, 'row 62: containers that are killed and started again', () => {
  it('go on from what was synced', { timeout: 3_600_000 }, async () => {
    await using origin = await startOrigin()
    // In another process namespace only what was synced is believed.
    const plan = { share: 0.1, parallel: 3 }
    await storm('containers', plan, async ({ number, ...drawn }) => {
      const content = randomContent(28 * MiB, `container ${number}`)
      const path = `/container-${number}.bin`
      origin.serve(path, { content, bytesPerSecond: bytesPerSecond / connections })
      const directory = join(tempDir('soak-container'), 'models')
      const wrapper = container(`pod-${number}`)
      const args = ['--connections', `${connections}`]
      return killAndResume({ origin, path, content, directory, wrapper, args, ...drawn })
    })
  })
})
