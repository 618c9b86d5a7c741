import { expect, it } from 'vitest'
import { decodeInTurn } from '../../../src/util/decode.js'
import { longestTurnMs } from '../../support/cost.js'
import fc from '../../support/properties.js'
import { slowness } from '../../support/wait.js'

it('long text is decoded as if at once, wherever it is divided', async () => {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 12 }), fc.nat({ max: 4 }), async (bytes, more) => {
      // The others are UTF-16, see below.
      fc.pre(
        !/^(?:ff,fe|fe,ff|0,|[0-9a-f]+,0(?:,|$))/.test([...bytes].map((byte) => byte.toString(16)).join()),
      )
      expect(await decodeInTurn(bytes, 1 + more)).toBe(decoder.decode(bytes))
    }),
  )
  const text = '\ufeffa é € 𝄞 '
  for (let bytes = 1; bytes < 8; bytes += 1) expect(await decodeInTurn(Buffer.from(text), bytes)).toBe(text)
})

it.each([
  ['with a mark', '\ufeff{"é€𝄞": 1}\r\n'],
  ['without one', '{"é€𝄞": 1}\r\n'],
])('UTF-16 %s is recognised, wherever it is divided', async (_, text) => {
  const little = Buffer.from(text, 'utf16le')
  const big = Buffer.from(little).swap16()
  for (let bytes = 1; bytes < 8; bytes += 1) {
    expect(await decodeInTurn(little, bytes)).toBe(text)
    expect(await decodeInTurn(big, bytes)).toBe(text)
  }
})

it.each(['{"path":"model"},', 'é€𝄞', '\xff'])(
  'of %j, any length leaves the event loop its turns',
  async (unit) => {
    const bytes = Buffer.alloc(6 * 1024 * 1024, unit, unit === '\xff' ? 'latin1' : 'utf8')
    const longest: number[] = []
    for (let run = 0; run < 2; run += 1) longest.push(await longestTurnMs(() => decodeInTurn(bytes)))
    expect(Math.min(...longest)).toBeLessThan(50 * slowness)
  },
)
