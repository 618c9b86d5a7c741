/**
 * What a careful Node program does with the same means: a lock beside the target, SHA-256 on the way, a sync, a rename. No
 * resume, no checks of the answers.
 */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { request } from 'undici'
import { each } from './each.mjs'

await each(async ({ url, dir, name }) => {
  const target = join(dir, name)
  const lock = await open(`${target}.lock`, 'wx')
  try {
    await lock.writeFile(String(process.pid))
    const { statusCode, body } = await request(url)
    if (statusCode !== 200) throw new Error(`status ${String(statusCode)}`)
    const hash = createHash('sha256')
    await pipeline(
      body,
      async function* (chunks) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          yield chunk
        }
      },
      // Synced before it is closed; flush came with Node 20.10.
      createWriteStream(`${target}.part`, { flush: true }),
    )
    hash.digest('hex')
    await rename(`${target}.part`, target)
  } finally {
    await lock.close()
    await unlink(`${target}.lock`)
  }
})
