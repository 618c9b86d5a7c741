import { describe, expect, it } from 'vitest'
import { civitai, parseCivitaiRef } from '../../src/sources/civitai.js'
import { KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { tempDir } from '../support/temp.js'
import { type Asked, failureOf, resolveWith, type Said, startApi } from './api-server.js'

const token = 'civitai-secret'
const content = randomContent(64 * KiB, 'civitai')

/** The site as it answers for the version 128078 of the model 101055. */
function site({ path, headers }: Asked, origin: string, storage = 'http://127.0.0.1:1'): Said {
  const hashes = {
    AutoV2: '31E35C80FC',
    SHA256: content.sha256().toUpperCase(),
    CRC32: '1D6F1C8A',
    BLAKE3: 'AB'.repeat(32),
  }
  const file = (name: string, more: object) => ({
    id: 1,
    name,
    sizeKB: content.size / 1024,
    type: 'Model',
    downloadUrl: `${origin}/api/download/models/128078`,
    hashes,
    ...more,
  })
  if (path === '/api/v1/model-versions/128078') {
    const files = [
      file('vae.safetensors', {
        sizeKB: 1.3,
        hashes: {},
        downloadUrl: `${origin}/api/download/models/128078?type=VAE`,
      }),
      file('sdxl.safetensors', { primary: true }),
    ]
    return { body: { id: 128078, modelId: 101055, name: 'v1.0', model: { name: 'SD XL' }, files } }
  }
  if (path === '/api/v1/models/101055') {
    return { body: { id: 101055, name: 'SD XL', modelVersions: [{ id: 128078 }, { id: 1 }] } }
  }
  if (path.startsWith('/api/download/')) {
    if (headers.authorization !== `Bearer ${token}`)
      return { status: 307, headers: { location: '/login?returnUrl=x' } }
    return { status: 307, headers: { location: `${storage}/file?X-Amz-Signature=signed` } }
  }
  if (path.startsWith('/login')) return { headers: { 'content-type': 'text/html' }, body: '<html>' }
  return { status: 404, body: { error: 'No model' } }
}

async function against(ref: string, env: Record<string, string> = { CIVITAI_TOKEN: token }, answer = site) {
  const server = await startApi((asked, origin) => answer(asked, origin))
  return { server, resolving: resolveWith(civitai(), ref, { CIVITAI_ENDPOINT: server.origin, ...env }) }
}

describe('Civitai', () => {
  it('tells the main file of a version, with all digests', async () => {
    const { server, resolving } = await against('civitai:128078')
    expect(await resolving).toEqual([
      {
        filename: 'sdxl.safetensors',
        urls: [`${server.origin}/api/download/models/128078`],
        size: content.size,
        sha256: content.sha256(),
        digests: [
          { algorithm: 'blake3', value: 'ab'.repeat(32) },
          { algorithm: 'crc32', value: '1d6f1c8a' },
        ],
        revision: '128078',
        headers: { authorization: `Bearer ${token}` },
      },
    ])
  })

  it.each([
    ['civitai:101055@128078', ['sdxl.safetensors']],
    ['civitai:128078/', ['vae.safetensors', 'sdxl.safetensors']],
    ['civitai:128078/vae.safetensors', ['vae.safetensors']],
    ['https://civitai.com/models/101055/sd-xl?modelVersionId=128078', ['sdxl.safetensors']],
    ['https://civitai.com/models/101055', ['sdxl.safetensors']],
  ])('understands %s', async (ref, names) => {
    expect((await (await against(ref)).resolving).map(({ filename }) => filename)).toEqual(names)
  })

  it('does not believe a size that was rounded', async () => {
    expect((await (await against('civitai:128078/vae.safetensors')).resolving)[0]?.size).toBeUndefined()
  })

  it.each([
    ['civitai:128078', {}, 'ACCESS_DENIED', 'set CIVITAI_TOKEN'],
    ['civitai:128078', { CIVITAI_API_TOKEN: 'other' }, 'ACCESS_DENIED', 'early access'],
    ['civitai:7', { CIVITAI_TOKEN: token }, 'NOT_FOUND', 'modelVersionId='],
    ['civitai:128078/none', { CIVITAI_TOKEN: token }, 'NOT_FOUND', 'vae.safetensors'],
    ['civitai:2@128078', { CIVITAI_TOKEN: token }, 'NOT_FOUND', '101055'],
  ])('%s with %j is %s: %s', async (ref, env: Record<string, string>, code, text) => {
    const error = await failureOf((await against(ref, env)).resolving, token)
    expect(error).toMatchObject({ code })
    expect(error.message).toContain(text)
  })

  it('sends the token nowhere but to the site: not to its storage, nor where the API says', async () => {
    const storage = await startApi(({ headers }) => {
      const [, from = '0'] = /bytes=(\d+)-/.exec(headers.range ?? '') ?? []
      return {
        status: 206,
        headers: {
          'content-range': `bytes ${from}-${content.size - 1}/${content.size}`,
          'content-type': 'x/y',
        },
        body: '',
      }
    })
    const site2 = await startApi((asked, origin) => site(asked, origin, storage.origin))
    const env = { CIVITAI_ENDPOINT: site2.origin, CIVITAI_TOKEN: token }
    await resolveWith(civitai(), 'civitai:128078', env)
    await using manager = makeManager(tempDir('civitai'), {
      sources: [civitai({ endpoint: site2.origin, token })],
      tuning: { maxAttempts: 1 },
    })
    await (await manager.download({ url: 'civitai:128078' })).finished.catch(() => undefined)
    expect(storage.asked.length).toBeGreaterThan(0)
    expect(JSON.stringify(storage.asked)).not.toContain(token)
    const foreign = await against('civitai:128078', { CIVITAI_TOKEN: token }, (asked, origin) => {
      const said = site(asked, origin)
      return { ...said, body: JSON.stringify(said.body ?? {}).replaceAll(origin, 'http://127.0.0.1:1') }
    })
    expect(await failureOf(foreign.resolving, token)).toMatchObject({ code: 'PROTOCOL_ERROR' })
  })

  it.each(['civitai:', 'civitai:abc', 'civitai:0', 'civitai:1/a/b', 'civitai:1@2@3', 'civitai:1/..'])(
    '%s is refused',
    (ref) => {
      expect(() => parseCivitaiRef(ref)).toThrow(expect.objectContaining({ code: 'INVALID_URL' }))
    },
  )

  it.each([
    'https://civitai.com/api/download/models/1',
    'https://civitai.com/',
    'https://civitai.com.evil/models/1',
  ])('%s is an ordinary URL', (url) => {
    expect(civitai().match(url)).toBe(false)
  })
})
