/** The event stream alone: ids, replay, slow readers, pings, and nothing left behind. */
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import {
  type CountedReader,
  SseChannel,
  type SseMessage,
  type SseSource,
  type SseTuning,
} from '../../src/http/sse.js'
import { ManualClock } from '../support/clock.js'
import { waitFor } from '../support/wait.js'
import { EventReader } from './bench.js'

/** A channel over a source that the test controls. */
function makeChannel(tuning: SseTuning = {}) {
  const clock = new ManualClock()
  let publish: ((message: SseMessage) => void) | null = null
  let snapshots = 0
  const gone = new Set<string>()
  const channel = new SseChannel(
    {
      subscribe: (tell) => {
        publish = tell
        return () => {
          publish = null
        }
      },
      snapshot: (topic) => {
        snapshots += 1
        return topic !== null && gone.has(topic) ? null : { event: 'snapshot', data: { topic, snapshots } }
      },
    },
    tuning,
    clock,
  )
  const open = (
    topic: string | null = null,
    lastEventId: string | null = null,
    signal = new AbortController().signal,
  ) => new EventReader(new Response(channel.open({ topic, lastEventId, signal })))
  return {
    channel,
    clock,
    open,
    gone,
    /** Says something; whether anybody listens. */
    tell: (event: string, data: unknown, topic = 'a', replaceable = false) => {
      publish?.({ event, data, topic, replaceable })
      return publish !== null
    },
    get isListening() {
      return publish !== null
    },
    get snapshots() {
      return snapshots
    },
  }
}

describe('a reader', () => {
  it('gets retry, a snapshot, and then what happens, each with an id of its own', async () => {
    const { open, tell } = makeChannel()
    const reader = open()
    const snapshot = await reader.next()
    expect(reader.text).toMatch(/^retry: 2000\n\nid: \w+-0\nevent: snapshot\ndata: \{.*\}\n\n$/)
    expect([snapshot.event, reader.retryMs]).toEqual(['snapshot', 2000])
    tell('state', { line: 'a\nb\r\n\u2028' })
    tell('log', { n: 2 })
    const [one, two] = [await reader.next(), await reader.next()]
    expect([one.event, one.data]).toEqual(['state', { line: 'a\nb\r\n\u2028' }])
    expect([two.event, two.data]).toEqual(['log', { n: 2 }])
    expect(new Set([snapshot.id, one.id, two.id]).size).toBe(3)
    await reader.leave()
  })

  it('of one topic hears of nothing else', async () => {
    const { open, tell } = makeChannel()
    const reader = open('b')
    expect((await reader.next()).data).toMatchObject({ topic: 'b' })
    tell('state', { n: 1 }, 'a')
    tell('state', { n: 2 }, 'b')
    expect((await reader.next()).data).toEqual({ n: 2 })
    await reader.leave()
  })

  it('that comes back is told what it missed, without a snapshot', async () => {
    const { open, tell } = makeChannel()
    const other = open()
    const first = open('a')
    await first.next()
    tell('state', { n: 1 })
    const { id } = await first.next()
    await first.leave()
    tell('state', { n: 2 })
    tell('progress', { n: 3 }, 'a', true)
    tell('state', { n: 4 }, 'b')
    tell('progress', { n: 5 }, 'a', true)
    tell('removed', { n: 6 })
    const again = open('a', id)
    const missed = [await again.next(), await again.next(), await again.next()]
    expect(missed.map(({ event, data }) => [event, data['n']])).toEqual([
      ['state', 2],
      ['progress', 5],
      ['removed', 6],
    ])
    await again.leave()
    await other.leave()
  })

  it('gets a snapshot when its id says nothing here', async () => {
    const { open, tell } = makeChannel({ maxMessages: 2 })
    const other = open()
    const { id } = await other.next()
    const epoch = id.split('-')[0] ?? ''
    for (let n = 1; n <= 4; n += 1) tell('state', { n })
    for (const wrong of [
      id,
      'nonsense',
      '',
      `${epoch}-99`,
      `${epoch}--1`,
      `${epoch}-1.5`,
      `${epoch}-`,
      `${epoch}-1`,
      'ffffffffffff-3',
    ]) {
      const reader = open(null, wrong)
      expect((await reader.next()).event, wrong).toBe('snapshot')
      await reader.leave()
    }
    const reader = open(null, `${epoch}-2`)
    expect((await reader.next()).data).toEqual({ n: 3 })
    await reader.leave()
    await other.leave()
    // There was no listener meanwhile, so missed events are unknown.
    const late = open(null, `${epoch}-4`)
    expect((await late.next()).event).toBe('snapshot')
    await late.leave()
  })
})

