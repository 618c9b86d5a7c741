/** Hub refs as downloads: files, error messages, where the token is sent, and the cost of a restart. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { type DownloadManagerOptions, huggingFace, type HuggingFaceOptions } from '../../src/index.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB } from '../faults/harness.js'
import { ggufContent, randomContent, textContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const token = 'hf_canary'
const model = ggufContent(300 * KiB)
const files = {
  'README.md': textContent('# A model'),
  'model-Q4_K_M.gguf': model,
  'big/model-Q8_0-00001-of-00002.gguf': ggufContent(20_000, 'one'),
  'big/model-Q8_0-00002-of-00002.gguf': ggufContent(20_000, 'two'),
}

function managerOf(
  hub: Hub,
  options: HuggingFaceOptions = {},
  more: DownloadManagerOptions = {},
  directory = tempDir('hub'),
) {
  return makeManager(directory, {
    sources: [huggingFace({ endpoint: hub.url, token: null, ...options })],
    ...more,
  })
}

async function failureOf(hub: Hub, url: string, options: HuggingFaceOptions = {}) {
  await using manager = managerOf(hub, options)
  const error = await fails(await manager.download({ url }))
  expect(error.message).not.toContain(token)
  return { code: error.code, message: error.message }
}

describe('a ref of one file', () => {
  it.each([
    ['hf:owner/model/model-Q4_K_M.gguf', 'model-Q4_K_M.gguf'],
    ['hf:owner/model/model-Q4_K_M.gguf@v1', 'model-Q4_K_M.gguf'],
    ['hf:owner/model/model-Q4_K_M.gguf@refs/pr/1', 'model-Q4_K_M.gguf'],
    ['hf:owner/model:q4_k_m', 'model-Q4_K_M.gguf'],
    ['{hub}/owner/model/blob/main/model-Q4_K_M.gguf', 'model-Q4_K_M.gguf'],
    ['{hub}/owner/model/resolve/v1/model-Q4_K_M.gguf?download=true', 'model-Q4_K_M.gguf'],
  ])('%s arrives, checked', async (pattern, filename) => {
    await using hub = await startHub()
    const commit = hub.add('owner/model', { files })
    hub.tag('owner/model', 'v1', commit)
    hub.tag('owner/model', 'refs/pr/1', commit)
    await using manager = managerOf(hub)
    const url = pattern.replace('{hub}', hub.url)
    const download = await manager.download({ url })
    const file = await arrives(download)
    expect(download.url, 'the ref is the identity').toBe(url)
    expect(manager.get(url)).toBe(download)
    expect(file).toMatchObject({ size: model.size, sha256: model.sha256(), verified: true })
    expect(download.filename).toBe(filename)
    const fetched = hub.origin.requests().filter(({ path }) => path.includes('/resolve/'))
    expect(fetched.at(-1)?.path, 'bound to the commit').toContain(`/resolve/${commit}/`)
  })

  it('that is kept in git itself arrives too, and an empty one', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files: { ...files, 'empty.txt': textContent('') } })
    await using manager = managerOf(hub)
    const readme = await arrives(await manager.download({ url: 'hf:owner/model/README.md' }))
    expect(readme).toMatchObject({ size: 9, verification: { algorithm: 'git', from: 'source' } })
    expect(await arrives(await manager.download({ url: 'hf:owner/model/empty.txt' }))).toMatchObject({
      size: 0,
    })
  })

  it('whose revision moved on is fetched anew, and is not when it has the same content', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    await using manager = managerOf(hub)
    const url = 'hf:owner/model/model-Q4_K_M.gguf'
    await arrives(await manager.download({ url }))
    hub.commit('owner/model', { ...files, 'README.md': textContent('new') })
    const sent = hub.cdn.bytesSent()
    expect(await arrives(await manager.download({ url }))).toMatchObject({ sha256: model.sha256() })
    expect(hub.cdn.bytesSent()).toBe(sent)
    const other = ggufContent(310 * KiB, 'other')
    hub.commit('owner/model', { 'model-Q4_K_M.gguf': other })
    const file = await arrives(await manager.download({ url }))
    expect(await sha256File(file.path)).toBe(other.sha256())
  })

  it('is refused before a byte is fetched when the caller expects another file', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    await using manager = managerOf(hub)
    const url = 'hf:owner/model/model-Q4_K_M.gguf'
    const sha256 = '0'.repeat(64)
    expect((await fails(await manager.download({ url, sha256 }))).code).toBe('CHECKSUM_MISMATCH')
    expect(hub.cdn.requests()).toEqual([])
  })
})

describe('a ref of several files', () => {
  it.each([
    ['hf:owner/model', Object.keys(files)],
    ['hf:owner/model:Q8_0', Object.keys(files).filter((path) => path.includes('Q8_0'))],
    ['tree/main/big', Object.keys(files).filter((path) => path.startsWith('big/'))],
  ])('%s brings them into a folder of the repository', async (ref, paths) => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const directory = tempDir('hub')
    await using manager = managerOf(hub, {}, {}, directory)
    const url = ref.startsWith('hf:') ? ref : `${hub.url}/owner/model/${ref}`
    await arrives(await manager.download({ url }))
    const found = await listTree(join(directory, 'model'))
    expect(found.filter((path) => !path.endsWith('/'))).toEqual([...paths].sort())
  })
})

describe('what goes wrong is told with its remedy', () => {
  it.each([
    ['hf:owner/model/absent.gguf', 'NOT_FOUND', /no absent\.gguf in main; its files are at http/],
    ['hf:owner/model/model-Q4_K_M.gguf@v9', 'NOT_FOUND', /no revision v9/],
    ['hf:owner/model@v9', 'NOT_FOUND', /no revision v9/],
    ['hf:owner/model:Q2_K', 'NOT_FOUND', /no Q2_K GGUF file; it has Q4_K_M, Q8_0/],
    ['hf:owner/absent/a.gguf', 'ACCESS_DENIED', /no repository owner\/absent.*HF_TOKEN/],
    ['hf:owner/hidden/a.gguf', 'ACCESS_DENIED', /no repository owner\/hidden.*HF_TOKEN/],
    ['hf:owner/gated/model-Q4_K_M.gguf', 'ACCESS_DENIED', /gated: accept its terms at http.*set HF_TOKEN/],
    ['hf:owner/gated:Q4_K_M', 'ACCESS_DENIED', /gated: accept its terms at http.*set HF_TOKEN/],
  ])('%s', async (ref, code, message) => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    hub.add('owner/hidden', { files, private: true })
    hub.add('owner/gated', { files, gated: 'auto' })
    const failure = await failureOf(hub, ref)
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) as string })
  })

  it('a token that is none, and one whose account was not let in', async () => {
    await using hub = await startHub()
    hub.add('owner/gated', { files, gated: 'manual' })
    const ref = 'hf:owner/gated/model-Q4_K_M.gguf'
    expect((await failureOf(hub, ref, { token })).message).toMatch(/does not accept the token.*HF_TOKEN/)
    hub.allow(token)
    expect((await failureOf(hub, ref, { token })).message).toMatch(
      /accept its terms.*account that the token belongs to/,
    )
  })

  it('a limit is waited out, and told when it lasts', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    const ref = 'hf:owner/model/model-Q4_K_M.gguf'
    hub.limit(2)
    await using manager = managerOf(hub)
    const delays: number[] = []
    manager.on('retrying', ({ delayMs }) => delays.push(delayMs))
    await arrives(await manager.download({ url: ref }))
    expect(delays).toEqual([0, 0])
    hub.limit(1, { ratelimit: '"api";r=0;t=86400' })
    const failure = await failureOf(hub, ref)
    expect(failure).toMatchObject({
      code: 'HTTP_ERROR',
      message: expect.stringMatching(/429.*HF_TOKEN/) as string,
    })
  })

  it('a hub that is not there', async () => {
    const hub = await startHub()
    await hub[Symbol.asyncDispose]()
    const failure = await failureOf(hub, 'hf:owner/model/a.gguf')
    expect(failure).toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('HF_ENDPOINT') as string,
    })
  })

  it('a ref that makes no sense is refused at once', async () => {
    await using hub = await startHub()
    await using manager = managerOf(hub)
    for (const url of ['hf:', 'hf:owner', 'hf:owner/repo/../x', 'hf:owner/repo@', 'hf:owner/repo:']) {
      await expect(manager.download({ url }), url).rejects.toMatchObject({ code: 'INVALID_URL' })
    }
    expect(hub.origin.requests()).toEqual([])
  })
})

describe('the token', () => {
  it('goes to the hub, and to no other origin', async () => {
    await using hub = await startHub()
    hub.add('owner/gated', { files, gated: 'manual' })
    hub.allow(token, ['owner/gated'])
    await using manager = managerOf(hub, { token })
    for (const url of ['hf:owner/gated/model-Q4_K_M.gguf', 'hf:owner/gated/README.md']) {
      await arrives(await manager.download({ url }))
    }
    expect(hub.origin.requests().every(({ headers }) => headers['authorization'] === `Bearer ${token}`)).toBe(
      true,
    )
    expect(hub.cdn.requests().length).toBeGreaterThan(0)
    expect(JSON.stringify(hub.cdn.requests().map(({ headers, target }) => [headers, target]))).not.toContain(
      token,
    )
    expect(JSON.stringify(manager.list().map(({ record }) => record))).not.toContain(token)
  })

  it.each([
    [{ token: `${token}\r\nx-evil: 1` }, /^HF_TOKEN is empty or contains/],
    [{ token: '' }, /^HF_TOKEN is empty or contains/],
    [{ endpoint: 'https://user:hf_canary@hub.example.com' }, /^HF_ENDPOINT is not an http or https address/],
    [{ endpoint: 'hub.example.com' }, /^HF_ENDPOINT is not an http or https address/],
  ])('that is invalid, or an invalid hub address, is refused: %#', async (options, message) => {
    await using hub = await startHub()
    expect(await failureOf(hub, 'hf:owner/model/a.gguf', options)).toMatchObject({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(message) as string,
    })
    expect(hub.origin.requests()).toEqual([])
  })

  it('and the hub may have white space around them, and a slash at the end', async () => {
    await using hub = await startHub()
    hub.add('owner/gated', { files, gated: 'manual' })
    hub.allow(token, ['owner/gated'])
    await using manager = managerOf(hub, { token: ` ${token}\n`, endpoint: ` ${hub.url}/ ` })
    await arrives(await manager.download({ url: 'hf:owner/gated/model-Q4_K_M.gguf' }))
  })

  it('comes from the environment or the file of the hub’s own tools', async () => {
    await using hub = await startHub()
    hub.add('owner/gated', { files, gated: 'manual' })
    hub.allow(token, ['owner/gated'])
    const home = tempDir('hf-home')
    await writeFile(join(home, 'token'), `${token}\n`)
    const source = huggingFace({ endpoint: hub.url })
    try {
      for (const env of [{ HF_TOKEN: token, HF_HOME: '/nowhere' }, { HF_HOME: home }]) {
        vi.unstubAllEnvs()
        for (const [name, value] of Object.entries({ HF_TOKEN: undefined, ...env })) vi.stubEnv(name, value)
        await using manager = makeManager(tempDir('hub'), { sources: [source] })
        await arrives(await manager.download({ url: 'hf:owner/gated/model-Q4_K_M.gguf' }))
      }
    } finally {
      vi.unstubAllEnvs()
    }
  })
})

describe('a long file', () => {
  const long = randomContent(4 * MiB, 'long')
  const url = 'hf:owner/long/model.bin'

  it('goes on after its signed link has expired', async () => {
    await using hub = await startHub()
    hub.add('owner/long', { files: { 'model.bin': long } })
    hub.cdnBehaviour = { bytesPerSecond: 2 * MiB, etag: null, lastModified: null }
    await using manager = managerOf(hub, {}, { connections: 2 })
    const download = await manager.download({ url })
    await waitFor(() => download.current.downloaded > 512 * KiB)
    // Earlier links have expired, and their responses are cut off.
    hub.expireLinks()
    hub.cdn.destroyConnections()
    hub.cdnBehaviour = { etag: null, lastModified: null }
    const file = await arrives(download)
    expect(await sha256File(file.path)).toBe(long.sha256())
    expect(hub.cdn.requests().some(({ status }) => status === 403)).toBe(true)
    expect(hub.cdn.bytesSent()).toBeLessThan(long.size + 3 * MiB)
  })

  it('goes on in another manager, though revision and links are others by then', async () => {
    await using hub = await startHub()
    hub.add('owner/long', { files: { 'model.bin': long } })
    hub.cdnBehaviour = { bytesPerSecond: 2 * MiB, etag: null, lastModified: null }
    const directory = tempDir('hub')
    // One connection, since several may receive some bytes twice when they divide the rest, which is
    // unrelated to resuming.
    const first = managerOf(hub, {}, { connections: 1 }, directory)
    const begun = await first.download({ url })
    begun.finished.catch(() => undefined)
    await waitFor(() => begun.current.downloaded > MiB)
    await first.close()
    const had = begun.current.downloaded
    hub.expireLinks()
    hub.commit('owner/long', { 'model.bin': long, 'README.md': textContent('new') })
    hub.cdnBehaviour = { etag: null, lastModified: null }
    const sent = hub.cdn.bytesSent()
    await using second = managerOf(hub, {}, { connections: 1 }, directory)
    await arrives(await second.download({ url }))
    expect(hub.cdn.bytesSent() - sent).toBeLessThanOrEqual(long.size - had + 256 * KiB)
    await expectInvariant(directory, 'model.bin', 'done', { content: long })
  })
})

describe('while it is resolved', () => {
  it('a download can be paused, resumed and canceled', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    // What the hub asks for holds after a pause, too.
    hub.limit(1, { 'retry-after': '1' })
    await using manager = managerOf(hub)
    const url = 'hf:owner/model/model-Q4_K_M.gguf'
    let retrying = false
    manager.on('retrying', () => (retrying = true))
    const download = await manager.download({ url })
    await waitFor(() => retrying)
    await manager.pause(url)
    expect(download.state).toBe('paused')
    await manager.resume(url)
    await arrives(download)
    const [limited, next] = hub.origin.requests()
    expect(next!.at - limited!.at).toBeGreaterThanOrEqual(990)
    hub.limit(1, { 'retry-after': '600' })
    const other = await manager.download({ url: 'hf:owner/model/README.md' })
    other.finished.catch(() => undefined)
    await waitFor(() => hub.origin.requests().at(-1)?.status === 429)
    await manager.cancel(other.url)
    expect(other.state).toBe('canceled')
  })

  it('a remote caller reaches no hub that its grant does not open', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    await using manager = managerOf(hub)
    const url = 'hf:owner/model/model-Q4_K_M.gguf'
    expect((await fails(await manager.download({ url, remote: true }))).code).toBe('SSRF_BLOCKED')
    expect(hub.origin.totalConnections).toBe(0)
    const { host } = new URL(hub.url)
    const half = await fails(await manager.download({ url, remote: { allowedHosts: [host] } }))
    expect(half.code, 'the CDN is another host').toBe('SSRF_BLOCKED')
    const allowedHosts = [host, new URL(hub.cdn.origin).host]
    await arrives(await manager.download({ url, remote: { allowedHosts } }))
  })
})
