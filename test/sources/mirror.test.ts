/** An object store in front of the hub. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { huggingFace } from '../../src/sources/huggingface.js'
import { requireMirror } from '../../src/sources/storage/mirror.js'
import { s3 } from '../../src/sources/storage/s3.js'
import { arrives, KiB, makeManager } from '../faults/harness.js'
import { ggufContent, randomContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { s3Keys, startS3 } from '../support/s3-server.js'
import { tempDir } from '../support/temp.js'
import { resolveWith } from './api-server.js'

const token = 'hf_canary'

describe('a mirror', () => {
  it('is used first, and what it has not comes from the hub, with the token of the hub', async () => {
    await using hub = await startHub()
    await using store = await startS3()
    const model = ggufContent(200 * KiB)
    const other = randomContent(100 * KiB, 'other')
    hub.add('owner/model', { files: { 'model.gguf': model, 'sub/other.bin': other }, gated: 'manual' })
    hub.allow(token, ['owner/model'])
    store.add('bucket', { 'hf/owner/model/model.gguf': model })
    const options = {
      endpoint: store.url,
      credentials: { accessKeyId: s3Keys.AWS_ACCESS_KEY_ID, secretAccessKey: s3Keys.AWS_SECRET_ACCESS_KEY },
      region: 'us-east-1',
    }
    const mirror = { store: s3(options), ref: 's3://bucket/hf/{repository}/{path}' }
    const directory = tempDir('mirror')
    await using manager = makeManager(directory, {
      sources: [huggingFace({ endpoint: hub.url, token, mirror })],
    })
    await arrives(await manager.download({ url: 'hf:owner/model' }))
    const read = (path: string) => readFileSync(join(directory, 'model', path))
    expect(read('model.gguf').equals(model.slice(0, model.size))).toBe(true)
    expect(read('sub/other.bin').equals(other.slice(0, other.size))).toBe(true)
    const fromStore = store.requests.filter(({ sentBytes }) => sentBytes > 0)
    expect(new Set(fromStore.map(({ path }) => path))).toEqual(new Set(['/bucket/hf/owner/model/model.gguf']))
    expect(JSON.stringify(store.requests)).not.toContain(token)
    expect(JSON.stringify(hub.cdn.requests())).not.toContain('X-Amz-')
  })

  it('is named by the environment, and is not for remote callers', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { 'model.gguf': ggufContent(KiB) } })
    const env = {
      HF_ENDPOINT: hub.url,
      HF_MIRROR: 's3://bucket/{name}/{revision}/{path}',
      AWS_ENDPOINT_URL: 'https://s3.example',
      AWS_SHARED_CREDENTIALS_FILE: '/none',
      AWS_CONFIG_FILE: '/none',
      ...s3Keys,
    }
    const [file] = await resolveWith(huggingFace(), 'hf:owner/model/model.gguf', env)
    expect(file?.urls).toHaveLength(2)
    expect(file?.urls[0]).toMatch(
      /^https:\/\/s3\.example\/bucket\/model\/[0-9a-f]{40}\/model\.gguf\?.*X-Amz-Signature=/,
    )
    const remote = { allowPrivateNetwork: true, allowedHosts: [] }
    const [plain] = await resolveWith(huggingFace(), 'hf:owner/model/model.gguf', env, { remote })
    expect(plain?.urls).toHaveLength(1)
  })

  it.each([
    's3://bucket/{path}',
    's3://bucket/{repository}',
    's3://bucket/{repository}/{commit}/{path}',
    'https://host/{repository}/{path}',
  ])('%s is refused', (ref) => {
    expect(() => requireMirror({ store: s3(), ref })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    )
  })
})
