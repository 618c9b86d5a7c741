/** The source for object stores that speak the protocol of S3. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { s3, type S3Options } from '../../src/sources/storage/s3.js'
import { ggufContent, randomContent } from '../support/content.js'
import { startS3, s3Keys, type S3Server } from '../support/s3-server.js'
import { tempDir } from '../support/temp.js'
import { arrives, expectInvariant, fastTuning, KiB, makeManager, MiB } from '../faults/harness.js'
import { failureOf, resolveWith, startApi } from './api-server.js'

const secret = s3Keys.AWS_SECRET_ACCESS_KEY

/** Where no profile of this machine is read. */
const nowhere = { AWS_SHARED_CREDENTIALS_FILE: '/none', AWS_CONFIG_FILE: '/none' }

function resolve(store: S3Server, ref: string, env: Record<string, string> = {}, options: S3Options = {}) {
  return resolveWith(s3(options), ref, { ...nowhere, ...store.env, ...env })
}

describe('an object', () => {
  it('is told with size, SHA-256 and version, and a signed address that suits every range', async () => {
    await using store = await startS3()
    const content = randomContent(100 * KiB, 'one')
    store.add('bucket', { 'models/a b+(c).gguf': content })
    const [file] = await resolve(store, 's3://bucket/models/a b+(c).gguf')
    expect(file).toMatchObject({
      filename: 'a b+(c).gguf',
      size: content.size,
      sha256: content.sha256(),
      headers: {},
    })
    expect(file?.revision).toMatch(/^[0-9a-f]{32}$/)
    expect(store.requests).toMatchObject([{ method: 'HEAD', signed: 'header' }])
    for (const range of ['bytes=0-', 'bytes=1000-1999']) {
      const response = await fetch(file?.urls[0] ?? '', { headers: { range } })
      expect(response.status).toBe(206)
      await response.arrayBuffer()
    }
    const [url = ''] = file?.urls ?? []
    expect(url).toContain('X-Amz-Expires=21600')
    expect(url).not.toContain(secret)
  })

  it('of a public bucket needs no credentials', async () => {
    await using store = await startS3({ public: ['open'] })
    store.add('open', { 'a.bin': 'abc', 'empty.bin': '' })
    const [file] = await resolve(store, 's3://open/a.bin', {}, { credentials: null })
    expect(file?.urls).toEqual([`${store.url}/open/a.bin`])
    expect(await resolve(store, 's3://open/empty.bin', {}, { credentials: null })).toMatchObject([
      { size: 0 },
    ])
  })

  it('may have checksums that are not of all of it, or of another kind', async () => {
    await using store = await startS3()
    const content = randomContent(KiB, 'sums')
    store.add('bucket', {
      parts: { content, checksums: { sha256: `${Buffer.alloc(32).toString('base64')}-2` } },
      crc: { content, checksums: { crc32c: 'AAAAAQ==' } },
    })
    expect((await resolve(store, 's3://bucket/parts'))[0]).not.toHaveProperty('sha256')
    expect(await resolve(store, 's3://bucket/crc')).toMatchObject([
      { digests: [{ algorithm: 'crc32c', value: '00000001' }] },
    ])
  })

  it('is found in the region that its bucket is in, also if only the signature says so', async () => {
    await using store = await startS3({ region: 'garage', regions: { far: 'eu-north-1' } })
    store.add('far', { a: 'far' })
    store.add('near', { a: 'near!' })
    const env = { AWS_REGION: 'us-west-2' }
    expect(await resolve(store, 's3://far/a', env)).toMatchObject([{ size: 3 }])
    const [file] = await resolve(store, 's3://near/a', env)
    expect((await fetch(file?.urls[0] ?? '')).status).toBe(200)
  })

  it('is found although the clock of this machine is wrong', async () => {
    await using store = await startS3({ now: () => Date.now() + 3 * 3_600_000 })
    store.add('bucket', { a: 'a' })
    const [file] = await resolve(store, 's3://bucket/a')
    expect((await fetch(file?.urls[0] ?? '')).status, 'its address is signed for that time, too').toBe(200)
  })

  it('takes temporary credentials, from a function that is asked again', async () => {
    await using store = await startS3({ sessions: { AKIATEST: 'session==' } })
    store.add('bucket', { a: 'a' })
    const given = { accessKeyId: 'AKIATEST', secretAccessKey: secret }
    expect(await resolve(store, 's3://bucket/a', { AWS_SESSION_TOKEN: 'session==' })).toHaveLength(1)
    const credentials = () => Promise.resolve({ ...given, sessionToken: 'session==' })
    const [file] = await resolve(store, 's3://bucket/a', {}, { credentials })
    expect((await fetch(file?.urls[0] ?? '')).status).toBe(200)
    const error = await failureOf(resolve(store, 's3://bucket/a', { AWS_SESSION_TOKEN: 'old' }), secret)
    expect(error).toMatchObject({ code: 'ACCESS_DENIED' })
    expect(error.message).toContain('has expired')
  })
})

