/** What most Node programs do: undici's body through `stream.pipeline` into a file. One connection per file. */
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { request } from 'undici'
import { each } from './each.mjs'

await each(async ({ url, dir, name }) => {
  const { statusCode, body } = await request(url)
  if (statusCode !== 200) throw new Error(`status ${String(statusCode)}`)
  await pipeline(body, createWriteStream(join(dir, name)))
})
