/** Faults of the Xet store. Whatever happens, the file is right, and HTTP goes on where the store fails. */
import { describe, expect, it } from 'vitest'
import { type DownloadManagerOptions, huggingFace } from '../../src/index.js'
import { maxRawBytes } from '../../src/engine/xet/chunk.js'
import { type Cas, startCas } from '../support/cas.js'
import { bufferContent, randomContent } from '../support/content.js'
import { type Hub, startHub } from '../support/hub.js'
import { sha256File, tempDir } from '../support/temp.js'
import { chunkHead, lz4Frame } from '../support/xet-pack.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB } from './harness.js'
import { seededRandom } from './killing.js'
import { killBetweenWays } from './xet-kills.js'

const path = 'model.bin'
const url = `hf:owner/model/${path}`
const words = Buffer.alloc(300 * KiB)
for (let at = 0; at < words.length; at += 4) words.writeFloatLE(Math.sin(at / 1_000), at)
const content = bufferContent(Buffer.concat([randomContent(300 * KiB, 'xet').slice(0, 300 * KiB), words]))

interface Scene extends AsyncDisposable {
  hub: Hub
  cas: Cas
  directory: string
  /** Downloads the file. Returns the messages of the log. */
  get: (options?: DownloadManagerOptions) => Promise<string[]>
  fails: (options?: DownloadManagerOptions) => Promise<{ code: string; message: string }>
}

/** @param spoil - changes what the store has. */
async function scene(spoil?: (packed: Buffer, index: number) => Buffer): Promise<Scene> {
  const [hub, cas] = await Promise.all([startHub(), startCas()])
  cas.add(content, { chunksPerXorb: 6, ...(spoil === undefined ? {} : { spoil }) })
  hub.cas = cas
  hub.add('owner/model', { files: { [path]: content } })
  const directory = tempDir('xet-faults')
  const managerOf = (options: DownloadManagerOptions) =>
    makeManager(directory, {
      sources: [huggingFace({ endpoint: hub.url, token: null })],
      xet: 'prefer',
      ...options,
      // Parts of the store have at least 32 times as much.
      tuning: { minSegmentBytes: 4 * KiB, ...options.tuning },
    })
  return {
    hub,
    cas,
    directory,
    get: async (options = {}) => {
      await using manager = managerOf(options)
      const log: string[] = []
      manager.on('log', ({ message }) => log.push(message))
      const file = await arrives(await manager.download({ url }))
      expect(file).toMatchObject({ sha256: content.sha256(), verified: true })
      expect(await sha256File(file.path)).toBe(content.sha256())
      return log
    },
    fails: async (options = {}) => {
      await using manager = managerOf(options)
      const { code, message } = await fails(await manager.download({ url }))
      return { code, message }
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([hub[Symbol.asyncDispose](), cas[Symbol.asyncDispose]()])
    },
  }
}

/** Whether bytes came over HTTP. */
const usedHttp = ({ hub }: Scene) => hub.cdn.requests().some(({ status }) => status === 200 || status === 206)

/** HTTP is of no use either. */
const noHttp = (at: Scene) => (at.hub.cdnBehaviour = { status: 404 })

