/** Temporary folders, which `setup.ts` removes after each test file. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'

const folders: string[] = []
const mounts: string[] = []

/** Removes all temporary folders. */
export function removeTemp(): void {
  for (const mount of mounts.splice(0)) execFileSync('umount', ['-l', mount])
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** Creates an empty folder in the system's temporary folder. It is removed after the test file. */
export function tempDir(name = 'test'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `model-downloader-${name}-`)))
  folders.push(folder)
  return folder
}

/** All entries below a folder as sorted relative paths with `/`, which folders end with. Empty for a missing folder. */
export async function listTree(folder: string): Promise<string[]> {
  const paths: string[] = []
  // Not `readdir` with `recursive`, which follows links in some versions of Node. Nor anything of `src`, since this file is
  // loaded before a test can replace modules.
  const open = [folder]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const entries = await readdir(next, { withFileTypes: true }).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
      throw error
    })
    for (const entry of entries) {
      const path = join(next, entry.name)
      const shown = relative(folder, path).split(sep).join('/')
      if (entry.isDirectory()) open.push(path)
      paths.push(entry.isDirectory() ? `${shown}/` : shown)
    }
  }
  // The lock of a manager that has not been closed yet.
  return paths.filter((path) => !path.endsWith('.model-downloader/manager.lock')).sort()
}

/** Computes the lower-case hex SHA-256 of a file by streaming it. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    // Without an encoding, a read stream yields Buffers.
    hash.update(chunk as Buffer)
  }
  return hash.digest('hex')
}

/**
 * Mounts a file system with room for `sizeBytes` (rounded up to pages) in a new folder. It is unmounted after the test
 * file. Returns null where mounting is not possible: it requires root on Linux.
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