describe('settings', () => {
  it('come from a profile as well, the environment first', async () => {
    await using store = await startS3({ region: 'garage' })
    store.add('bucket', { a: 'a' })
    const folder = tempDir('aws')
    const credentials = join(folder, 'credentials')
    const config = join(folder, 'config')
    writeFileSync(
      credentials,
      `[default]\naws_access_key_id=AKIAWRONG\naws_secret_access_key=x\n[mine]\naws_access_key_id=AKIATEST\naws_secret_access_key=${secret}\n`,
    )
    writeFileSync(config, `[profile mine]\nregion=garage\nendpoint_url=${store.url}\n`)
    const files = { AWS_SHARED_CREDENTIALS_FILE: credentials, AWS_CONFIG_FILE: config }
    expect(await resolveWith(s3(), 's3://bucket/a', { ...files, AWS_PROFILE: 'mine' })).toHaveLength(1)
    expect(await resolveWith(s3({ profile: 'mine' }), 's3://bucket/a', files)).toHaveLength(1)
    const refused = await failureOf(
      resolveWith(s3(), 's3://bucket/a', { ...files, AWS_ENDPOINT_URL: store.url }),
    )
    expect(refused.message).toContain('InvalidAccessKeyId')
    const absent = await failureOf(resolveWith(s3(), 's3://bucket/a', { ...files, AWS_PROFILE: 'none' }))
    expect(absent).toMatchObject({ code: 'INVALID_OPTIONS', issues: [{ path: 'AWS_PROFILE' }] })
  })

  it.each([
    [{}, { AWS_REGION: 'eu-west-1' }, 'https://bucket.s3.eu-west-1.amazonaws.com/a'],
    [{ region: 'cn-north-1' }, {}, 'https://bucket.s3.cn-north-1.amazonaws.com.cn/a'],
    [{ pathStyle: true }, {}, 'https://s3.us-east-1.amazonaws.com/bucket/a'],
    [
      { endpoint: 'https://acc.r2.cloudflarestorage.com' },
      {},
      'https://acc.r2.cloudflarestorage.com/bucket/a',
    ],
    [{ pathStyle: false }, { AWS_ENDPOINT_URL: 'https://s.example:99' }, 'https://bucket.s.example:99/a'],
    [{}, { AWS_ENDPOINT_URL: 'https://s.example/base/' }, 'https://s.example/base/bucket/a'],
    [{}, { AWS_ENDPOINT_URL: 'https://no', AWS_ENDPOINT_URL_S3: 'https://yes' }, 'https://yes/bucket/a'],
  ])('%j and %j lead to %s', async (options, env, url) => {
    const context = {
      env,
      tokens: false,
      signal: new AbortController().signal,
      timeoutMs: 1,
      fetchJson: () => Promise.reject(new Error()),
      fetchText: () => Promise.reject(new Error()),
      fetchHead: () => Promise.reject(new Error()),
      readTextFile: () => Promise.resolve(null),
    }
    expect(await s3(options).address?.('s3://bucket/a', context)).toEqual({ url, headers: {} })
  })

  it.each([
    [{ scheme: 'https' }, 'scheme'],
    [{ scheme: 'S3' }, 'scheme'],
  ])('%j are refused at once', (options, path) => {
    expect(() => s3(options)).toThrow(
      expect.objectContaining({ issues: [expect.objectContaining({ path })] }),
    )
  })

  it.each([
    [{ region: 'a/b' }, {}],
    [{ expiresSeconds: 1 }, {}],
    [{ endpoint: 'ftp://a' }, {}],
    [{ credentials: { accessKeyId: 'a\nb', secretAccessKey: 'c' } }, {}],
    [{}, { AWS_ENDPOINT_URL: 'https://me:pw@host' }],
  ])('%j with %j are refused when they are used', async (options: S3Options, env) => {
    const error = await failureOf(resolveWith(s3(options), 's3://bucket/a', { ...nowhere, ...env }), 'pw')
    expect(error.code).toBe('INVALID_OPTIONS')
  })
})