describe('the Xet store', () => {
  it('that expires its token and its links in the middle goes on with fresh ones', async () => {
    await using at = await scene()
    at.cas.edgeBehaviour = {
      faults: [{ type: 'truncate', afterBytes: 50_000, times: 1 }],
      requires: (request) => {
        if (request.n !== 2) return undefined
        at.cas.expireTokens()
        at.cas.expireLinks()
        return 403
      },
    }
    noHttp(at)
    await at.get({ connections: 1 })
    expect(at.cas.issued).toBe(2)
    expect(usedHttp(at)).toBe(false)
  })

  it('whose edge refuses fresh links is given up, with what the edge says in the log', async () => {
    await using at = await scene()
    at.cas.edgeBehaviour = { requires: () => 403 }
    const log = await at.get()
    expect(log.filter((message) => message.includes('was just signed'))).not.toEqual([])
    expect(log.join('\n')).not.toContain('Signature')
    expect(usedHttp(at)).toBe(true)
  })

  it('that knows no plans of version 2 is asked for version 1, once', async () => {
    await using at = await scene()
    at.cas.versions = ['v1']
    noHttp(at)
    await at.get()
    expect(at.cas.origin.requests().filter(({ path: asked }) => asked.startsWith('/v2/'))).toHaveLength(1)
  })

  it('that is busy is waited for', async () => {
    await using at = await scene()
    at.cas.planBehaviour = { faults: [{ type: 'status', status: 429, retryAfter: 0, times: 1 }] }
    at.cas.edgeBehaviour = { faults: [{ type: 'status', status: 503, times: 1 }] }
    noHttp(at)
    await at.get()
    expect(usedHttp(at)).toBe(false)
  })

  it.each<[string, (at: Scene) => void]>([
    ['has no plan', (at) => (at.cas.versions = [])],
    ['refuses the range', (at) => (at.cas.planBehaviour = { status: 416 })],
    ['sends a plan that is none', (at) => (at.cas.spoilPlan = () => ({ terms: 'none' }))],
    [
      'sends a plan with wrong lengths',
      (at) =>
        (at.cas.spoilPlan = (plan) => {
          for (const term of plan.terms) term.unpacked_length += 1
          return plan
        }),
    ],
    ['redirects', (at) => (at.cas.planBehaviour = { redirect: 'http://127.0.0.1:9/' })],
    ['is silent', (at) => (at.cas.planBehaviour = { faults: [{ type: 'stallBeforeHeaders' }] })],
    [
      'stops in the middle',
      (at) => (at.cas.edgeBehaviour = { faults: [{ type: 'stallBody', afterBytes: 90_000 }] }),
    ],
    [
      'cuts every part',
      (at) => (at.cas.edgeBehaviour = { faults: [{ type: 'truncate', afterBytes: 90_000 }] }),
    ],
    ['sends other parts', (at) => (at.cas.edgeBehaviour = { ranges: false })],
    ['has forgotten the xorb', (at) => (at.cas.edgeBehaviour = { status: 404 })],
    ['cannot be reached', (at) => void at.cas.edge.close()],
    ['gives no token', (at) => (at.hub.tokenBehaviour = { status: 403 })],
    [
      'is at an address that is none',
      (at) => (at.hub.tokenBehaviour = { content: bufferContent(Buffer.from('{}')) }),
    ],
  ])('that %s leaves the file to HTTP', async (_, break_) => {
    await using at = await scene()
    break_(at)
    await at.get({ tuning: { headersTimeoutMs: 300, bodyTimeoutMs: 200 } })
    expect(usedHttp(at)).toBe(true)
    await expectInvariant(at.directory, path, 'done', { content })
  })

  const bomb = lz4Frame(Buffer.alloc(1024 * KiB), { blockBytes: 1024 * KiB })
  const changed = (at: number, value: number) => (packed: Buffer) => {
    const copy = Buffer.from(packed)
    copy[at] = value
    return copy
  }
  it.each<[string, (packed: Buffer) => Buffer]>([
    ['another version', changed(0, 1)],
    ['an unknown scheme', changed(4, 9)],
    ['another length, unpacked', changed(5, 3)],
    ['another length, packed', changed(1, 3)],
    ['a frame that expands without end', () => Buffer.concat([chunkHead(1, bomb.length, maxRawBytes), bomb])],
    [
      'garbage in a frame',
      (packed) => Buffer.concat([packed.subarray(0, 8), Buffer.alloc(packed.length - 8, 0x55)]),
    ],
  ])('with %s in a chunk leaves the file to HTTP, and alone it fails', async (name, spoil) => {
    await using at = await scene((packed, index) => (index === 5 ? spoil(packed) : packed))
    await at.get()
    expect(usedHttp(at)).toBe(true)
    if (name !== 'another version') return
    await using alone = await scene((packed, index) => (index === 5 ? spoil(packed) : packed))
    noHttp(alone)
    const { code } = await alone.fails()
    expect(['PROTOCOL_ERROR', 'NOT_FOUND']).toContain(code)
    await expectInvariant(alone.directory, path, 'K')
  })

  it('with other bytes than the digest says is found out by the digest', async () => {
    const flip = (packed: Buffer) => {
      const copy = Buffer.from(packed)
      if (copy[4] === 0) copy[1_000] = (copy[1_000] ?? 0) ^ 1
      return copy
    }
    await using at = await scene(flip)
    await at.get()
    expect(usedHttp(at)).toBe(true)
  })
})

