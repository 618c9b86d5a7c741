/** File systems of other systems, mounted from a file. Requires root on Linux. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { findProgram, type Need } from './machine.js'
import { tempDir } from './temp.js'
import { deadline } from './wait.js'

/** What {@link mountExfat} takes. */
export const exfat: Need = {
  missing:
    'exFAT takes root on Linux, loop devices, FUSE and the tools of exFAT: apt-get install exfat-fuse exfatprogs, as root',
  available: () =>
    process.platform === 'linux' &&
    process.getuid?.() === 0 &&
    existsSync('/dev/fuse') &&
    existsSync('/dev/loop-control') &&
    ['mkfs.exfat', 'mount.exfat-fuse', 'losetup'].every((name) => findProgram([name]) !== null),
}

/** A file system that is unmounted when it is disposed of. */
export interface Mount extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string
  /** Writes back what is cached, and tells how many bytes the device has been given since it was mounted. */
  writtenBytes(): number
}

const open = new Set<() => void>()

// A run that is ended from outside leaves no mounts behind either.
process.once('exit', () => {
  for (const close of open) close()
})

/**
 * Mounts an exFAT of `sizeBytes`, in a file. It has no hard links, no symbolic links, no permissions and no holes, and
 * names that differ in case only are one.
 */
export async function mountExfat(sizeBytes: number): Promise<Mount> {
  const folder = tempDir('exfat')
  const path = join(folder, 'mounted')
  const image = join(folder, 'image')
  mkdirSync(path)
  writeFileSync(image, '')
  truncateSync(image, sizeBytes)
  run('mkfs.exfat', [image])
  const device = run('losetup', ['--find', '--show', image]).trim()
  const close = () => {
    if (!open.delete(close)) return
    try {
      run('umount', ['-l', path])
    } finally {
      run('losetup', ['--detach', device])
      rmSync(folder, { recursive: true, force: true })
    }
  }
  open.add(close)
  try {
    run('mount.exfat-fuse', [device, path])
  } catch (error) {
    open.delete(close)
    run('losetup', ['--detach', device])
    throw error
  }
  const sectors = () =>
    Number(
      readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
        .trim()
        .split(/\s+/)[6],
    )
  const before = sectors()
  return {
    path,
    writtenBytes() {
      run('sync', [device])
      run('blockdev', ['--flushbufs', device])
      return (sectors() - before) * 512
    },
    [Symbol.asyncDispose]() {
      close()
      return Promise.resolve()
    },
  }
}

function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: deadline(30_000),
  })
}
