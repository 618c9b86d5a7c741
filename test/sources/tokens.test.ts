/** This host's tokens and remote callers, who must not bring private files to disk with them. */
import { expect, it } from 'vitest'
import { gitHub } from '../../src/sources/github.js'
import { huggingFace } from '../../src/sources/huggingface.js'
import { modelScope } from '../../src/sources/modelscope.js'
import type { ResolveContext, Source } from '../../src/sources/source.js'
import { SourceRegistry } from '../../src/sources/source.js'
import { Resolver } from '../../src/sources/resolver.js'
import { defaultTuning } from '../../src/net/tuning.js'
import { systemClock } from '../../src/util/clock.js'

const anywhere = { allowPrivateNetwork: true, allowedHosts: [] }
const env = { HF_TOKEN: 'one', MODELSCOPE_API_TOKEN: 'two', GH_TOKEN: 'three', HF_ENDPOINT: 'http://hub' }

/** What a source is given, and the headers of the requests that it makes. */
async function asked(source: Source, ref: string, remote: typeof anywhere | null, remoteTokens?: boolean) {
  const seen: ResolveContext[] = []
  const headers: string[] = []
  const spied: Source = {
    ...source,
    match: () => true,
    resolve: async (text, context) => {
      seen.push(context)
      const note = (_: unknown, request: { headers?: Record<string, string> } = {}) => {
        headers.push(JSON.stringify(request.headers ?? {}))
        return Promise.reject(new Error('not here'))
      }
      return await source.resolve(text, { ...context, fetchJson: note, fetchHead: note })
    },
  }
  const sources = new SourceRegistry([], [spied])
  const options = remoteTokens === undefined ? {} : { remoteTokens }
  const resolver = new Resolver({
    sources,
    tuning: defaultTuning,
    proxy: false,
    env,
    clock: systemClock,
    ...options,
  })
  const { signal } = new AbortController()
  await resolver.resolve(ref, { remote, signal }).catch(() => undefined)
  await resolver.close()
  const [context] = seen
  if (context === undefined) throw new Error('It was not asked.')
  return { context, headers: headers.join() }
}

const cases = [
  ['hf:o/n/a.gguf', huggingFace(), huggingFace({ token: 'own' }), 'one'],
  [
    'ms:o/n',
    modelScope({ endpoint: 'http://ms' }),
    modelScope({ endpoint: 'http://ms', token: 'own' }),
    'two',
  ],
  ['gh:o/n@v/', gitHub({ endpoint: 'http://gh' }), gitHub({ endpoint: 'http://gh', token: 'own' }), 'three'],
] as const

it.each(cases)('%s is resolved with them for a trusted caller alone', async (ref, fromEnv, own, token) => {
  expect((await asked(fromEnv, ref, null)).headers).toContain(token)
  expect((await asked(own, ref, null)).headers).toContain('own')
  for (const source of [fromEnv, own]) {
    const { headers, context } = await asked(source, ref, anywhere)
    expect(headers).not.toMatch(new RegExp(`${token}|own|authorization|cookie`))
    expect(context.tokens).toBe(false)
    expect(JSON.stringify(context.env)).not.toContain(token)
    expect(context.env['HF_ENDPOINT']).toBe('http://hub')
    expect(await context.readTextFile('/etc/hostname')).toBeNull()
  }
  expect((await asked(fromEnv, ref, anywhere, true)).headers).toContain(token)
  expect((await asked(own, ref, anywhere, true)).headers).toContain('own')
})
