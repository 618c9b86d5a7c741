/** Places for files that go away after the test file: `setup.ts` sees to it. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'

const folders: string[] = []
const mounts: string[] = []

/** Removes all of them. */
export function removeTemp(): void {
  for (const mount of mounts.splice(0)) execFileSync('umount', ['-l', mount])
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** A new empty folder below the system's, gone after the test file. */
export function tempDir(name = 'test'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `model-downloader-${name}-`)))
  folders.push(folder)
  return folder
}

/** Everything below a folder as sorted relative paths with `/`; folders end with one. A missing folder is empty. */
export async function listTree(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  return entries
    .map((entry) => {
      const path = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/')
      return entry.isDirectory() ? `${path}/` : path
    })
    .sort()
}

/** Lower-case hex SHA-256 of a file, streamed. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    // Without an encoding, a read stream gives Buffers.
    hash.update(chunk as Buffer)
  }
  return hash.digest('hex')
}

/**
 * A file system of its own with room for `sizeBytes` (rounded up to pages), in a new folder; unmounted after the
 * test file. Null when this machine doesn't let us mount: it takes root on Linux.
 */
export function smallTmpfs(sizeBytes: number): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null
  const folder = tempDir('tmpfs')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0700`, 'tmpfs', folder], {
      stdio: 'pipe',
    })
  } catch {
    return null
  }
  mounts.push(folder)
  return folder
}
