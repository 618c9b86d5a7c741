/**
 * The frame of the small Node tools: `node tool.mjs --dir DIR [--connections N] URL…`.
 * Several URLs are fetched 16 at a time; the file name is the last part of the URL.
 */
import { basename } from 'node:path'
import { parseArgs } from 'node:util'

const FILES_AT_ONCE = 16

/** @param {(file: { url: string, dir: string, name: string, connections: number }) => Promise<unknown>} fetchOne */
export async function each(fetchOne) {
  const { values, positionals: urls } = parseArgs({
    allowPositionals: true,
    options: { dir: { type: 'string' }, connections: { type: 'string', default: '8' } },
  })
  const dir = values.dir
  if (dir === undefined || urls.length === 0) {
    throw new Error('usage: --dir DIR [--connections N] URL…')
  }
  const connections = Number(values.connections)
  const waiting = urls.values()
  const worker = async () => {
    // All workers draw from one iterator, so each URL is taken once.
    for (const url of waiting) {
      await fetchOne({ url, dir, name: basename(new URL(url).pathname), connections })
    }
  }
  await Promise.all(Array.from({ length: Math.min(FILES_AT_ONCE, urls.length) }, worker))
}