describe('the Xet store for a remote caller', () => {
  it.each(['the store', 'the edge'])(
    'where %s is at an address that is not allowed leaves the file to HTTP',
    async (what) => {
      await using at = await scene()
      const origins = [at.hub.origin, at.hub.cdn, ...(what === 'the edge' ? [at.cas.origin] : [])]
      const allowedHosts = origins.map(({ origin }) => new URL(origin).host)
      await using manager = makeManager(at.directory, {
        sources: [huggingFace({ endpoint: at.hub.url, token: null })],
        xet: 'prefer',
      })
      const file = await arrives(await manager.download({ url, remote: { allowedHosts } }))
      expect(file.sha256).toBe(content.sha256())
      const refused = what === 'the edge' ? at.cas.edge : at.cas.origin
      expect(refused.requests()).toEqual([])
      expect(at.cas.origin.requests().length > 0).toBe(what === 'the edge')
    },
  )
})

describe('a download over HTTP and Xet in turns', () => {
  it('that is killed goes on the other way, with the bytes of the first', async () => {
    const bytesPerSecond = 2 * MiB
    const random = seededRandom(17)
    const outcome = await killBetweenWays('turns', { size: 6 * MiB, bytesPerSecond, kills: 3, random })
    expect(outcome).toMatchObject({ kills: 3, right: true, tidy: true, stuck: false })
    expect(outcome.againBytes, outcome.detail).toBeLessThan(3 * 2 * MiB)
  })
})

describe('HTTP of the hub', () => {
  it.each([400, 403, 408, 503])('that answers %i leaves the file to the Xet store', async (status) => {
    await using at = await scene()
    at.hub.cdnBehaviour = { status }
    await at.get({ xet: 'auto' })
    expect(at.cas.edge.bytesSent()).toBeGreaterThan(0)
  })

  it('that stops in the middle leaves the rest to the Xet store, without what it has sent', async () => {
    await using at = await scene()
    at.hub.cdnBehaviour = { faults: [{ type: 'stallBody', afterBytes: 400_000 }] }
    await at.get({ xet: 'auto', connections: 1, tuning: { bodyTimeoutMs: 300 } })
    expect(at.cas.edge.bytesSent()).toBeLessThan(400 * KiB)
  })

  it('is all that is used by default, with `never`, and with HF_HUB_DISABLE_XET', async () => {
    for (const options of [{ xet: 'auto' }, { xet: 'never' }] as const) {
      await using at = await scene()
      await at.get(options)
      expect(at.cas.issued).toBe(0)
    }
    await using at = await scene()
    process.env['HF_HUB_DISABLE_XET'] = '1'
    try {
      await at.get()
    } finally {
      delete process.env['HF_HUB_DISABLE_XET']
    }
    expect(at.cas.issued).toBe(0)
  })

  it('is tried in another form where the Xet store is of no use after all', async () => {
    await using at = await scene()
    at.cas.versions = []
    at.hub.cdnBehaviour = {
      requires: ({ range }) => (range !== null && range.start > 0 ? 400 : undefined),
      ranges: false,
    }
    await at.get({ xet: 'auto' })
    expect(usedHttp(at)).toBe(true)
  })
})
