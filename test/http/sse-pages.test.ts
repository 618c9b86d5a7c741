/** A snapshot in pages: what a client knows in the end is what there is, whatever happens between the pages. */
import { describe, expect, it } from 'vitest'
import { SseParser } from '../../src/client/events.js'
import { allDownloads } from '../../src/client/follow.js'
import { type ListPlace, pageOf } from '../../src/http/downloads/paging.js'
import { SseChannel, type SseMessage, type SseTuning } from '../../src/http/sse.js'
import type { WireDownload } from '../../src/http/schemas.js'
import { reduceDownloads, noDownloads } from '../../src/live/state.js'
import { ManualClock } from '../support/clock.js'
import fc from '../support/properties.js'
import { withTimeout } from '../support/wait.js'
import { wire } from '../client/server.js'

const pageSize = 2
/** So long that a stream holds two of them. */
const padding = 'x'.repeat(33_000)

/** A list of downloads that a test changes, and a channel that tells of it. */
function makeList(count: number, tuning: SseTuning = {}) {
  const places = new Map<string, ListPlace>()
  const downloads = new Map<string, WireDownload>()
  let publish: ((message: SseMessage) => void) | null = null
  let encoded = 0
  const channel = new SseChannel(
    {
      subscribe: (tell) => {
        publish = tell
        return () => {
          publish = null
        }
      },
      snapshot: (_topic, cursor) => {
        encoded += 1
        const all = [...downloads.keys()]
        const { items, next } = pageOf(
          all,
          { limit: pageSize, cursor: cursor ?? undefined },
          (url) => places.get(url) ?? { sequence: 0, id: '' },
        )
        const page = Object.fromEntries(items.map((url) => [url, downloads.get(url)]))
        return {
          event: cursor === null ? 'snapshot' : 'snapshot_page',
          data: { downloads: page, ...(cursor === null && next === null ? {} : { next_cursor: next }) },
          next,
          topics: items,
        }
      },
    },
    tuning,
    new ManualClock(),
  )
  const tell = (event: string, data: WireDownload) =>
    publish?.({ event, data, topic: data.url, replaceable: event === 'progress' })
  const urlAt = (index: number) => [...downloads.keys()][index % Math.max(1, downloads.size)]
  const add = () => {
    const url = `https://example.com/${places.size}`
    places.set(url, { sequence: places.size, id: 'f'.repeat(64) })
    const download = wire({ url, filename: padding })
    downloads.set(url, download)
    tell('state', download)
  }
  const change = (event: 'state' | 'progress', index: number) => {
    const download = downloads.get(urlAt(index) ?? '')
    if (download === undefined) return
    const changed = { ...download, downloaded: download.downloaded + 1 }
    downloads.set(download.url, changed)
    tell(event, changed)
  }
  const remove = (index: number) => {
    const download = downloads.get(urlAt(index) ?? '')
    if (download === undefined) return
    downloads.delete(download.url)
    tell('removed', download)
  }
  for (let index = 0; index < count; index++) add()
  return {
    ...{ channel, downloads, add, change, remove },
    /** How often pages were encoded. */
    get encoded() {
      return encoded
    },
  }
}

type List = ReturnType<typeof makeList>

/** A client of the channel that reads only when it is told to. */
class SlowClient {
  state = noDownloads
  #parser = new SseParser()
  readonly #subject = allDownloads('/', () => (async function* () {})(), undefined)
  #stream: ReadableStreamDefaultReader<Uint8Array>
  /** All ids that came. */
  readonly ids: string[] = []

  constructor(readonly list: List) {
    this.#stream = this.#open()
  }

  #open() {
    const lastEventId = this.#parser.lastEventId === '' ? null : this.#parser.lastEventId
    const { signal } = new AbortController()
    return this.list.channel.open({ topic: null, lastEventId, signal }).getReader()
  }

  /** Reads a chunk, which there must be. */
  async read(): Promise<void> {
    const { value } = await this.#stream.read()
    for (const { event, data } of this.#parser.push(value ?? new Uint8Array(0))) {
      // Events of the test are objects.
      const changes = this.#subject.read(event, JSON.parse(data) as object)
      this.state = reduceDownloads(this.state, changes)
    }
    this.ids.push(this.#parser.lastEventId)
  }

  /** Reads on until it knows what there is. */
  async catchUp(): Promise<void> {
    const wanted = () => JSON.stringify([...this.list.downloads.values()])
    const reading = async () => {
      while (!this.state.loaded || JSON.stringify(this.state.downloads) !== wanted()) await this.read()
    }
    await withTimeout(reading(), 10_000, 'all downloads')
  }

  async reconnect(): Promise<void> {
    await this.leave()
    this.#parser = new SseParser(this.#parser)
    this.#stream = this.#open()
  }

  async leave(): Promise<void> {
    await this.#stream.cancel()
  }
}

describe('a snapshot in pages', () => {
  const action = fc.record({
    type: fc.constantFrom('add', 'remove', 'state', 'progress', 'read', 'reconnect'),
    index: fc.nat({ max: 30 }),
  })

  it('leads to what there is, whatever changes, breaks off or is read slowly meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 9 }),
        fc.array(action, { maxLength: 40 }),
        fc.constantFrom(3, 1_000),
        async (count, actions, maxMessages) => {
          const list = makeList(count, { maxMessages })
          const clients = [new SlowClient(list), new SlowClient(list)]
          for (const { type, index } of actions) {
            const client = clients[index % 2]
            if (type === 'add') list.add()
            else if (type === 'remove') list.remove(index)
            else if (type === 'state' || type === 'progress') list.change(type, index)
            else if (type === 'reconnect') await client?.reconnect()
            // Once it knows everything there may be nothing to read.
            else if (client?.state.loaded === false) await client.read()
          }
          for (const client of clients) await client.catchUp()
          for (const client of clients) await client.leave()
        },
      ),
      { numRuns: 30 },
    )
  })

  it('has an id only when it is complete', async () => {
    const list = makeList(8)
    // As long as somebody listens, events have the same ids.
    const other = new SlowClient(list)
    const client = new SlowClient(list)
    await client.read()
    await client.read()
    list.change('state', 0)
    await client.reconnect()
    await client.catchUp()
    expect(client.state.downloads[0]?.downloaded).toBe(wire().downloaded + 1)
    const withId = client.ids.findIndex((id) => id !== '')
    expect(withId).toBe(client.ids.length - 1)
    list.change('state', 7)
    await client.reconnect()
    const { encoded } = list
    await client.catchUp()
    expect(list.encoded).toBe(encoded)
    await client.leave()
    await other.leave()
  })

  it('is encoded once for all who read it at the same time, and again where something has changed', async () => {
    const list = makeList(6)
    const clients = Array.from({ length: 10 }, () => new SlowClient(list))
    for (const client of clients) await client.catchUp()
    expect(list.encoded).toBe(3)
    list.change('state', 4)
    const late = new SlowClient(list)
    await late.catchUp()
    expect(list.encoded).toBe(4)
    for (const client of [...clients, late]) await client.leave()
  })

  it('keeps one page at a time for who does not read', async () => {
    const list = makeList(60)
    const client = new SlowClient(list)
    for (let round = 0; round < 50; round++) list.change('progress', round)
    expect(list.encoded).toBe(1)
    await client.catchUp()
    await client.leave()
  })
})
