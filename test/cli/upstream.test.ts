/** `search`, `outdated` and `update`, and what `ls` tells of a ref, each run to its end. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ggufModel, llamaMetadata } from '../support/gguf.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { jsonLines, run } from './run.js'

const homeIn = (cwd: string) => {
  const home = path.join(cwd, 'home')
  return { HOME: home, USERPROFILE: home, XDG_CACHE_HOME: '', HF_HOME: '', HF_HUB_CACHE: '' }
}

const tensors = [{ name: 'token_embd.weight', shape: [4096, 1000], type: 12 }]
const model = ggufModel(300_000, { metadata: llamaMetadata, tensors })
const cells = (text: string) => text.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, ' | '))

describe('looking before fetching', () => {
  it('searches, and tells what the headers of a ref say', async () => {
    const cwd = tempDir('look')
    await using hub = await startHub()
    hub.add('owner/tiny-GGUF', {
      files: { 'tiny-Q4_K_M.gguf': model, 'bad.gguf': randomContent(20_000) },
      license: 'mit',
    })
    const env = { ...homeIn(cwd), HF_ENDPOINT: hub.url }
    const found = await run(['search', 'TINY', 'gguf', '--gguf'], { cwd, env })
    expect([found.code, cells(found.stdout)]).toEqual([
      0,
      [
        'REF | DOWNLOADS | LIKES | UPDATED | LICENCE',
        'hf:owner/tiny-GGUF | 1.00K | 10 | 2026-01-01 | mit',
        '',
      ],
    ])
    const none = await run(['search', 'nothing', '--json'], { cwd, env })
    expect(none).toMatchObject({ code: 0, stdout: '' })

    const listed = await run(['ls', 'hf:owner/tiny-GGUF'], { cwd, env })
    expect(cells(listed.stdout).slice(3)).toEqual([
      '',
      'Quantisations: Q4_K_M (300 kB)',
      '',
      'MODEL | ARCHITECTURE | PARAMETERS | CONTEXT | TYPE | TENSORS | TEMPLATE',
      'bad.gguf | ? | ? | ? | ? | ? | ?',
      'tiny-Q4_K_M.gguf | llama | 4.10M | 8192 | Q4_K_M | 1 | yes',
      '',
    ])
    expect(listed.stderr).toContain('bad.gguf: The content does not begin with the GGUF magic number.')
    const json = jsonLines((await run(['ls', 'hf:owner/tiny-GGUF', '--json'], { cwd, env })).stdout)
    expect(json.slice(2)).toMatchObject([
      { type: 'model', filename: 'bad.gguf', code: 'CONTENT_MISMATCH' },
      {
        type: 'model',
        ref: 'hf:owner/tiny-GGUF',
        architecture: 'llama',
        parameters: 4_096_000,
        chatTemplate: true,
      },
    ])
  })

  it('tells what has changed, and fetches only that', async () => {
    const cwd = tempDir('look')
    await using hub = await startHub()
    await using origin = await startOrigin()
    const kept = { 'README.md': textContent('# A model'), 'model.gguf': model }
    hub.add('owner/model', { files: { ...kept, 'config.json': textContent('{"a":1}') } })
    origin.serve('/a.bin', { content: randomContent(1_000, 1), etag: '"one"' })
    const url = origin.url('/a.bin')
    const env = { ...homeIn(cwd), HF_ENDPOINT: hub.url }
    const got = await run(['get', 'hf:owner/model', url, '-d', 'models'], { cwd, env })
    expect(got.code).toBe(0)
    const quiet = await run(['outdated'], { cwd, env })
    expect(quiet).toMatchObject({ code: 0, stdout: '', stderr: 'Everything is up to date.\n' })
    const commit = hub.commit('owner/model', { ...kept, 'config.json': textContent('{"a":2}') })
    origin.serve('/a.bin', { content: randomContent(1_000, 2), etag: '"two"' })
    const told = await run(['outdated'], { cwd, env })
    expect(cells(told.stdout).sort()).toEqual([
      '',
      'REF | STATUS | CHANGES | SIZE | FROM | TO',
      expect.stringMatching(
        new RegExp(`^hf:owner/model \\| outdated \\| 1 \\| 7 B \\| [0-9a-f]{10} \\| ${commit.slice(0, 10)}$`),
      ),
      expect.stringMatching(/^http:.*\/a\.bin \| outdated \| 1 \| 1\.0 kB$/),
    ])
    const unknown = await run(['update', 'hf:owner/other'], { cwd, env })
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('hf:owner/other') })
    const updated = await run(['update', '--json'], { cwd, env })
    expect(updated.code).toBe(0)
    const fetched = hub.origin
      .requests()
      .flatMap(({ path: at }) => /\/resolve\/[^/]+\/(.+)$/.exec(at)?.[1] ?? [])
    expect(fetched.filter((name) => name === 'README.md')).toHaveLength(1)
    expect(fetched.filter((name) => name === 'config.json')).toHaveLength(2)
    expect(readFileSync(path.join(cwd, 'models/model/config.json'), 'utf8')).toBe('{"a":2}')
    expect(readFileSync(path.join(cwd, 'models/a.bin')).equals(randomContent(1_000, 2).slice(0, 1_000))).toBe(
      true,
    )
    const all = jsonLines((await run(['outdated', '--all', '--json'], { cwd, env })).stdout)
    expect(all.map(({ status }) => status)).toEqual(['current', 'current'])
  })
})
