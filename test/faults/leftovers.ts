/** Part files and journals of a stopped run, to be damaged and resumed from. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DownloadOptions } from '../../src/index.js'
import { parseJournal, type Journal } from '../../src/engine/part/journal.js'
import type { Content } from '../support/content.js'
import type { Origin, Resource } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { makeManager } from './harness.js'

/** The files beside an incomplete target. */
export interface Kept {
  name: string
  part: Buffer
  journal: Journal
}

/** Downloads about `share` of a file that is called like the path, stops, and takes what was left into memory. */
export async function makeKept(
  origin: Origin,
  path: string,
  content: Content,
  {
    share = 0.5,
    resource = {},
    ...options
  }: { share?: number; resource?: Resource } & Partial<DownloadOptions> = {},
): Promise<Kept> {
  const directory = tempDir('kept')
  const name = path.slice(path.lastIndexOf('/') + 1)
  origin.serve(path, { content, ...resource, bytesPerSecond: content.size })
  const manager = makeManager(directory, { connections: 2 })
  const download = await manager.download({ url: origin.url(path), ...options })
  await waitFor(() => download.current.downloaded >= content.size * share, { what: 'some bytes' })
  await manager.close()
  origin.serve(path, { content, ...resource })
  origin.clearRequests()
  const part = await readFile(join(directory, `${name}.part`))
  const journal = parseJournal(await readFile(join(directory, `${name}.part.json`), 'utf8'))
  if (journal === null) throw new Error('The journal that was left cannot be read.')
  return { name, part, journal }
}

/** Puts part and journal into a new folder; null leaves one of them out. */
export async function layOut(
  name: string,
  { part, journal }: { part: Buffer | null; journal: string | Buffer | Journal | null },
): Promise<string> {
  const directory = join(tempDir('laid'), 'models')
  await mkdir(directory)
  if (part !== null) await writeFile(join(directory, `${name}.part`), part)
  if (journal !== null) {
    const text = typeof journal === 'string' || Buffer.isBuffer(journal) ? journal : JSON.stringify(journal)
    await writeFile(join(directory, `${name}.part.json`), text)
  }
  return directory
}

/** Sum of the lengths of intervals. */
export function lengthOf(intervals: Journal['written']): number {
  return intervals.reduce((sum, [from, to]) => sum + to - from, 0)
}
