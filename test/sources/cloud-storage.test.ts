/** Azure Storage and Google Cloud Storage. */
import { describe, expect, it } from 'vitest'
import { azure, type AzureOptions, parseAzureRef } from '../../src/sources/storage/azure.js'
import { googleStorage, type GoogleStorageOptions, parseGoogleRef } from '../../src/sources/storage/gcs.js'
import { type Asked, failureOf, resolveWith, type Said, startApi } from './api-server.js'

const sas = 'sv=2022-11-02&sp=rl&sig=SECRETab%2Bc%3D'
const md5 = Buffer.alloc(16, 1)

/** A container as Azure answers for it. */
function container({ path, headers }: Asked): Said {
  const url = new URL(path, 'http://a')
  if (url.searchParams.get('sig') !== 'SECRETab+c=') {
    return { status: 404, headers: { 'x-ms-error-code': 'ResourceNotFound' } }
  }
  if (headers['x-ms-version'] === undefined) return { status: 400 }
  if (url.searchParams.get('comp') === 'list') {
    const blob = (name: string, size: number, more = '', encoded = '') =>
      `<Blob><Name${encoded}>${name}</Name><Properties><Etag>0x8D${String(size)}</Etag>${more}<Content-Length>${String(size)}</Content-Length></Properties></Blob>`
    const isSecond = url.searchParams.get('marker') === 'next 1'
    const blobs = isSecond
      ? blob('m/sub/b%20c%EF%BF%BE.bin', 3, '', ' Encoded="true"')
      : blob('m/a &amp; b.gguf', 2, `<Content-MD5>${md5.toString('base64')}</Content-MD5>`) +
        blob('m/sub', 0, '<ResourceType>directory</ResourceType>')
    const body = `\uFEFF<?xml version="1.0"?><EnumerationResults ContainerName="models"><Blobs>${blobs}</Blobs><NextMarker${isSecond ? ' />' : '>next 1</NextMarker>'}</EnumerationResults>`
    return { headers: { 'content-type': 'application/xml' }, body }
  }
  if (url.pathname !== '/acct/models/m/a%20%26%20b.gguf') {
    return { status: 404, headers: { 'x-ms-error-code': 'BlobNotFound' } }
  }
  return {
    status: 206,
    headers: {
      'content-range': 'bytes 0-0/2',
      etag: '"0x8D2"',
      'x-ms-blob-content-md5': md5.toString('base64'),
    },
    body: 'a',
  }
}

async function azureAt(answer: (asked: Asked) => Said, ref: string, options: AzureOptions = {}, env = {}) {
  const server = await startApi(answer)
  const all = {
    AZURE_STORAGE_SAS_TOKEN: `?${sas}`,
    AZURE_STORAGE_SERVICE_ENDPOINT: `${server.origin}/{account}`,
    ...env,
  }
  return { server, resolving: resolveWith(azure(options), ref, all) }
}

describe('Azure Storage', () => {
  it('tells a blob, with its MD5, and an address that carries the signature', async () => {
    const { server, resolving } = await azureAt(container, 'az://acct/models/m/a & b.gguf')
    expect(await resolving).toEqual([
      {
        filename: 'a & b.gguf',
        urls: [`${server.origin}/acct/models/m/a%20%26%20b.gguf?${sas}`],
        size: 2,
        digests: [{ algorithm: 'md5', value: md5.toString('hex') }],
        revision: '0x8D2',
        headers: { 'x-ms-version': '2021-12-02' },
      },
    ])
  })

  it('lists a prefix over all pages', async () => {
    const { resolving } = await azureAt(container, 'az://acct/models/m/')
    expect((await resolving).map(({ filename, size, revision }) => [filename, size, revision])).toEqual([
      ['a & b.gguf', 2, '0x8D2'],
      ['sub/b c\uFFFE.bin', 3, '0x8D3'],
    ])
  })

  it('sends the signature to its own account only', async () => {
    const own = { AZURE_STORAGE_ACCOUNT: 'acct' }
    expect(await (await azureAt(container, 'az://acct/models/m/', {}, own)).resolving).toHaveLength(2)
    const { server, resolving } = await azureAt(container, 'az://other/models/m/', {}, own)
    expect(await failureOf(resolving, 'SECRET')).toMatchObject({ code: 'NOT_FOUND' })
    expect(JSON.stringify(server.asked)).not.toContain('SECRET')
  })

  it.each([
    [404, 'ContainerNotFound', 'NOT_FOUND', 'no container'],
    [404, 'BlobNotFound', 'NOT_FOUND', 'end it with a slash'],
    [403, 'AuthenticationFailed', 'ACCESS_DENIED', 'expired'],
    [403, 'AuthorizationPermissionMismatch', 'ACCESS_DENIED', 'sp=r'],
    [409, 'PublicAccessNotPermitted', 'ACCESS_DENIED', 'signature'],
    [409, 'BlobArchived', 'ACCESS_DENIED', 'rehydrate'],
    [401, 'NoAuthenticationInformation', 'ACCESS_DENIED', 'signature'],
  ])('%i %s is %s: %s', async (status, code, kind, text) => {
    const said = { status, headers: { 'x-ms-error-code': code } }
    const { resolving } = await azureAt(() => said, 'az://acct/models/a.bin')
    const error = await failureOf(resolving, 'SECRET')
    expect(error).toMatchObject({ code: kind })
    expect(error.message).toContain(text)
  })

  it.each([
    'az://',
    'az://Acct/c/a',
    'az://acct',
    'az://acct/C/a',
    `az://acct/models/a?${sas}`,
    'az://acct/models/a?x=1',
  ])('%s is refused', (ref) => {
    expect(() => parseAzureRef(ref)).toThrow(expect.objectContaining({ code: 'INVALID_URL' }))
  })

  it('refuses a token that is none', async () => {
    const { resolving } = await azureAt(container, 'az://acct/models/a', { sasToken: 'SECRET' })
    expect(await failureOf(resolving, 'SECRET')).toMatchObject({ code: 'INVALID_OPTIONS' })
  })
})

