/** Files of the Xet store: the same as over HTTP, whatever fails on the way, and the same as the official client reads. */
import { downloadFile } from '@huggingface/hub'
import { describe, expect, it } from 'vitest'
import { type DownloadManagerOptions, huggingFace } from '../../src/index.js'
import { arrives, KiB, makeManager } from '../faults/harness.js'
import { type Cas, type CasOptions, startCas } from '../support/cas.js'
import { bufferContent, type Content, randomContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { sha256File, tempDir } from '../support/temp.js'

const path = 'model.bin'
const url = `hf:owner/model/${path}`

/** Random bytes, words that pack well, and parts that come several times, in another order. */
function mixedContent(): Content {
  const random = randomContent(500 * KiB, 'mixed').slice(0, 500 * KiB)
  const words = Buffer.alloc(600 * KiB)
  for (let at = 0; at < words.length; at += 4) words.writeFloatLE(Math.sin(at / 1_000) / 10, at)
  return bufferContent(
    Buffer.concat([random, words, random, words.subarray(100_000), random.subarray(50_000)]),
  )
}

interface World extends AsyncDisposable {
  hub: Hub
  cas: Cas
  content: Content
}

async function world(content = mixedContent(), options: CasOptions = {}): Promise<World> {
  const [hub, cas] = await Promise.all([startHub(), startCas()])
  cas.add(content, options)
  hub.cas = cas
  hub.add('owner/model', { files: { [path]: content } })
  return {
    hub,
    cas,
    content,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([hub[Symbol.asyncDispose](), cas[Symbol.asyncDispose]()])
    },
  }
}

function managerOf({ hub }: World, more: DownloadManagerOptions = {}, directory = tempDir('xet')) {
  return makeManager(directory, {
    sources: [huggingFace({ endpoint: hub.url, token: 'hf_secret' })],
    xet: 'prefer',
    ...more,
  })
}

describe('a file of the Xet store', () => {
  it.each([
    ['of version 2, in all schemes', {}, ['v2']],
    ['of version 1, in small xorbs', { chunksPerXorb: 3 }, ['v1']],
  ] as const)('arrives with plans %s', async (_, options, versions) => {
    await using at = await world(undefined, options)
    at.hub.allow('hf_secret', ['owner/model'])
    at.cas.versions = versions
    await using manager = managerOf(at)
    const file = await arrives(await manager.download({ url }))
    expect(file).toMatchObject({ size: at.content.size, sha256: at.content.sha256(), verified: true })
    expect(await sha256File(file.path)).toBe(at.content.sha256())
    expect(at.hub.cdn.requests(), 'nothing over HTTP').toEqual([])
    const sent = [...at.cas.origin.requests(), ...at.cas.edge.requests()]
    expect(sent.some(({ headers }) => JSON.stringify(headers).includes('hf_secret'))).toBe(false)
    expect(at.cas.edge.requests().every(({ headers }) => headers['authorization'] === undefined)).toBe(true)
    expect(at.cas.issued).toBe(1)
  })

  it('takes what it shares with the version on disk from there', async () => {
    await using at = await world(randomContent(900 * KiB, 'old'))
    at.hub.allow('hf_secret', ['owner/model'])
    await using manager = managerOf(at, { xet: 'auto' })
    await arrives(await manager.download({ url }))
    const data = at.content.slice(0, at.content.size)
    const fresh = bufferContent(
      Buffer.concat([data.subarray(0, 400_000), Buffer.from('edit'), data.subarray(400_000)]),
    )
    at.cas.add(fresh)
    at.hub.commit('owner/model', { [path]: fresh })
    const sent = at.hub.cdn.bytesSent()
    const file = await arrives(await manager.download({ url }))
    expect(file).toMatchObject({ size: fresh.size, sha256: fresh.sha256(), verified: true })
    expect(await sha256File(file.path)).toBe(fresh.sha256())
    expect(at.hub.cdn.bytesSent()).toBe(sent)
    expect(at.cas.edge.bytesSent(), 'of the chunks around the edit').toBeLessThan(400_000)
    expect(file.fetchedBytes).toBeLessThan(400_000)
  })

  it('is the one that the official client reads', async () => {
    await using at = await world(undefined, { chunksPerXorb: 5 })
    const blob = await downloadFile({ repo: 'owner/model', path, hubUrl: at.hub.url, xet: true })
    const theirs = Buffer.from((await blob?.arrayBuffer()) ?? new ArrayBuffer(0))
    expect(theirs.equals(at.content.slice(0, at.content.size))).toBe(true)
    const part = Buffer.from((await blob?.slice(700_001, 900_003).arrayBuffer()) ?? new ArrayBuffer(0))
    expect(part.equals(at.content.slice(700_001, 900_003))).toBe(true)
    expect(at.cas.edge.requests().length).toBeGreaterThan(0)
  })
})
