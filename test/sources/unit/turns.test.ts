/** The lists of strangers are handled in slices, so that the host's event loop has its turn in between. */
import { expect, it } from 'vitest'
import { defaultTuning } from '../../../src/net/tuning.js'
import { gitHub } from '../../../src/sources/github.js'
import { huggingFace } from '../../../src/sources/huggingface.js'
import { modelScope } from '../../../src/sources/modelscope.js'
import { ollama } from '../../../src/sources/ollama.js'
import { Resolver } from '../../../src/sources/resolver.js'
import { type ResolveContext, type Source, SourceRegistry } from '../../../src/sources/source.js'
import { systemClock } from '../../../src/util/clock.js'

const digest = 'a'.repeat(64)
const range = (count: number) => Array.from({ length: count }, (_, index) => index)
const files = (count: number, prefix = 'weights/file') =>
  range(count).map((index) => `${prefix}-${index}.bin`)

/** What a source does with this JSON, given at once, and how often the event loop has its turn meanwhile. */
async function turnsOf(source: Source, ref: string, json: (url: string) => unknown, globs: string[] = []) {
  let turns = 0
  let isDone = false
  const count = () => {
    turns += 1
    if (!isDone) setImmediate(count)
  }
  const answer = (url: string) => ({ status: 200, headers: {}, url, text: '' })
  const fetchJson: ResolveContext['fetchJson'] = (url) =>
    Promise.resolve({ ...answer(String(url)), json: json(String(url)) })
  // The resolver checks the files once more.
  const wrapped: Source = {
    ...source,
    resolve: (one, context) => source.resolve(one, { ...context, fetchJson }),
  }
  const resolver = new Resolver({
    sources: new SourceRegistry([wrapped], []),
    ...{ tuning: defaultTuning, proxy: false, env: {}, clock: systemClock },
  })
  setImmediate(count)
  const signal = new AbortController().signal
  const outcome = await resolver.resolve(ref, { remote: null, signal, exclude: globs }).then(
    (resolution) => resolution.files.length,
    (error: unknown) => error,
  )
  isDone = true
  await resolver.close()
  return { turns, outcome }
}

const tree = (paths: string[]) => (url: string) =>
  url.includes('/revision/')
    ? { sha: 'c'.repeat(40) }
    : paths.map((path) => ({ type: 'file', path, size: 1, lfs: { oid: digest, size: 1 } }))
const list = (paths: string[]) => () => ({
  Code: 200,
  Data: { Files: paths.map((path) => ({ Path: path, Type: 'blob', Size: 1, Sha256: digest })) },
})
const hub = huggingFace({ token: null })
const scope = modelScope({ token: null })

it.each<[string, Source, string, (url: string) => unknown, string[], number]>([
  ['files of Hugging Face', hub, 'hf:o/r', tree(files(10_000)), [], 50],
  ['files of Hugging Face that are not wanted', hub, 'hf:o/r', tree([...files(10_000), 'a']), ['*.bin'], 4],
  [
    'globs',
    hub,
    'hf:o/r',
    tree([...files(500, 'x'.repeat(200)), 'a']),
    range(20).map((n) => `*x*x*x${n}`),
    10,
  ],
  [
    'layers of a manifest',
    ollama(),
    'ollama:a?layers=all',
    () => ({ layers: range(10_000).map(() => ({ mediaType: 'a', digest: `sha256:${digest}`, size: 1 })) }),
    [],
    90,
  ],
  ['files of ModelScope', scope, 'ms:o/r', list(files(10_000)), [], 60],
])('many %s', async (_, source, ref, json, globs, least) => {
  const { turns, outcome } = await turnsOf(source, ref, json, globs)
  expect(outcome).toBeTypeOf('number')
  expect(turns).toBeGreaterThan(least)
})

it.each<[string, Source, string, () => unknown, string]>([
  [
    'assets of a release',
    gitHub({ token: null }),
    'gh:o/r@v/',
    () => ({ tag_name: 'v', assets: range(100_000).map(() => ({})) }),
    'PROTOCOL_ERROR',
  ],
  ['entries of ModelScope', scope, 'ms:o/r', list(files(100_001, 'a')), 'PROTOCOL_ERROR'],
  [
    'layers of a manifest',
    ollama(),
    'ollama:a?layers=all',
    () => ({ layers: range(100_000).map(() => ({})) }),
    'PROTOCOL_ERROR',
  ],
  [
    'annotations of a layer',
    ollama(),
    'ollama:a?layers=all',
    () => ({
      layers: [
        {
          ...{ mediaType: 'a', digest: `sha256:${digest}`, size: 1 },
          annotations: Object.fromEntries(range(100_000).map((key) => [`k${key}`, ''])),
        },
      ],
    }),
    'PROTOCOL_ERROR',
  ],
  ['comparisons for a single path', hub, 'hf:o/r', () => null, 'INVALID_OPTIONS'],
])('far too many %s are refused', async (what, source, ref, json, code) => {
  const long = what.startsWith('comparisons')
  const given = long ? tree(['x'.repeat(5_000), 'a']) : json
  const { outcome } = await turnsOf(source, ref, given, long ? [`*${'x'.repeat(900)}y`] : [])
  expect(outcome).toMatchObject({ code })
})
