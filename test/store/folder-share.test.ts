import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { FileStore } from '../../src/store/file.js'
import { FolderShare } from '../../src/store/folder-share.js'
import { ManualClock } from '../support/clock.js'
import { tempDir } from '../support/temp.js'
import { recordOf } from './conformance.js'

const clock = new ManualClock()
const open: FileStore[] = []
const openIn = (folder: string) => {
  const store = new FileStore(folder, clock, new FolderShare(folder, clock))
  open.push(store)
  return store
}
const urlsOf = async (store: FileStore) => (await store.load()).records.map(({ url }) => url)
const urlOf = (n: number) => recordOf(n).url
const queued = (n: number) => recordOf(n, { state: 'queued' })
const done = (n: number) => recordOf(n, { state: 'completed' })

afterEach(async () => {
  await Promise.all(open.splice(0).map((store) => store.close()))
})

it('leaves the unfinished records of the first manager to it, and no others', async () => {
  const folder = join(tempDir('share'), '.model-downloader')
  const first = openIn(folder)
  await first.save(queued(1))
  await first.save(done(2))
  const second = openIn(folder)
  let others = 0
  second.share!.onOther = () => (others += 1)
  expect(await urlsOf(second)).toEqual([urlOf(2)])
  await second.save(queued(3))
  await second.save(recordOf(1, { state: 'failed' }))
  await second.remove(queued(1).id)
  expect(others).toBe(1)
  expect((await urlsOf(first)).sort()).toEqual([urlOf(1), urlOf(2)])
  await first.save(recordOf(3, { state: 'paused' }))
  expect((await second.load()).records.find(({ url }) => url === urlOf(3))?.state).toBe('queued')
})

it('takes over what a manager has left behind that has ended, whichever it was', async () => {
  const folder = join(tempDir('share'), '.model-downloader')
  const [first, second] = [openIn(folder), openIn(folder)]
  await first.save(queued(1))
  await second.save(queued(2))
  expect(await urlsOf(second)).toEqual([urlOf(2)])
  const taken = new Promise<void>((resolve) => {
    second.share!.onTaken = async () => {
      resolve()
    }
  })
  await first.close()
  clock.advance(5_000)
  await taken
  expect((await urlsOf(second)).sort()).toEqual([urlOf(1), urlOf(2)])
  await second.close()
  expect((await urlsOf(openIn(folder))).sort()).toEqual([urlOf(1), urlOf(2)])
})

it('adds nothing to what is stored by a manager that is alone, and leaves no lock behind', async () => {
  const folder = join(tempDir('share'), '.model-downloader')
  const store = openIn(folder)
  const record = queued(1)
  await store.save(record)
  expect(await readFile(join(folder, `${record.id}.json`), 'utf8')).toBe(`${JSON.stringify(record)}\n`)
  await store.close()
  expect(await readdir(folder)).toEqual([`${record.id}.json`])
})
