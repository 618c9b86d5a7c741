import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../src/sources/json.js'
import { Slices } from '../../../src/util/slices.js'
import fc from '../../support/properties.js'

/** The result, or that there is none. */
async function outcome(parse: () => unknown): Promise<unknown> {
  try {
    return { value: await parse() }
  } catch (error) {
    return (error as Error).name
  }
}

const runs = [0, 1, 7, 40]

async function expectSame(text: string): Promise<void> {
  const expected = await outcome(() => JSON.parse(text))
  for (const run of runs)
    expect(await outcome(() => parseJson(text, new Slices(), run)), `${text} in ${run}`).toEqual(expected)
}

describe('JSON in slices', () => {
  it.each([
    '',
    ' ',
    '1',
    '"a"',
    '[]',
    ' { } ',
    '[1,2,[3,4,{"a":[5,6]}],7]',
    '{"a":1,"b":{"c":[1,2,3],"d":{}},"e":"x,]}"}',
    String.raw`{"a\"b":"\\","c":"\\\"","d\\":[1,"\u005d",2]}`,
    '{"a":1,"a":[1,2],"a":3}',
    '{"__proto__":{"a":1},"constructor":[1,{"__proto__":2}]}',
    '{"2":1,"1":[2,3],"b":4,"0":{}}',
    ...[
      '[1,]',
      '[,1]',
      '[1,,2]',
      '[[1],]',
      '[[1,2],,3]',
      '{"a":1,}',
      '{,"a":1}',
      '[1 2]',
      '[[1] 2]',
      '[1 [2]]',
    ],
    ...[
      '{"a" {"b":1}}',
      '{{"b":1,"c":2}}',
      '{"a":1 "b":[1,2]}',
      '["a":[1,2]]',
      '{"a":"b":[1,2]}',
      '{"a",[1,2]}',
    ],
    ...[
      '[1,2',
      '{"a":1',
      '[1}',
      '{"a":1]',
      ']',
      '[]]',
      '[1,2] 3',
      '1 [2,3]',
      '\ufeff[1,2]',
      '[1,2]\u00a0',
      '["a',
    ],
    ...[
      '[1,2]x',
      'x[1,2]',
      '[tru,1]',
      '[-,1]',
      '[01,2]',
      '["\n",1]',
      String.raw`["\x",1]`,
      String.raw`["a\"]`,
    ],
  ])('%j is what JSON.parse says', expectSame)

  it('is the same for any value, and for any text that is nearly one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue({ maxDepth: 4 }),
        fc.option(fc.nat(4)),
        fc.nat(),
        fc.constantFrom('', ',', '[', ']', '{', '}', '"', ':', '\\', ' ', '1'),
        async (value, space, place, sign) => {
          const text = JSON.stringify(value, null, space ?? undefined)
          await expectSame(text)
          const at = place % (text.length + 1)
          await expectSame(text.slice(0, at) + sign + text.slice(at))
          await expectSame(text.slice(0, at) + sign + text.slice(at + 1))
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 60) },
    )
  })

  it.each([
    ['values', `[${'0,'.repeat(1_000_001)}0]`],
    ['empty objects', `[${'{},'.repeat(600_000)}0]`],
    ['keys', `{${Array.from({ length: 60_000 }, (_, key) => `"${key}":0`).join(',')}}`],
    ['levels', '['.repeat(101) + ']'.repeat(101)],
    ['levels without an end', '['.repeat(1e6)],
    ['characters in a string', `["${'x'.repeat(1024 * 1024 + 1)}"]`],
    ['digits', '1'.repeat(1024 * 1024 + 1)],
  ])('too many %s are refused', async (_, text) => {
    await expect(parseJson(text)).rejects.toThrow(SyntaxError)
  })

  it.each([
    ['small values', `[${'{"a":[1,{}]},'.repeat(100_000)}0]`],
    ['one long object', `{"a":{${Array.from({ length: 50_000 }, (_, key) => `"${key}":0`).join(',')}}}`],
    ['white space', `[${' '.repeat(4e6)}]`],
    ['strings', `[${`"${'\\"'.repeat(1_000)}",`.repeat(1_000)}0]`],
  ])('lets the event loop have its turn in a long text of %s', async (_, text) => {
    const slices = new Slices()
    await parseJson(text, slices)
    expect(slices.turns).toBeGreaterThanOrEqual(5)
    expect(slices.turns).toBeGreaterThanOrEqual(Math.floor(text.length / 250_000))
  })
})
