import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { kaggle, parseKaggleRef } from '../../src/sources/kaggle.js'
import { tempDir } from '../support/temp.js'
import { type Asked, failureOf, resolveWith, type Said, startApi } from './api-server.js'

const key = '0123456789secret'
const login = { KAGGLE_USERNAME: 'me', KAGGLE_KEY: key }
const basic = `Basic ${Buffer.from(`me:${key}`).toString('base64')}`
const nowhere = { KAGGLE_CONFIG_DIR: '/none' }

/** The site as it answers for google/gemma/pyTorch/2b, of which version 3 is the newest. */
function site({ path, headers }: Asked): Said {
  const { pathname, searchParams } = new URL(path, 'http://a')
  const base = '/api/v1/models/google/gemma/pyTorch/2b'
  if (headers.authorization !== basic && headers.authorization !== 'Bearer KGAT_token') {
    return { status: headers.authorization === undefined ? 403 : 401, body: { code: 401 } }
  }
  if (pathname === `${base}/get`) return { body: { id: 1, versionNumber: 3, framework: 'PY_TORCH' } }
  if (pathname === `${base}/3/files`) {
    return searchParams.get('page_token') === 'next'
      ? { body: { files: [{ name: 'sub/b c.txt' }], nextPageToken: '' } }
      : { body: { files: [{ name: 'model.ckpt', size: 5_000_000_000 }], nextPageToken: 'next' } }
  }
  return { status: 404, body: { code: 404 } }
}

async function against(ref: string, env: Record<string, string> = login, answer = site) {
  const server = await startApi(answer)
  return {
    server,
    resolving: resolveWith(kaggle(), ref, { ...nowhere, KAGGLE_API_ENDPOINT: server.origin, ...env }),
  }
}

describe('Kaggle', () => {
  it('tells the files of the newest version', async () => {
    const { server, resolving } = await against('kaggle:google/gemma/pyTorch/2b')
    const base = `${server.origin}/api/v1/models/google/gemma/pyTorch/2b/3/download`
    expect(await resolving).toEqual([
      {
        filename: 'model.ckpt',
        urls: [`${base}/model.ckpt`],
        size: 5_000_000_000,
        revision: '3',
        headers: { authorization: basic },
      },
      {
        filename: 'sub/b c.txt',
        urls: [`${base}/sub/b%20c.txt`],
        size: undefined,
        revision: '3',
        headers: { authorization: basic },
      },
    ])
  })

  it.each([
    ['kaggle:google/gemma/pyTorch/2b/3', 2],
    ['kaggle:google/gemma/pyTorch/2b/3/model.ckpt', 1],
    ['kaggle:google/gemma/pyTorch/2b/3/sub/', 1],
    ['https://www.kaggle.com/models/google/gemma/pyTorch/2b/3', 2],
    ['https://www.kaggle.com/models/google/gemma/frameworks/pyTorch/variations/2b/versions/3', 2],
    ['https://kaggle.com/models/google/gemma/frameworks/pyTorch/variations/2b?x=y', 2],
  ])('understands %s', async (ref, count) => {
    expect(await (await against(ref)).resolving).toHaveLength(count)
  })

  it('takes a token as well, and what its own tools have stored', async () => {
    const folder = tempDir('kaggle')
    writeFileSync(join(folder, 'kaggle.json'), JSON.stringify({ username: 'me', key }))
    for (const env of [{ KAGGLE_API_TOKEN: 'KGAT_token' }, { KAGGLE_CONFIG_DIR: folder }]) {
      expect(await (await against('kaggle:google/gemma/pyTorch/2b', env)).resolving).toHaveLength(2)
    }
    writeFileSync(join(folder, 'access_token'), 'KGAT_token\n')
    expect(
      await (
        await against('kaggle:google/gemma/pyTorch/2b', { KAGGLE_CONFIG_DIR: folder })
      ).resolving,
    ).toHaveLength(2)
  })

  it.each([
    ['kaggle:google/gemma/pyTorch/2b', {}, 'ACCESS_DENIED', 'set KAGGLE_API_TOKEN'],
    ['kaggle:google/gemma/pyTorch/2b', { KAGGLE_API_TOKEN: 'no' }, 'ACCESS_DENIED', 'revoked'],
    ['kaggle:google/gemma/pyTorch/9b', login, 'NOT_FOUND', 'google/gemma/pyTorch/9b'],
    ['kaggle:google/gemma/pyTorch/2b/3/none.bin', login, 'NOT_FOUND', '"model.ckpt"'],
  ])('%s with %j is %s: %s', async (ref, env: Record<string, string>, code, text) => {
    const error = await failureOf((await against(ref, env)).resolving, key)
    expect(error).toMatchObject({ code })
    expect(error.message).toContain(text)
  })

  it.each([
    { body: { files: [{ name: '../evil' }] } },
    { body: { files: 'none' } },
    { body: { files: [{ name: '' }] } },
  ])('does not believe %j', async (said) => {
    const { resolving } = await against('kaggle:google/gemma/pyTorch/2b/3', login, () => said)
    expect(await failureOf(resolving, key)).toMatchObject({ code: 'PROTOCOL_ERROR' })
  })

  it.each([
    'kaggle:',
    'kaggle:a/b/c',
    'kaggle:a/b/c/d/x',
    'kaggle:a/b/c/d/1/../x',
    'kaggle:a/../c/d',
    'https://www.kaggle.com/models/a/b',
  ])('%s is refused', (ref) => {
    expect(() => parseKaggleRef(ref)).toThrow(expect.objectContaining({ code: 'INVALID_URL' }))
  })
})