describe('a slow reader', () => {
  const big = 'x'.repeat(30_000)

  it('misses progress that newer progress has replaced, and nothing else', async () => {
    const { open, tell } = makeChannel()
    const reader = open()
    for (let n = 1; n <= 500; n += 1) {
      tell('progress', { n, big }, 'a', true)
      if (n % 100 === 0) tell('state', { n })
    }
    tell('state', { n: 'end' })
    const seen: string[] = []
    for (let n: unknown; n !== 'end';) {
      const { event, data } = await reader.next()
      n = data['n']
      seen.push(`${event} ${String(n)}`)
    }
    expect(seen.filter((line) => line.startsWith('state'))).toEqual([
      'state 100',
      'state 200',
      'state 300',
      'state 400',
      'state 500',
      'state end',
    ])
    const progress = seen.filter((line) => line.startsWith('progress'))
    expect(progress.length).toBeLessThan(10)
    expect(progress.at(-1)).toBe('progress 500')
    await reader.leave()
  })

  it('that falls behind what is kept gets a fresh snapshot, and memory stays flat', async () => {
    const made = makeChannel({ maxMessages: 100, maxBytes: 200_000 })
    const reader = made.open()
    for (let n = 1; n <= 5_000; n += 1) made.tell('state', { n, big: big.slice(0, 1_000) })
    expect((await reader.next()).event).toBe('snapshot')
    let held = 0
    while ((await reader.next()).event !== 'snapshot') held += 1
    expect(held).toBeLessThan(100)
    made.tell('state', { n: 5_001 })
    expect((await reader.next()).data).toEqual({ n: 5_001 })
    expect(made.snapshots).toBe(2)
    await reader.leave()
  })

  it('does not hold the others up', async () => {
    const { open, tell } = makeChannel()
    const slow = open()
    const quick = open()
    await quick.next()
    for (let n = 1; n <= 100; n += 1) {
      tell('state', { n, big })
      expect((await quick.next()).data['n']).toBe(n)
    }
    await slow.leave()
    await quick.leave()
  })

  it('whose topic is gone meanwhile sees the end', async () => {
    const made = makeChannel({ maxMessages: 2 })
    const reader = made.open('a')
    for (let n = 1; n <= 20; n += 1) made.tell('state', { n, big })
    made.gone.add('a')
    await expect(
      (async () => {
        for (;;) await reader.next()
      })(),
    ).rejects.toThrow('has ended')
    expect(made.channel.readers).toBe(0)
  })
})