describe('a prefix', () => {
  it('stands for all objects below it, over all pages, as the globs choose', async () => {
    await using store = await startS3({ pageSize: 2 })
    store.add('bucket', {
      'models/x/': '',
      'models/x/a.gguf': 'a',
      'models/x/sub/ü &<b>.txt': 'bb',
      'models/x/sub/': '',
      'models/x/z.gguf': 'zzz',
      'models/xy': 'not this one',
      'models/x/..': 'nor this one, which is no path',
    })
    const env = { ...nowhere, ...store.env }
    const exclude = ['..']
    const files = await resolveWith(s3(), 's3://bucket/models/x/', env, { exclude })
    expect(files.map(({ filename, size }) => [filename, size])).toEqual([
      ['a.gguf', 1],
      ['sub/ü &<b>.txt', 2],
      ['z.gguf', 3],
    ])
    for (const { urls } of files) expect((await fetch(urls[0] ?? '')).status).toBe(200)
    const some = await resolveWith(s3(), 's3://bucket/models/x/', env, { include: ['*.gguf'] })
    expect(some.map(({ filename }) => filename)).toEqual(['a.gguf', 'z.gguf'])
    const error = await failureOf(resolveWith(s3(), 's3://bucket/models/x/', env))
    expect(error.message).toContain('exclude')
  })

  it('without a slash, an absent object is told to be one', async () => {
    await using store = await startS3()
    store.add('bucket', { 'models/a': 'a' })
    const error = await failureOf(resolve(store, 's3://bucket/models'))
    expect(error).toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('s3://bucket/models/ '),
    })
    expect(await failureOf(resolve(store, 's3://bucket/none/'))).toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    ['no list', '<html>', 'PROTOCOL_ERROR'],
    ['no size', '<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>', 'PROTOCOL_ERROR'],
    [
      'a list without an end',
      '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>',
      'PROTOCOL_ERROR',
    ],
  ])('whose answer is %s is an error', async (_what, body, code) => {
    const server = await startApi(() => ({ body }))
    const env = { ...nowhere, AWS_ENDPOINT_URL: server.origin, ...s3Keys }
    expect(await failureOf(resolveWith(s3(), 's3://bucket/', env), secret)).toMatchObject({ code })
    expect(server.asked.length).toBeLessThan(4)
  })
})

