import { describe, expect, it } from 'vitest'
import fc from '../../support/properties.js'
import { BodyEnds, type EndedBody } from '../../../src/engine/fetch/body-end.js'

const range: EndedBody = {
  whole: false,
  closeDelimited: false,
  servesRanges: true,
  from: 100,
  position: 100,
  isMessageEnd: true,
  receivedBytes: 64,
  total: null,
  size: null,
}
const stream: EndedBody = { ...range, whole: true, from: 0, closeDelimited: true }

const codeOf = (meaning: ReturnType<BodyEnds['weigh']>) =>
  typeof meaning === 'string' ? meaning : meaning.code
const weigh = (body: EndedBody) => codeOf(new BodyEnds().weigh(body))

describe('the end of a range', () => {
  it.each([
    ['that brought bytes, of an unknown total', { position: 101 }, 'more'],
    ['that brought bytes, of a known total', { position: 101, total: 200 }, 'more'],
    ['that brought nothing, of an unknown total', {}, 'complete'],
    ['that brought nothing, where the caller expects more', { size: 101 }, 'TRUNCATED'],
    ['that brought nothing, where the caller expects so much', { size: 100 }, 'complete'],
    ['that brought nothing, of a larger total', { total: 101 }, 'PROTOCOL_ERROR'],
    ['that was only given up by us', { isMessageEnd: false }, 'more'],
    ['that ended before what was compared', { position: 90, total: 200 }, 'PROTOCOL_ERROR'],
  ] as const)('%s', (_, body, meaning) => {
    expect(weigh({ ...range, ...body })).toBe(meaning)
  })
})

describe('the end of a complete body', () => {
  it.each([
    ['of a known total', { total: 100 }, 'more'],
    ['that only the connection shows, with bytes', {}, 'more'],
    ['that only the connection shows, from a server without ranges', { servesRanges: false }, 'complete'],
    ['that only the connection shows, of the size that the caller knows', { size: 100 }, 'complete'],
    ['that only the connection shows, before that size', { size: 101 }, 'TRUNCATED'],
    ['that the message shows', { closeDelimited: false }, 'complete'],
    ['that the message shows, before that size', { closeDelimited: false, size: 101 }, 'TRUNCATED'],
  ] as const)('%s', (_, body, meaning) => {
    expect(weigh({ ...stream, ...body })).toBe(meaning)
  })

  it('is believed when it comes empty twice', () => {
    const ends = new BodyEnds()
    expect(ends.weigh(stream)).toBe('more')
    expect(ends.weigh({ ...stream, receivedBytes: 0 })).toBe('more')
    expect(ends.weigh({ ...stream, receivedBytes: 0 })).toBe('complete')
  })
})

it('never asks for more for ever: two bodies that bring nothing settle it', () => {
  const body = fc.record({
    whole: fc.boolean(),
    closeDelimited: fc.boolean(),
    servesRanges: fc.boolean(),
    position: fc.nat(200),
    total: fc.option(fc.integer({ min: 201, max: 300 })),
    size: fc.option(fc.nat(300)),
  })
  fc.assert(
    fc.property(body, (drawn) => {
      const ended = { ...drawn, from: drawn.position, isMessageEnd: true, receivedBytes: 0 }
      fc.pre(!ended.whole || ended.total === null)
      const ends = new BodyEnds()
      expect([ends.weigh(ended), ends.weigh(ended)]).not.toEqual(['more', 'more'])
    }),
  )
})