/** A bucket as Google's JSON API answers for it. */
function bucket({ path, headers }: Asked): Said {
  const url = new URL(path, 'http://a')
  if (headers.authorization !== 'Bearer ya29.secret') return { status: 401, body: { error: { code: 401 } } }
  const object = (name: string, size: string) => ({
    name,
    size,
    generation: '17',
    md5Hash: md5.toString('base64'),
    crc32c: 'yZRlqg==',
  })
  if (url.pathname === '/storage/v1/b/bucket/o') {
    return url.searchParams.get('pageToken') === 'p 2'
      ? { body: { items: [object('m/b.bin', '3')] } }
      : { body: { items: [object('m/', '0'), object('m/a/b c.bin', '2')], nextPageToken: 'p 2' } }
  }
  if (url.pathname === '/storage/v1/b/bucket/o/m%2Fa%2Fb%20c.bin') return { body: object('m/a/b c.bin', '2') }
  return { status: url.pathname.includes('denied') ? 403 : 404, body: { error: {} } }
}

async function googleAt(ref: string, options: GoogleStorageOptions = {}, env: Record<string, string> = {}) {
  const server = await startApi(bucket)
  const all = { STORAGE_EMULATOR_HOST: server.origin, GOOGLE_OAUTH_ACCESS_TOKEN: 'ya29.secret', ...env }
  return { server, resolving: resolveWith(googleStorage(options), ref, all) }
}

describe('Google Cloud Storage', () => {
  it('tells an object, bound to its generation, with the digests', async () => {
    const { server, resolving } = await googleAt('gs://bucket/m/a/b c.bin')
    expect(await resolving).toEqual([
      {
        filename: 'b c.bin',
        urls: [`${server.origin}/bucket/m/a/b%20c.bin?generation=17`],
        size: 2,
        digests: [
          { algorithm: 'crc32c', value: 'c99465aa' },
          { algorithm: 'md5', value: md5.toString('hex') },
        ],
        revision: '17',
        headers: { authorization: 'Bearer ya29.secret' },
      },
    ])
  })

  it('lists a prefix over all pages', async () => {
    const { resolving } = await googleAt('gs://bucket/m/')
    expect((await resolving).map(({ filename, size }) => [filename, size])).toEqual([
      ['a/b c.bin', 2],
      ['b.bin', 3],
    ])
  })

  it('asks a function for a token each time', async () => {
    const tokens = ['ya29.secret', 'stale']
    const token = () => Promise.resolve(tokens.shift() ?? '')
    expect(await (await googleAt('gs://bucket/m/', { token })).resolving).toHaveLength(2)
    expect(await failureOf((await googleAt('gs://bucket/m/', { token })).resolving)).toMatchObject({
      code: 'ACCESS_DENIED',
    })
  })

  it.each([
    ['gs://bucket/none', {}, 'NOT_FOUND', 'end it with a slash'],
    ['gs://denied/a', {}, 'ACCESS_DENIED', 'storage.objects.get'],
    ['gs://bucket/a', { GOOGLE_OAUTH_ACCESS_TOKEN: 'old' }, 'ACCESS_DENIED', 'expired'],
    ['gs://bucket/a', { GOOGLE_OAUTH_ACCESS_TOKEN: '' }, 'ACCESS_DENIED', 'gcloud auth'],
  ])('%s with %j is %s: %s', async (ref, env, code, text) => {
    const error = await failureOf((await googleAt(ref, {}, env)).resolving, 'ya29.secret')
    expect(error).toMatchObject({ code })
    expect(error.message).toContain(text)
  })

  it.each(['gs://', 'gs://a/b', 'gs://Bucket/a', 'gs://bucket/a?x=1', 'gs://bucket/../a'])(
    '%s is refused',
    (ref) => {
      expect(() => parseGoogleRef(ref)).toThrow(expect.objectContaining({ code: 'INVALID_URL' }))
    },
  )
})