describe('what the store refuses', () => {
  it.each([
    ['s3://none/a', {}, 'NOT_FOUND', 'no bucket none'],
    ['s3://bucket/none', {}, 'NOT_FOUND', '"none"'],
    ['s3://bucket/cold', {}, 'ACCESS_DENIED', 'archived'],
    ['s3://bucket/a', { AWS_SECRET_ACCESS_KEY: 'wrong' }, 'ACCESS_DENIED', 'SignatureDoesNotMatch'],
    ['s3://bucket/a', { AWS_ACCESS_KEY_ID: '' }, 'ACCESS_DENIED', 'set AWS_ACCESS_KEY_ID'],
    ['s3://bucket/', { AWS_ACCESS_KEY_ID: '' }, 'ACCESS_DENIED', 'AWS_PROFILE'],
  ])('%s with %j is %s: %s', async (ref, env, code, text) => {
    await using store = await startS3()
    store.add('bucket', { a: 'a', cold: { content: randomContent(1, 'c'), archived: true } })
    const error = await failureOf(resolve(store, ref, env), secret)
    expect(error).toMatchObject({ code, retryable: false })
    expect(error.message).toContain(text)
  })

  it('is not followed to another server', async () => {
    const other = await startApi(() => ({ body: '' }))
    const server = await startApi(({ path }) => ({ status: 307, headers: { location: other.origin + path } }))
    const env = { ...nowhere, AWS_ENDPOINT_URL: server.origin, ...s3Keys }
    expect(await failureOf(resolveWith(s3(), 's3://bucket/a', env))).toMatchObject({
      code: 'REDIRECT_BLOCKED',
    })
    expect(other.asked).toEqual([])
  })

  it('to a remote caller: credentials, and what is on the disk', async () => {
    await using store = await startS3()
    store.add('bucket', { a: 'a' })
    const folder = tempDir('aws')
    const file = join(folder, 'credentials')
    writeFileSync(file, `[default]\naws_access_key_id=AKIATEST\naws_secret_access_key=${secret}\n`)
    const env = { ...store.env, AWS_SHARED_CREDENTIALS_FILE: file }
    const remote = { allowPrivateNetwork: true, allowedHosts: [] }
    expect(await failureOf(resolveWith(s3(), 's3://bucket/a', env, { remote }))).toMatchObject({
      code: 'ACCESS_DENIED',
    })
    expect(store.requests.every(({ signed }) => signed === null)).toBe(true)
    const blocked = { allowPrivateNetwork: false, allowedHosts: [] }
    expect(await failureOf(resolveWith(s3(), 's3://bucket/a', env, { remote: blocked }))).toMatchObject({
      code: 'SSRF_BLOCKED',
    })
  })
})

describe('a download', () => {
  const options = (store: S3Server): S3Options => ({
    endpoint: store.url,
    region: 'us-east-1',
    credentials: { accessKeyId: s3Keys.AWS_ACCESS_KEY_ID, secretAccessKey: secret },
  })

  it('goes on after its address has expired, and later from the bytes that it has, though it has no digest', async () => {
    await using store = await startS3()
    const content = ggufContent(6 * MiB)
    store.add('bucket', { 'models/a.gguf': content })
    const directory = tempDir('s3')
    const ref = 's3://bucket/models/a.gguf'
    const tuning = { ...fastTuning, maxAttempts: 2 }
    {
      await using manager = makeManager(directory, { sources: [s3(options(store))], tuning, connections: 1 })
      store.cutAfter = 2 * MiB
      const download = await manager.download({ url: ref })
      await download.finished.catch(() => undefined)
    }
    const before = store.requests.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
    expect(before).toBeGreaterThan(0)
    store.cutAfter = null
    await using manager = makeManager(directory, { sources: [s3(options(store))], tuning })
    const download = await manager.download({ url: ref })
    expect(await arrives(download)).toMatchObject({ size: content.size })
    await expectInvariant(directory, 'a.gguf', 'done', { content })
    const all = store.requests.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
    expect(all).toBeLessThan(content.size + MiB)
  })

  it('of a prefix is a group, and fetches only what has changed when it is asked for again', async () => {
    await using store = await startS3()
    store.add('bucket', {
      'm/a.bin': randomContent(90 * KiB, 'a'),
      'm/sub/b.bin': randomContent(80 * KiB, 'b'),
    })
    const directory = tempDir('s3-group')
    await using manager = makeManager(directory, { sources: [s3(options(store))] })
    const ref = 's3://bucket/m/'
    const first = await arrives(await manager.download({ url: ref }))
    expect(first.files).toHaveLength(2)
    const changed = randomContent(80 * KiB, 'changed')
    store.add('bucket', { 'm/sub/b.bin': changed })
    const asked = store.requests.length
    await arrives(await manager.download({ url: ref }))
    const since = store.requests.slice(asked).filter(({ path }) => path !== '/bucket/')
    expect(since.map(({ path }) => path)).toEqual(['/bucket/m/sub/b.bin'])
    await expectInvariant(join(directory, 'm', 'sub'), 'b.bin', 'done', { content: changed })
  })
})
