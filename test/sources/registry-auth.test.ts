import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../src/errors.js'
import {
  chooseLayers,
  chooseManifest,
  type Descriptor,
  parseChallenge,
  requireOwnRealm,
} from '../../src/sources/oci.js'
import { isSameSite } from '../../src/sources/site.js'
import { cpuMs } from '../support/cost.js'

describe('parseChallenge', () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9:/.-]{0,20}$/)
  it('finds a Bearer challenge, whatever stands around it', () => {
    const text = fc.string({ unit: 'grapheme-ascii', maxLength: 20 })
    const quoted = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`
    const before = fc.constantFrom('', 'Negotiate, ', 'Negotiate abc==, ', 'Basic realm="Bearer realm=no", ')
    fc.assert(
      fc.property(before, text, text, word, (other, realm, service, scope) => {
        const header = `${other}Bearer realm=${quoted(realm)},service=${quoted(service)} , scope=${scope}`
        expect(parseChallenge(header)).toEqual({ realm, service, scope })
      }),
    )
  })

  it('finds none where there is none', () => {
    for (const header of ['', 'Bearer', 'Basic realm="x"', 'Bearer service="x"', 'realm="x"']) {
      expect(parseChallenge(header)).toBeNull()
    }
  })

  it('takes no time for long nonsense', async () => {
    for (const part of [' ', 'a', 'a=', 'a="', '"', '\\"', 'a ', ',', 'Bearer ']) {
      const nonsense = `Bearer ${part.repeat(Math.ceil(32_768 / part.length))}`
      expect(await cpuMs(() => parseChallenge(nonsense))).toBeLessThan(1_000)
    }
  })
})

describe('isSameSite', () => {
  it.each([
    ['registry.ollama.ai', 'ollama.com'],
    ['registry.ollama.ai', 'registry.ollama.ai'],
    ['registry-1.docker.io', 'auth.docker.io'],
    ['registry.gitlab.com', 'gitlab.com'],
    ['hf.co', 'huggingface.co'],
    ['REGISTRY.example.co.uk', 'auth.example.co.uk'],
    ['127.0.0.1', '127.0.0.1'],
    ['localhost', 'localhost'],
    ['intranet', 'intranet.'],
    ['registry.corp.local', 'auth.corp.local'],
    ['auth.a.github.io', 'a.github.io'],
    ['注册.例子.中国', '例子.中国'],
  ])('%s and %s', async (one, other) => {
    expect(await isSameSite(one, other)).toBe(true)
    expect(await isSameSite(other, one)).toBe(true)
  })

  it.each([
    ['evil.example', 'registry.ollama.ai'],
    ['evil.example', 'ollama.com'],
    ['ollama.com', 'huggingface.co'],
    ['ollama.com.evil.example', 'ollama.com'],
    ['evilollama.com', 'ollama.com'],
    ['a.co.uk', 'b.co.uk'],
    ['a.github.io', 'b.github.io'],
    ['a.com.cn', 'b.com.cn'],
    ['127.0.0.1', '127.0.0.2'],
    ['10.1.0.1', '10.2.0.1'],
    ['[::1]', '[::2]'],
    ['intranet', 'localhost'],
    ['registry.com', 'evil.com'],
    // Suffixes that no short list has.
    ['a.myshopify.com', 'b.myshopify.com'],
    ['a.s3.amazonaws.com', 'b.s3.amazonaws.com'],
    ['a.k12.ca.us', 'b.k12.ca.us'],
    ['a.blob.core.windows.net', 'b.blob.core.windows.net'],
    ['a.hf.space', 'b.hf.space'],
    ['a.run.app', 'b.run.app'],
    ['a.公司.cn', 'b.公司.cn'],
    ['com', 'ollama.com'],
    ['github.io', 'a.github.io'],
    ['', 'ollama.com'],
  ])('not %s and %s', async (one, other) => {
    expect(await isSameSite(one, other)).toBe(false)
    expect(await isSameSite(other, one)).toBe(false)
  })
})

describe('requireOwnRealm', () => {
  it.each([
    ['https://registry.ollama.ai', 'https://ollama.com/token'],
    ['https://registry.example.com:5000', 'https://auth.example.com/token'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token'],
    ['http://127.0.0.1:5000', 'https://127.0.0.1/token'],
  ])('%s may send to %s', async (registry, realm) => {
    expect((await requireOwnRealm(registry, realm)).href).toBe(realm)
  })

  it.each([
    ['https://evil.example', 'https://registry.ollama.ai/v2/token'],
    ['https://registry.example.com', 'http://registry.example.com/token'],
    ['https://registry.example.com', 'http://127.0.0.1/token'],
    ['http://127.0.0.1:5000', 'http://127.0.0.2:5000/token'],
    ['http://registry.example.com', 'http://auth.example.com/token'],
    ['https://registry.example.com', 'https://me:pw@registry.example.com/token'],
    ['https://registry.example.com', 'file:///etc/passwd'],
    ['https://registry.example.com', 'https://['],
    ['https://registry.example.com', 'javascript:alert(1)'],
  ])('%s may not send to %s', async (registry, realm) => {
    try {
      await requireOwnRealm(registry, realm)
    } catch (error) {
      if (!isDownloadError(error, 'REDIRECT_BLOCKED')) throw error
      expect(error.message).not.toContain('me:pw')
      return
    }
    expect.unreachable('it was accepted')
  })

  it('never accepts a host of another site', async () => {
    await fc.assert(
      fc.asyncProperty(fc.webUrl(), async (realm) => {
        try {
          const accepted = await requireOwnRealm('https://registry.ollama.ai', realm)
          expect(accepted.hostname).toMatch(/(?:^|\.)ollama\.(?:ai|com)$/)
        } catch (error) {
          if (!isDownloadError(error, 'REDIRECT_BLOCKED')) throw error
        }
      }),
    )
  })
})

describe('what a manifest means', () => {
  const digest = (digit: string) => `sha256:${digit.repeat(64)}`
  const layer = (mediaType: string, digit: string, more: Partial<Descriptor> = {}): Descriptor => ({
    mediaType,
    digest: digest(digit),
    size: 1,
    ...more,
  })
  const model = layer('application/vnd.ollama.image.model', '1')
  const license = layer('application/vnd.ollama.image.license', '2')
  const names = (layers: Descriptor[], what: 'model' | 'all', config?: Descriptor) =>
    chooseLayers({ layers, config }, 'm-1b', what).map(({ filename }) => filename)

  it('is the model layer', () => {
    expect(chooseLayers({ layers: [license, model] }, 'm-1b', 'model')).toEqual([
      { filename: 'm-1b.gguf', digest: digest('1'), size: 1 },
    ])
  })

  it('is every layer under a name of its own', () => {
    const config = layer('application/vnd.docker.container.image.v1+json', '9')
    const tensor = layer('application/vnd.ollama.image.tensor; name=blk.0.attn.weight; dtype=F16', '3')
    const odd = layer('application/x-odd', '4')
    expect(names([model, license, license, tensor, odd], 'all', config)).toEqual([
      'm-1b.gguf',
      'm-1b.license.txt',
      'm-1b.license-2.txt',
      'm-1b.blk.0.attn.weight.tensor',
      'm-1b.bin',
      'm-1b.config.json',
    ])
    expect(names([model], 'all', layer('application/vnd.oci.empty.v1+json', '9'))).toEqual(['m-1b.gguf'])
  })

  it('is the only layer, under the name that it has, unless that climbs', () => {
    const named = (title: string) =>
      layer('application/octet-stream', '5', { annotations: { 'org.opencontainers.image.title': title } })
    expect(names([named('weights/a.gguf')], 'model')).toEqual(['weights/a.gguf'])
    expect(names([named('../../a.gguf')], 'model')).toEqual(['m-1b.bin'])
    expect(names([named('A.bin'), named('a.bin')], 'all')).toEqual(['A.bin', 'a-2.bin'])
  })

  it.each([
    [[], /no layers/],
    [[license, layer('application/x-odd', '3')], /layers=all/],
    [[layer('application/vnd.oci.image.layer.v1.tar+gzip', '3')], /layers=all/],
  ])('is nothing where there is no model', (layers, remedy) => {
    expect(() => names(layers, 'model')).toThrow(remedy)
  })

  it('is that of the machine, in an index', () => {
    const entry = (digit: string, architecture: string, more: Partial<Descriptor> = {}) =>
      layer('application/vnd.oci.image.manifest.v1+json', digit, {
        platform: { os: 'linux', architecture },
        ...more,
      })
    const attestation = layer('application/vnd.oci.image.manifest.v1+json', '0', {
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
    })
    const entries = [attestation, entry('1', 'arm64'), entry('2', 'amd64')]
    expect(chooseManifest(entries, 'x64')?.digest).toBe(digest('2'))
    expect(chooseManifest(entries, 'arm64')?.digest).toBe(digest('1'))
    expect(chooseManifest(entries, 's390x')?.digest).toBe(digest('1'))
    expect(chooseManifest([attestation], 'x64')).toBeNull()
  })
})