describe('the end', () => {
  it('frees everything at once, whether the reader cancels or the connection breaks', async () => {
    const made = makeChannel()
    const connection = new AbortController()
    const one = made.open()
    const two = made.open(null, null, connection.signal)
    await one.next()
    await two.next()
    expect([made.channel.readers, made.isListening]).toEqual([2, true])
    await one.leave()
    expect([made.channel.readers, made.isListening]).toEqual([1, true])
    connection.abort()
    expect([made.channel.readers, made.isListening]).toEqual([0, false])
    expect(getEventListeners(connection.signal, 'abort')).toEqual([])
    await expect(two.next()).rejects.toThrow('has ended')
  })

  it('a thousand that come and go leave nothing, not even on the signal', async () => {
    const made = makeChannel()
    const { signal } = new AbortController()
    for (let count = 0; count < 1_000; count += 1) await made.open(null, null, signal).leave()
    expect([made.channel.readers, made.isListening]).toEqual([0, false])
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('who was gone before it began gets nothing', async () => {
    const made = makeChannel()
    const reader = made.open(null, null, AbortSignal.abort())
    await expect(reader.next()).rejects.toThrow('has ended')
    expect([made.channel.readers, made.snapshots]).toEqual([0, 0])
  })

  it('close() ends all streams', async () => {
    const made = makeChannel()
    const readers = [made.open(), made.open('a')]
    for (const reader of readers) await reader.next()
    made.channel.close()
    for (const reader of readers) await expect(reader.next()).rejects.toThrow('has ended')
    expect([made.channel.readers, made.isListening, made.channel.closed]).toEqual([0, false, true])
  })
})

describe('pings', () => {
  it('keep a silent connection alive, as comments', async () => {
    const made = makeChannel()
    const reader = made.open()
    await reader.next()
    expect(made.clock.pending).toEqual([15_000])
    made.clock.advance(29_999)
    await reader.read()
    expect(reader.text.split(': ping\n\n')).toHaveLength(2)
    made.clock.advance(1)
    await reader.read()
    expect(reader.text).toContain(': ping\n\n: ping\n\n')
    made.tell('state', { n: 1 })
    expect((await reader.next()).data).toEqual({ n: 1 })
    await reader.leave()
    expect(made.clock.pending).toEqual([])
  })

  it('do not pile up for who does not read', async () => {
    const made = makeChannel({ pingMs: 1 })
    const reader = made.open()
    const quick = made.open()
    made.tell('state', { big: 'x'.repeat(100_000) })
    await waitFor(
      async () => (made.clock.advance(1), await quick.read()) && quick.text.split(': ping').length > 20,
    )
    await reader.next()
    expect(reader.text).not.toContain('ping')
    await reader.leave()
    await quick.leave()
  })
})

describe('many readers', () => {
  const source = () => {
    let snapshots = 0
    let publish: (message: SseMessage) => void = () => undefined
    const channelSource: SseSource = {
      subscribe: (given) => {
        publish = given
        return () => undefined
      },
      snapshot: () => {
        snapshots += 1
        return { event: 'snapshot', data: { number: snapshots } }
      },
    }
    return {
      channelSource,
      publish: (data: number) => publish({ event: 'state', data, topic: 'a' }),
      count: () => snapshots,
    }
  }
  const open = (channel: SseChannel, caller: string | null) =>
    channel.open({ topic: null, lastEventId: null, signal: new AbortController().signal, caller })

  it('share a snapshot as long as the events after it are there', async () => {
    const { channelSource, publish, count } = source()
    const channel = new SseChannel(channelSource, { maxMessages: 3 })
    const first = open(channel, 'a')
    publish(1)
    const second = open(channel, 'b')
    expect(count()).toBe(1)
    for (let data = 2; data < 9; data += 1) publish(data)
    open(channel, 'c')
    expect(count()).toBe(2)
    channel.close()
    const text = await new Response(second).text()
    expect(text).toMatch(/"number":1[^]*data: 1/)
    await first.cancel()
  })

  it('are refused beyond the bounds, in all and of one caller', () => {
    const { channelSource } = source()
    const channel = new SseChannel(channelSource, { maxReaders: 3, maxReadersOfCaller: 2 })
    open(channel, 'a')
    open(channel, 'a')
    expect(() => open(channel, 'a')).toThrow(/Too many event streams/)
    open(channel, 'b')
    expect(() => open(channel, 'c')).toThrow(/Too many event streams/)
    channel.close()
    // Channels of several languages share the bounds.
    const counted = new Set<CountedReader>()
    const bounds = { maxReaders: 3, maxReadersOfCaller: 2, counted }
    const one = new SseChannel(source().channelSource, bounds)
    const other = new SseChannel(source().channelSource, bounds)
    open(one, 'a')
    open(other, 'a')
    for (const each of [one, other]) expect(() => open(each, 'a')).toThrow(/Too many event streams/)
    one.close()
    expect(counted.size).toBe(1)
    open(other, 'a')
    other.close()
    expect(counted.size).toBe(0)
    // Callers that can't be told apart, as behind a proxy, share the bound for all.
    const behindProxy = new SseChannel(source().channelSource, { maxReaders: 3, maxReadersOfCaller: 2 })
    for (let reader = 0; reader < 3; reader++) open(behindProxy, null)
    expect(() => open(behindProxy, null)).toThrow(/Too many event streams/)
    behindProxy.close()
  })
})
