import { createHash, randomUUID, sign, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DownloadManager } from '../../src/index.js'
import { ollama } from '../../src/sources/ollama.js'
import { caPath, certificate } from '../support/certificate.js'
import { describeWith } from '../support/machine.js'
import { ociRegistry, OciRegistry } from '../support/oci-registry.js'
import { sha256File, tempDir } from '../support/temp.js'
import { failureOf, resolveWith, startApi, type ApiServer } from './api-server.js'

const model = Buffer.concat([Buffer.from('GGUF\x03\0\0\0'), Buffer.alloc(300_000, 'weights')])
const license = Buffer.from('do what you like')
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const schemaVersion = 2
const ociManifest = 'application/vnd.oci.image.manifest.v1+json'

/** Puts a small model there as Ollama does; returns the manifest's digest. */
async function pushModel(registry: OciRegistry, headers: Record<string, string> = {}): Promise<string> {
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json'
  const layer = async (type: string, bytes: Buffer) => ({
    mediaType: type,
    digest: await registry.pushBlob('me/tiny', bytes, headers),
    size: bytes.length,
  })
  const manifest = {
    schemaVersion,
    mediaType,
    config: await layer('application/vnd.docker.container.image.v1+json', Buffer.from('{}')),
    layers: [
      await layer('application/vnd.ollama.image.model', model),
      await layer('application/vnd.ollama.image.license', license),
    ],
  }
  return registry.pushManifest('me/tiny', '1b', manifest, headers)
}

/** Downloads a ref into a folder of its own; returns the path. */
async function download(ref: string): Promise<string> {
  const directory = tempDir('oci')
  await using manager = new DownloadManager({ directory, store: 'memory', worker: false })
  const started = await manager.download({ url: ref })
  const { path, verified } = await started.finished
  expect(verified).toBe(true)
  expect(path).toBe(join(directory, 'llm', 'tiny-1b.gguf'))
  return path
}

describeWith(ociRegistry, 'a real registry', () => {
  let registry: OciRegistry
  let digest: string
  const ref = (rest: string) => `ollama:${registry.origin.replace('http://', '')}/${rest}`
  beforeAll(async () => {
    registry = await OciRegistry.start()
    digest = await pushModel(registry)
  })
  afterAll(() => registry.stop())

  it('tells the model layer, with size and digest', async () => {
    const expected = { filename: 'tiny-1b.gguf', size: model.length, sha256: sha256(model), revision: digest }
    expect(await resolveWith(ollama(), ref('me/tiny:1b'))).toMatchObject([expected])
    expect(await resolveWith(ollama(), ref(`me/tiny@${digest}`))).toMatchObject([{ sha256: sha256(model) }])
  })

  it('tells all layers', async () => {
    const files = await resolveWith(ollama(), ref('me/tiny:1b?layers=all'))
    expect(files.map(({ filename, size }) => [filename, size])).toEqual([
      ['tiny-1b.gguf', model.length],
      ['tiny-1b.license.txt', license.length],
      ['tiny-1b.config.json', 2],
    ])
  })

  it('gives the model itself', async () => {
    expect(await sha256File(await download(ref('me/tiny:1b')))).toBe(sha256(model))
  })

  it('leads from an OCI index to a plain file with a title', async () => {
    const bytes = Buffer.from('adapter')
    const part = await registry.pushBlob('a/b/c', bytes)
    const empty = await registry.pushBlob('a/b/c', Buffer.from('{}'))
    const child = {
      schemaVersion,
      mediaType: ociManifest,
      config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: empty, size: 2 },
      layers: [
        {
          mediaType: 'application/octet-stream',
          digest: part,
          size: bytes.length,
          annotations: { 'org.opencontainers.image.title': 'adapter.bin' },
        },
      ],
    }
    const childDigest = await registry.pushManifest('a/b/c', null, child)
    const size = JSON.stringify(child).length
    const index = {
      schemaVersion,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ mediaType: ociManifest, digest: childDigest, size }],
    }
    await registry.pushManifest('a/b/c', 'v1', index)
    expect(await resolveWith(ollama(), ref('a/b/c:v1'))).toMatchObject([
      { filename: 'adapter.bin', sha256: sha256(bytes), revision: childDigest },
    ])
  })

  it.each(['me/tiny:nowhere', 'me/nobody:1b'])('does not know %s', async (name) => {
    const error = await failureOf(resolveWith(ollama(), ref(name)))
    expect(error).toMatchObject({ code: 'NOT_FOUND', status: 404 })
    expect(error.message).toContain(name)
  })
})

describeWith(ociRegistry, 'a real registry that wants tokens', () => {
  let registry: OciRegistry
  let tokens: ApiServer
  let gives = true
  const ref = () => `ollama:${registry.origin.replace('http://', '')}/me/tiny:1b`

  /** As https://distribution.github.io/distribution/spec/auth/jwt/ has it. */
  const tokenOf = (actions: readonly string[]): string => {
    const { key, cert } = certificate()
    const x5c = [new X509Certificate(cert).raw.toString('base64')]
    const now = Math.floor(Date.now() / 1000)
    const times = { iat: now, nbf: now - 60, exp: now + 300 }
    const access = [{ type: 'repository', name: 'me/tiny', actions }]
    const claims = { iss: 'tests', sub: '', aud: 'registry', jti: randomUUID(), ...times, access }
    const parts = [{ typ: 'JWT', alg: 'ES256', x5c }, claims]
    const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  }

  beforeAll(async () => {
    tokens = await startApi(() => ({ body: { token: tokenOf(gives ? ['pull'] : []) } }))
    registry = await OciRegistry.start([
      'auth:',
      '  token:',
      `    realm: ${tokens.origin}/token`,
      '    service: registry',
      '    issuer: tests',
      `    rootcertbundle: ${JSON.stringify(caPath)}`,
    ])
    await pushModel(registry, { authorization: `Bearer ${tokenOf(['pull', 'push'])}` })
  })
  afterAll(() => registry.stop())

  it('gives the model to whoever fetches a token first', async () => {
    expect(await sha256File(await download(ref()))).toBe(sha256(model))
    expect(tokens.asked.map(({ path }) => path)).toContain(
      '/token?scope=repository%3Ame%2Ftiny%3Apull&service=registry',
    )
  })

  it('refuses one whose token allows nothing, without telling the token', async () => {
    gives = false
    const error = await failureOf(resolveWith(ollama(), ref()), tokenOf([]).split('.')[0])
    expect(error).toMatchObject({ code: 'ACCESS_DENIED', status: 401 })
  })
})
