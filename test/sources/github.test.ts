import { describe, expect, it } from 'vitest'
import { gitHub } from '../../src/sources/github.js'
import { failureOf, resolveWith, startApi, type Asked, type Said } from './api-server.js'

const token = 'ghp_0123secret'
const digest = 'c0ffee00'.repeat(8)

/** The release as GitHub describes it, with URLs at `origin`. */
function release(origin: string, tag = 'v1.0', assets?: unknown[]): Said {
  const asset = (id: number, name: string, more: object) => ({
    id,
    name,
    label: null,
    state: 'uploaded',
    size: 1024,
    url: `${origin}/repos/o/r/releases/assets/${String(id)}`,
    browser_download_url: `https://github.com/o/r/releases/download/${tag}/${encodeURIComponent(name)}`,
    ...more,
  })
  const own = [
    asset(1, 'model.gguf', { digest: `sha256:${digest.toUpperCase()}`, size: 5_000_000_000 }),
    asset(2, 'old.bin', { digest: null }),
    asset(3, 'coming.bin', { state: 'starter', size: 0, digest: null }),
  ]
  return { body: { id: 7, tag_name: tag, draft: false, prerelease: false, assets: assets ?? own } }
}

type Answer = (asked: Asked, origin: string) => Said

/** Resolves a ref against a server with one response for the release, and a public repository. */
async function against(
  answer: Answer,
  ref: string,
  { env = {}, isPrivate = false }: { env?: Record<string, string>; isPrivate?: boolean } = {},
) {
  const server = await startApi((asked, origin) =>
    asked.path === '/repos/o/r' ? { body: { private: isPrivate } } : answer(asked, origin),
  )
  const resolving = resolveWith(gitHub(), ref, { GITHUB_API_URL: `${server.origin}/`, ...env })
  return { server, resolving }
}

const plain: Answer = (_asked, origin) => release(origin)

