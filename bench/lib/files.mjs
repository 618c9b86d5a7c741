/** Source files of random content with a known digest, and the check of what a tool brought. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'

const BLOCK = 4 * 1024 * 1024

/** @typedef {{ name: string, size: number, sha256: string }} Source */

/**
 * Writes a file of random bytes. An AES counter stream is random enough to defeat any compression and much
 * faster than the kernel's generator.
 * @returns {Promise<Source>}
 */
export async function makeFile(dir, name, size) {
  const stream = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16))
  const zeros = Buffer.alloc(Math.min(BLOCK, size))
  const hash = createHash('sha256')
  const file = await open(join(dir, name), 'w', 0o644)
  try {
    for (let written = 0; written < size; written += zeros.length) {
      const block = stream.update(zeros.subarray(0, Math.min(zeros.length, size - written)))
      hash.update(block)
      await file.write(block)
    }
  } finally {
    await file.close()
  }
  return { name, size, sha256: hash.digest('hex') }
}

/**
 * @param {string} dir
 * @param {Source[]} sources
 * @returns {Promise<string | null>} what is wrong, or null when every file arrived right
 */
export async function findFault(dir, sources) {
  const block = Buffer.allocUnsafe(BLOCK)
  for (const { name, sha256 } of sources) {
    let got
    try {
      got = await digest(join(dir, name), block)
    } catch (error) {
      return `${name}: ${error.code ?? error.message}`
    }
    if (got !== sha256) return `${name}: wrong digest`
  }
  return null
}

async function digest(path, block) {
  const hash = createHash('sha256')
  const file = await open(path)
  try {
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length, null)
      if (bytesRead === 0) return hash.digest('hex')
      hash.update(block.subarray(0, bytesRead))
    }
  } finally {
    await file.close()
  }
}

export async function removeFiles(dir, sources) {
  await Promise.all(sources.map(({ name }) => rm(join(dir, name), { force: true })))
}
