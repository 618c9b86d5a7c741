/**
 * Groups over HTTP: abridged in lists, complete when requested individually, and within the limits of remote
 * callers.
 */
import { describe, expect, it } from 'vitest'
import { huggingFace } from '../../src/index.js'
import { wireDownload } from '../../src/http/schemas.js'
import { open } from '../catalog/support.js'
import { KiB } from '../faults/harness.js'
import { expectFiles } from '../manager/group-scene.js'
import { randomContent, textContent } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { join } from 'node:path'
import { rm, writeFile } from 'node:fs/promises'
import { openEvents, startHttp } from './bench.js'

const ref = 'hf:owner/model'
const files = {
  'a.json': textContent('{}'),
  'b.json': textContent('[]'),
  'deep/c.bin': randomContent(300 * KiB, 'c'),
}
const sources = (hub: Hub) => [huggingFace({ endpoint: hub.url, token: null })]

describe('a group', () => {
  it('is one entry everywhere, and tells of its files where it alone is asked for', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    hub.cdnBehaviour = { bytesPerSecond: 100 * KiB }
    await using bench = await startHttp({ of: { sources: sources(hub) }, allowPrivateNetwork: true })
    const all = await openEvents(bench.handler, '/api/models/download/events')
    const { status, body } = await bench.post({ url: ref, exclude: ['b.json'] })
    expect(status).toBe(200)
    expect(body).toMatchObject({ success: true, url: ref, filename: 'model', message: 'Download started' })
    await waitFor(() => (bench.manager.get(ref)?.group?.completed ?? 0) > 0, { what: 'a file' })

    const one = await bench.status(ref)
    expect(wireDownload.parse(one)).toEqual(one)
    expect(one).toMatchObject({ filename: 'model', file_count: 2, files_completed: 1 })
    expect(one.files).toEqual([
      expect.objectContaining({
        filename: 'a.json',
        size: 2,
        downloaded: 2,
        state: 'completed',
        error: null,
      }),
      expect.objectContaining({ filename: 'deep/c.bin', size: 300 * KiB, state: 'downloading', code: null }),
    ])
    const list = await bench.ask('GET', '/api/models/download/status')
    expect(list.body).toMatchObject({ downloads: { [ref]: { file_count: 2, files: null } } })
    const own = await openEvents(bench.handler, `/api/models/download/events?url=${encodeURIComponent(ref)}`)
    const snapshot = await own.next()
    expect(snapshot.data['files']).toHaveLength(2)

    const paused = await bench.ask('POST', '/api/models/download/pause', { json: { url: ref } })
    expect(paused.body).toMatchObject({ download: { state: 'paused', files: [{}, { state: 'paused' }] } })
    hub.cdnBehaviour = {}
    await bench.ask('POST', '/api/models/download/resume', { json: { url: ref } })
    for (;;) {
      const { event, data } = await own.next()
      if (event === 'log') continue
      expect(data['files'], event).toHaveLength(2)
      if (data['state'] === 'completed') break
    }
    for (;;) {
      const { event, data } = await all.next()
      if (event === 'snapshot' || event === 'log') continue
      expect(data['files'], event).toBeNull()
      if (event === 'state' && data['state'] === 'completed') {
        expect(data).toMatchObject({ file_count: 2, files_completed: 2 })
        break
      }
    }
  })

  it('of a remote caller reaches no further with any of its files than one file would', async () => {
    await using hub = await startHub()
    hub.add('owner/model', { files })
    // The hub may be asked; what it redirects to, such as the CDN, may not.
    const allowedHosts = [new URL(hub.url).host]
    await using bench = await startHttp({
      of: { sources: sources(hub) },
      allowPrivateNetwork: false,
      allowedHosts,
    })
    await bench.post({ url: ref })
    await waitFor(() => bench.manager.get(ref)?.state === 'failed', { what: 'the end' })
    const one = await bench.status(ref)
    expect(one).toMatchObject({ code: 'GROUP_INCOMPLETE', files_completed: 2 })
    expect(one.files?.map(({ filename, code }) => [filename, code])).toEqual([
      ['a.json', null],
      ['b.json', null],
      ['deep/c.bin', 'SSRF_BLOCKED'],
    ])
    expect(hub.cdn.totalConnections).toBe(0)
  })
})

it('a model of a catalog that is a group is ready when all of its files are there', async () => {
  await using hub = await startHub()
  hub.add('owner/model', { files })
  const directory = tempDir('group-catalog')
  await using scene = await open([{ key: 'model', ref }], { directory, worker: false, sources: sources(hub) })
  const ready = async () => (await scene.preloader.modelsStatus()).models['model']
  expect(await ready()).toMatchObject({ ready: false })
  await scene.preloader.start({ models: 'all' })
  expect(await scene.end()).toMatchObject({ success_flag: true, completed: 1 })
  const folder = join(directory, 'llm', 'model')
  await expectFiles(folder, files)
  expect(await ready()).toMatchObject({ ready: true, cache_hint: folder })
  await rm(join(folder, 'deep', 'c.bin'))
  expect(await ready()).toMatchObject({ ready: false })
  await writeFile(join(folder, 'deep', 'c.bin'), 'short')
  expect(await ready()).toMatchObject({ ready: false })
  await scene.preloader.start({ models: 'all' })
  await scene.end()
  await expectFiles(folder, files)
  expect(await ready()).toMatchObject({ ready: true })
})