describe('GitHub releases', () => {
  it('tell an asset, with size and digest', async () => {
    const { server, resolving } = await against(plain, 'gh:o/r@v1.0/model.gguf')
    expect(await resolving).toEqual([
      {
        filename: 'model.gguf',
        urls: ['https://github.com/o/r/releases/download/v1.0/model.gguf'],
        size: 5_000_000_000,
        sha256: digest,
        headers: {},
      },
    ])
    expect(server.asked).toHaveLength(1)
    expect(server.asked[0]).toMatchObject({
      path: '/repos/o/r/releases/tags/v1.0',
      headers: {
        accept: 'application/vnd.github+json',
        'user-agent': 'model-downloader',
        'x-github-api-version': '2022-11-28',
      },
    })
    expect(server.asked[0]?.headers).not.toHaveProperty('authorization')
  })

  it('tell an asset of old without a digest', async () => {
    const { resolving } = await against(plain, 'gh:o/r@v1.0/old.bin')
    expect(await resolving).toMatchObject([{ filename: 'old.bin', size: 1024, sha256: undefined }])
  })

  it.each(['gh:o/r@latest/model.gguf', 'gh:o/r@latest', 'gh:o/r'])(
    '%s asks for the latest one',
    async (ref) => {
      const { server, resolving } = await against(plain, ref)
      expect((await resolving)[0]).toMatchObject({ filename: 'model.gguf' })
      expect(server.asked[0]?.path).toBe('/repos/o/r/releases/latest')
    },
  )

  it('tell all assets that are whole, as globs choose', async () => {
    const { resolving } = await against(plain, 'gh:o/r@v1.0')
    expect((await resolving).map(({ filename }) => filename)).toEqual(['model.gguf', 'old.bin'])
    const server = await startApi(plain)
    const globs = { exclude: ['*.bin'] }
    const found = await resolveWith(gitHub(), 'gh:o/r@v1.0', { GITHUB_API_URL: server.origin }, globs)
    expect(found.map(({ filename }) => filename)).toEqual(['model.gguf'])
  })

  it('find a tag with slashes', async () => {
    const { server, resolving } = await against(
      (_asked, origin) => release(origin, 'release/v1'),
      'gh:o/r@release/v1/model.gguf',
    )
    expect(await resolving).toHaveLength(1)
    expect(server.asked[0]?.path).toBe('/repos/o/r/releases/tags/release%2Fv1')
  })

  it('fetch what is public without the token', async () => {
    const { server, resolving } = await against(plain, 'gh:o/r@v1.0/model.gguf', {
      env: { GITHUB_TOKEN: token },
    })
    expect(await resolving).toMatchObject([{ urls: [expect.stringContaining('github.com')], headers: {} }])
    expect(server.asked.map(({ headers }) => headers.authorization)).toEqual(Array(2).fill(`Bearer ${token}`))
  })

  it('fetch what is private from the API, with the token', async () => {
    const env = { GH_TOKEN: token }
    const { server, resolving } = await against(plain, 'gh:o/r@v1.0/model.gguf', { env, isPrivate: true })
    expect(await resolving).toMatchObject([
      {
        urls: [`${server.origin}/repos/o/r/releases/assets/1`],
        sha256: digest,
        headers: { accept: 'application/octet-stream', authorization: `Bearer ${token}` },
      },
    ])
  })

  it('give the token to no other origin, whatever the API says', async () => {
    const lying: Answer = () => release('https://evil.example')
    const { resolving } = await against(lying, 'gh:o/r@v1.0/model.gguf', {
      env: { GITHUB_TOKEN: token },
      isPrivate: true,
    })
    expect(await failureOf(resolving, token)).toMatchObject({ code: 'PROTOCOL_ERROR' })

    const other = await startApi(plain)
    const moved: Answer = ({ path }) => ({ status: 301, headers: { location: other.origin + path } })
    const redirected = await against(moved, 'gh:o/r@v1.0/model.gguf', { env: { GITHUB_TOKEN: token } })
    expect(await redirected.resolving).toHaveLength(1)
    expect(other.asked).toHaveLength(1)
    expect(JSON.stringify(other.asked)).not.toContain(token)
  })

  it('name the moment at which a used-up limit ends', async () => {
    const reset = Math.floor(Date.now() / 1000) + 3_000
    const limited: Answer = () => ({
      status: 403,
      headers: {
        'x-ratelimit-limit': '60',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(reset),
      },
      body: { message: 'API rate limit exceeded for 127.0.0.1.' },
    })
    const { server, resolving } = await against(limited, 'gh:o/r@v1.0/model.gguf')
    const error = await failureOf(resolving)
    expect(error).toMatchObject({ code: 'HTTP_ERROR', status: 403, retryable: true })
    expect(error.retryAfterMs).toBeGreaterThan(2_900_000)
    expect(error.message).toContain(new Date(reset * 1000).toISOString().slice(0, 19))
    expect(error.message).toContain('set GITHUB_TOKEN')
    expect(server.asked).toHaveLength(1)
  })

  it('wait for a limit that ends soon', async () => {
    let times = 0
    const limited: Answer = (_asked, origin) => {
      times += 1
      const headers = { 'retry-after': '0' }
      return times === 1
        ? { status: 403, headers, body: { message: 'secondary rate limit' } }
        : release(origin)
    }
    const { resolving } = await against(limited, 'gh:o/r@v1.0/model.gguf')
    expect(await resolving).toHaveLength(1)
    expect(times).toBe(2)
  })

  it.each([
    [401, {}, 'ACCESS_DENIED', 'Renew'],
    [403, {}, 'ACCESS_DENIED', 'must be allowed to read'],
    [
      403,
      { 'x-github-sso': 'required; url=https://github.com/orgs/o/sso' },
      'ACCESS_DENIED',
      'single sign-on',
    ],
    [404, {}, 'NOT_FOUND', 'no repository o/r with a release v9'],
  ])('explain status %i with %j', async (status, headers, code, remedy) => {
    const { resolving } = await against(
      () => ({ status, headers, body: { message: token } }),
      'gh:o/r@v9/x',
      {
        env: { GITHUB_TOKEN: token },
      },
    )
    const error = await failureOf(resolving, token)
    expect(error).toMatchObject({ code, status })
    expect(error.message).toContain(remedy)
  })

  it('say that a private one takes a token', async () => {
    const { resolving } = await against(() => ({ status: 404 }), 'gh:o/r@latest/x')
    expect((await failureOf(resolving)).message).toMatch(/pre-release.*set GITHUB_TOKEN/)
  })

  it('name what is there when an asset is not', async () => {
    const { resolving } = await against(plain, 'gh:o/r@v1.0/q8.gguf')
    expect(await failureOf(resolving)).toMatchObject({
      code: 'NOT_FOUND',
      message: 'The release v1.0 of o/r has no asset "q8.gguf". It has "model.gguf", "old.bin".',
    })
  })

  it('say that an asset is still on its way', async () => {
    const { resolving } = await against(plain, 'gh:o/r@v1.0/coming.bin')
    const error = await failureOf(resolving)
    expect(error).toMatchObject({ code: 'NOT_FOUND', retryable: true })
    expect(error.message).toContain('not uploaded yet')
  })

  it.each([
    ['a name that climbs', (origin: string) => release(origin, 'v1', [{ ...unnamed, name: '../x' }])],
    ['no address', (origin: string) => release(origin, 'v1', [{ ...unnamed, name: 'x', url: 'x' }])],
    ['another shape', () => ({ body: [] })],
  ])('refuse %s', async (_what, said) => {
    const { resolving } = await against((_asked, origin) => said(origin), 'gh:o/r@v1')
    expect(await failureOf(resolving)).toMatchObject({ code: 'PROTOCOL_ERROR' })
  })

  it('refuse a token that is none', async () => {
    const { server, resolving } = await against(plain, 'gh:o/r@v1/x', { env: { GITHUB_TOKEN: `${token} x` } })
    expect(await failureOf(resolving, token)).toMatchObject({
      code: 'INVALID_OPTIONS',
      issues: [{ path: 'GITHUB_TOKEN' }],
    })
    expect(server.asked).toEqual([])
  })
})

const unnamed = { size: 1, url: 'https://api.github.com/x', browser_download_url: 'https://github.com/x' }

describe('a server that fails', () => {
  it.each([
    [503, true],
    [425, true],
    [408, true],
    [501, false],
    [505, false],
    [400, false],
  ])('with %i is asked again: %s', async (status, again) => {
    let failures = 0
    const { server, resolving } = await against((_, origin) => {
      failures += 1
      return failures === 1 ? { status, headers: { 'retry-after': '0' } } : release(origin)
    }, 'gh:o/r@v1.0/model.gguf')
    if (again) expect(await resolving).toHaveLength(1)
    else expect(await failureOf(resolving)).toMatchObject({ code: 'HTTP_ERROR', status, retryable: false })
    expect(server.asked).toHaveLength(again ? 2 : 1)
  })
})
