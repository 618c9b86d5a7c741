import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { publicOnly } from '../../src/net/address-policy.js'
import { ollama } from '../../src/sources/ollama.js'
import { failureOf, resolveWith, startApi, type Asked, type Said } from './api-server.js'

const token = 'anonymous.pull.token'
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`

const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
  config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: digest('c'), size: 487 },
  layers: [
    { mediaType: 'application/vnd.ollama.image.model', digest: digest('a'), size: 5_000_000_000 },
    { mediaType: 'application/vnd.ollama.image.template', digest: digest('b'), size: 1_482 },
  ],
})

type Answer = (asked: Asked, origin: string) => Said
const hostOf = (origin: string): string => origin.replace('http://', '')

/** Resolves a ref against a registry; `ref` follows `ollama:host/`. */
async function against(answer: Answer, ref: string) {
  const server = await startApi(answer)
  return { server, resolving: resolveWith(ollama(), `ollama:${hostOf(server.origin)}/${ref}`) }
}

const open: Answer = () => ({ body: manifest })

/** A registry that wants a token; `realm` says where from. */
const closed =
  (realm: (origin: string) => string, more = ''): Answer =>
  ({ path, headers }, origin) => {
    if (path.startsWith('/token')) return { body: { token, expires_in: 300 } }
    if (headers.authorization === `Bearer ${token}`) return { body: manifest }
    const challenge = `Bearer realm="${realm(origin)}",service="reg istry"${more}`
    return { status: 401, headers: { 'www-authenticate': challenge }, body: { errors: [] } }
  }

describe('a registry', () => {
  it('tells the model layer, with size and digest', async () => {
    const { server, resolving } = await against(open, 'library/llama3.2:1b')
    expect(await resolving).toEqual([
      {
        filename: 'llama3.2-1b.gguf',
        urls: [`${server.origin}/v2/library/llama3.2/blobs/${digest('a')}`],
        size: 5_000_000_000,
        sha256: 'a'.repeat(64),
        revision: `sha256:${sha256(manifest)}`,
        headers: {},
      },
    ])
    expect(server.asked).toHaveLength(1)
    expect(server.asked[0]?.path).toBe('/v2/library/llama3.2/manifests/1b')
    const accepted = server.asked[0]?.headers.accept?.split(', ')
    expect(accepted).toContain('application/vnd.oci.image.index.v1+json')
    expect(accepted).toContain('application/vnd.docker.distribution.manifest.v2+json')
  })

  it('tells all layers when asked to, as globs choose', async () => {
    const { resolving } = await against(open, 'me/llama?layers=all')
    expect((await resolving).map(({ filename }) => filename)).toEqual([
      'llama.gguf',
      'llama.template.txt',
      'llama.config.json',
    ])
    const server = await startApi(open)
    const ref = `ollama:${hostOf(server.origin)}/me/llama?layers=all`
    const chosen = await resolveWith(ollama(), ref, {}, { exclude: ['*.txt', '*.json'] })
    expect(chosen.map(({ filename }) => filename)).toEqual(['llama.gguf'])
  })

  it('takes a manifest by digest, and no other than that', async () => {
    const { server, resolving } = await against(open, `me/llama@sha256:${sha256(manifest)}`)
    expect(await resolving).toMatchObject([{ filename: `llama-${sha256(manifest).slice(0, 12)}.gguf` }])
    expect(server.asked[0]?.path).toBe(`/v2/me/llama/manifests/sha256:${sha256(manifest)}`)
    const other = await against(open, `me/llama@${digest('1')}`)
    expect(await failureOf(other.resolving)).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  })

  it('leads from an index to a manifest, and checks it', async () => {
    const index = (child: string) => ({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: child, size: manifest.length },
      ],
    })
    const through =
      (child: string): Answer =>
      ({ path }) =>
        path.endsWith('/latest') ? { body: index(child) } : { body: manifest }
    const right = await against(through(`sha256:${sha256(manifest)}`), 'me/llama')
    expect(await right.resolving).toMatchObject([{ sha256: 'a'.repeat(64) }])
    const wrong = await against(through(digest('1')), 'me/llama')
    expect(await failureOf(wrong.resolving)).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    const loop = await against(() => ({ body: { manifests: [] } }), 'me/llama')
    expect(await failureOf(loop.resolving)).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('gives a token to whoever asks, which goes along for its files', async () => {
    const { server, resolving } = await against(
      closed((origin) => `${origin}/token?x=1`, ',scope="repository:me/llama:pull"'),
      'me/llama',
    )
    expect(await resolving).toMatchObject([{ headers: { authorization: `Bearer ${token}` } }])
    expect(server.asked.map(({ path }) => path)).toEqual([
      '/v2/me/llama/manifests/latest',
      '/token?x=1&scope=repository%3Ame%2Fllama%3Apull&service=reg+istry',
      '/v2/me/llama/manifests/latest',
    ])
  })

  it('may keep its tokens on a port of its own', async () => {
    const tokens = await startApi(() => ({ body: { access_token: token } }))
    const { resolving } = await against(
      closed(() => `${tokens.origin}/token`),
      'me/llama',
    )
    expect(await resolving).toHaveLength(1)
    expect(tokens.asked[0]?.path).toBe('/token?scope=repository%3Ame%2Fllama%3Apull&service=reg+istry')
  })

  it.each([
    'https://registry.ollama.ai/v2/token',
    'http://127.0.0.2:1/token',
    'http://[::1]:1/token',
    'https://127.0.0.1.evil.example/token',
    'not an address://',
  ])('may not send us for a token to %s (CVE-2025-51471)', async (realm) => {
    const { server, resolving } = await against(
      closed(() => realm),
      'me/llama',
    )
    const error = await failureOf(resolving)
    expect(error).toMatchObject({ code: 'REDIRECT_BLOCKED', retryable: false })
    expect(error.message).toContain(hostOf(server.origin))
    expect(server.asked).toHaveLength(1)
  })

  it('may not send us on from its token service either', async () => {
    const other = await startApi(() => ({ body: { token } }))
    const { server, resolving } = await against(({ path, headers }, origin) => {
      if (!path.startsWith('/token'))
        return closed((own) => `${own}/token`)({ path, headers, method: 'GET' }, origin)
      return { status: 302, headers: { location: other.origin.replace('127.0.0.1', 'localhost') + path } }
    }, 'me/llama')
    expect(await failureOf(resolving, token)).toMatchObject({ code: 'REDIRECT_BLOCKED' })
    expect(server.asked.filter(({ headers }) => headers.authorization !== undefined)).toEqual([])
  })

  it('does not get its token shown to the host that it redirects to', async () => {
    const other = await startApi(() => ({ body: manifest }))
    const { resolving } = await against((asked, origin) => {
      const answer = closed((own) => `${own}/token`)(asked, origin)
      const isManifest = answer.status === undefined && !asked.path.startsWith('/token')
      return isManifest ? { status: 307, headers: { location: `${other.origin}/m` } } : answer
    }, 'me/llama')
    expect(await resolving).toHaveLength(1)
    expect(other.asked).toHaveLength(1)
    expect(JSON.stringify(other.asked)).not.toContain(token)
  })

  it('is asked for another token when the first one has expired', async () => {
    let tokens = 0
    const child = `sha256:${sha256(manifest)}`
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const index = { manifests: [{ mediaType, digest: child, size: manifest.length }] }
    // Two manifests are requested, and each token is good for one of them.
    const brief: Answer = ({ path, headers }, origin) => {
      if (path.startsWith('/token')) return { body: { token: `t${(tokens += 1)}` } }
      const isIndex = path.endsWith('/latest')
      if (headers.authorization === (isIndex ? 'Bearer t1' : 'Bearer t2'))
        return { body: isIndex ? index : manifest }
      return { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token"` } }
    }
    const { resolving } = await against(brief, 'me/llama')
    expect(await resolving).toMatchObject([{ headers: { authorization: 'Bearer t2' } }])
    expect(tokens).toBe(2)
  })

  it('that refuses its own token is believed', async () => {
    const never: Answer = ({ path }, origin) =>
      path.startsWith('/token')
        ? { body: { token } }
        : { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token"` } }
    const { server, resolving } = await against(never, 'me/llama')
    expect(await failureOf(resolving, token)).toMatchObject({ code: 'ACCESS_DENIED', status: 401 })
    expect(server.asked).toHaveLength(3)
  })

  it.each([
    [
      'wants a password',
      { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } },
      'ACCESS_DENIED',
    ],
    ['wants we know not what', { status: 401 }, 'ACCESS_DENIED'],
    ['refuses', { status: 403 }, 'ACCESS_DENIED'],
    ['has no such model', { status: 404, body: { errors: [{ code: 'MANIFEST_UNKNOWN' }] } }, 'NOT_FOUND'],
    ['wants another Ollama', { status: 412 }, 'ACCESS_DENIED'],
    ['limits us', { status: 429, headers: { 'retry-after': '7200' } }, 'HTTP_ERROR'],
    ['speaks otherwise', { body: { layers: [{ digest: 'x' }] } }, 'PROTOCOL_ERROR'],
    ['sends a page', { body: '<html>' }, 'PROTOCOL_ERROR'],
    ['has a digest that climbs', { body: manifest.replace(digest('a'), 'sha256:../../x') }, 'PROTOCOL_ERROR'],
    ['has nothing', { body: { layers: [] } }, 'NOT_FOUND'],
  ])('that %s is told', async (_what, said, code) => {
    const { server, resolving } = await against(() => said, 'me/llama:7b')
    const error = await failureOf(resolving)
    expect(error).toMatchObject({ code })
    if (code === 'ACCESS_DENIED') expect(error.message).toContain(`${hostOf(server.origin)}/me/llama:7b`)
  })

  it('can give no token that breaks out of its header', async () => {
    const { resolving } = await against(({ path }, origin) => {
      if (path.startsWith('/token')) return { body: { token: `${token}\r\nx-evil: 1` } }
      return { status: 401, headers: { 'www-authenticate': `Bearer realm="${origin}/token"` } }
    }, 'me/llama')
    expect(await failureOf(resolving, token)).toMatchObject({ code: 'PROTOCOL_ERROR' })
  })

  it('on a private address is out of reach for a remote caller', async () => {
    const server = await startApi(open)
    const asking = resolveWith(
      ollama(),
      `ollama:${hostOf(server.origin)}/me/llama`,
      {},
      { remote: publicOnly },
    )
    expect(await failureOf(asking)).toMatchObject({ code: 'SSRF_BLOCKED' })
    expect(server.asked).toEqual([])
  })
})

describe('the name of a model', () => {
  it.each([
    ['ollama:llama3.2:1b', 'llama3.2-1b.gguf'],
    ['ollama:hf.co/Qwen/Qwen3-GGUF:Q4_K_M', 'Qwen3-GGUF-Q4_K_M.gguf'],
    ['ollama:llama3.2:1b?layers=all', null],
    ['ollama:registry.example.com/a/b', null],
  ])('%s is known before it is asked for', (ref, name) => {
    const source = ollama()
    expect(source.filenameOf?.(ref)).toBe(name)
  })
})
