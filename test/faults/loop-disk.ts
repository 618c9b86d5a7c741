/** A separate disk whose power can be cut: ext4 or XFS in a file that is shut down by force. Requires vitest. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { Need } from '../support/machine.js'
import { tempDir } from '../support/temp.js'
import { deadline } from '../support/wait.js'

/**
 * What is forced out at the cut: nothing, so that the disk holds what was written by then (`nothing`), or the
 * journal of the file system, so that names and sizes are newer than the data (`metadata`).
 */
export type Cut = 'nothing' | 'metadata'

/** The file system of a disk. */
export type DiskKind = 'ext4' | 'xfs'

// EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), with EXT4_GOING_FLAGS_LOGFLUSH (1) or _NOLOGFLUSH (2). XFS_IOC_GOINGDOWN is
// the same call with the same flags.
const shutdown = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', int(sys.argv[2])))
`

/** Creates, cuts and restores disks. */
export const loopDisks: Need = needOf('ext4', 'e2fsprogs')

/** The same with XFS, which keeps a rename without the content that was not synced. */
export const xfsDisks: Need = needOf('xfs', 'xfsprogs')

function needOf(kind: DiskKind, tools: string): Need {
  return {
    missing: `cutting the power takes root on Linux, loop devices, mkfs.${kind} and python3: apt-get install ${tools} python3, as root`,
    available: () => {
      if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/dev/loop-control'))
        return false
      if (spawnSync('python3', ['-c', 'import fcntl'], { stdio: 'ignore' }).status !== 0) return false
      try {
        const disk = new LoopDisk(16 * 1024 * 1024, kind)
        disk.cut('nothing')
        disk.restart()
        disk.remove()
        return true
      } catch {
        return false
      }
    },
  }
}

/** A smaller disk is refused by mkfs.xfs, in bytes. */
const minXfsBytes = 320 * 1024 * 1024

const disks = new Set<LoopDisk>()
afterAll(() => {
  for (const disk of [...disks]) disk.remove()
})

/** One disk, mounted at {@link path} from the start. */
export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #image: string
  #mounted = false

  constructor(sizeBytes: number, kind: DiskKind = 'ext4') {
    const folder = tempDir('disk')
    this.#image = join(folder, 'image')
    this.path = join(folder, 'mounted')
    mkdirSync(this.path)
    writeFileSync(this.#image, '')
    truncateSync(this.#image, kind === 'xfs' ? Math.max(sizeBytes, minXfsBytes) : sizeBytes)
    run(`mkfs.${kind}`, ['-q', kind === 'xfs' ? '-f' : '-F', this.#image])
    disks.add(this)
    this.#mount()
  }

  /** From now on nothing reaches the disk; all operations fail. */
  cut(how: Cut): void {
    run('python3', ['-c', shutdown, this.path, how === 'metadata' ? '1' : '2'])
  }

  /** The machine is up again. Fails as long as anybody holds a file open there. */
  restart(): void {
    run('umount', [this.path])
    // A test that runs elsewhere in a mount namespace of its own has a copy of the mount until it ends. As long as that
    // is there, mounting the image would give the dead file system once more.
    run('sh', ['-c', 'until [ -z "$(losetup -j "$1")" ]; do sleep 0.05; done', 'sh', this.#image])
    this.#mounted = false
    this.#mount()
  }

  /** Removes it. */
  remove(): void {
    disks.delete(this)
    if (this.#mounted) run('umount', ['-l', this.path])
    this.#mounted = false
  }

  #mount(): void {
    run('mount', ['-o', 'loop', this.#image, this.path])
    this.#mounted = true
  }
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: 'pipe', timeout: deadline(30_000) })
}
