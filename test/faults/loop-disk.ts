/** A separate disk whose power can be cut: ext4, XFS or btrfs in a file. Requires vitest. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
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

/** The file systems that a disk can have. */
export const diskKinds = ['ext4', 'xfs', 'btrfs'] as const

/** The file system of a disk. */
export type DiskKind = (typeof diskKinds)[number]

// EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), with EXT4_GOING_FLAGS_LOGFLUSH (1) or _NOLOGFLUSH (2). XFS_IOC_GOINGDOWN is
// the same call with the same flags.
const shutdown = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', int(sys.argv[2])))
`

// BTRFS_IOC_START_SYNC, _IOR(0x94, 24, __u64), and BTRFS_IOC_WAIT_SYNC, _IOW(0x94, 22, __u64): commits the transaction
// without writing the data of files first, which sync() would do.
const commit = `
import fcntl, os, sys
fs = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fs, 0x40089416, fcntl.ioctl(fs, 0x80089418, bytes(8)))
`

/** What creating, cutting and restoring disks takes. */
export const diskNeeds: Readonly<Record<DiskKind, Need>> = {
  ext4: needOf('ext4', 'e2fsprogs'),
  xfs: needOf('xfs', 'xfsprogs'),
  btrfs: needOf('btrfs', 'e2fsprogs btrfs-progs'),
}

function needOf(kind: DiskKind, tools: string): Need {
  return {
    missing: `cutting the power takes root on Linux, loop devices, mkfs.${kind} and python3: apt-get install ${tools} python3, as root`,
    available: () => {
      if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/dev/loop-control'))
        return false
      if (spawnSync('python3', ['-c', 'import fcntl'], { stdio: 'ignore' }).status !== 0) return false
      try {
        const disk = new LoopDisk(16 * MiB, kind)
        try {
          disk.cut('nothing')
          disk.restart()
        } finally {
          disk.remove()
        }
        return true
      } catch {
        return false
      }
    },
  }
}

const MiB = 1024 * 1024

/** A smaller disk is refused by mkfs, in bytes. */
const minBytes: Readonly<Record<DiskKind, number>> = { ext4: 0, xfs: 320 * MiB, btrfs: 128 * MiB }

const disks = new Set<LoopDisk>()

function removeAll(): void {
  for (const disk of [...disks]) disk.remove()
}

afterAll(removeAll)
// A run that is ended from outside, too, leaves no mounts behind; nor does one whose runner is gone.
process.once('exit', removeAll)
for (const event of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(event, () => process.exit(1))

/**
 * One disk, mounted at {@link path} from the start.
 *
 * A btrfs can't be shut down by force, so its image lies on an ext4 that can, as on a disk with a volatile cache: a flush
 * of the loop device syncs the image; what was written after the last flush is lost with the page cache of the ext4, but
 * for what it happened to have written back by then. The space of the image is allocated from the start and never
 * discarded, so the ext4 adds no order of its own.
 */
export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #kind: DiskKind
  readonly #folder: string
  readonly #carrier: LoopDisk | null = null
  readonly #image: string
  #mounted = false

  constructor(sizeBytes: number, kind: DiskKind = 'ext4') {
    const size = Math.max(sizeBytes, minBytes[kind])
    this.#kind = kind
    this.#folder = tempDir('disk')
    this.path = join(this.#folder, 'mounted')
    mkdirSync(this.path)
    if (kind === 'btrfs') this.#carrier = new LoopDisk(size + 32 * MiB)
    this.#image = join(this.#carrier?.path ?? this.#folder, 'image')
    disks.add(this)
    try {
      if (this.#carrier === null) {
        writeFileSync(this.#image, '')
        truncateSync(this.#image, size)
      } else run('fallocate', ['-l', String(size), this.#image])
      run(`mkfs.${kind}`, [...mkfsOptions[kind], this.#image])
      if (this.#carrier !== null) run('sync', ['-f', this.#carrier.path])
      this.#mount()
    } catch (error) {
      this.remove()
      throw error
    }
  }

  /** From now on nothing reaches the disk; all operations fail. */
  cut(how: Cut): void {
    if (this.#carrier !== null) {
      if (how === 'metadata') run('python3', ['-c', commit, this.path])
      this.#carrier.cut('nothing')
    } else run('python3', ['-c', shutdown, this.path, how === 'metadata' ? '1' : '2'])
  }

  /** The machine is up again. Fails as long as anybody holds a file open there. */
  restart(): void {
    run('umount', [this.path])
    this.#mounted = false
    // A test that runs elsewhere in a mount namespace of its own has a copy of the mount until it ends. As long as that
    // is there, mounting the image would give the dead file system once more.
    run('sh', ['-c', 'until [ -z "$(losetup -j "$1")" ]; do sleep 0.05; done', 'sh', this.#image])
    this.#carrier?.restart()
    this.#mount()
  }

  /** Removes it. */
  remove(): void {
    disks.delete(this)
    if (this.#mounted) run('umount', ['-l', this.path])
    this.#mounted = false
    this.#carrier?.remove()
    // Otherwise the disks of many rounds would fill that of the machine.
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #mount(): void {
    run('mount', ['-o', this.#kind === 'btrfs' ? 'loop,nodiscard' : 'loop', this.#image, this.path])
    this.#mounted = true
  }
}

/** Quietly, and over whatever is there. */
const mkfsOptions: Readonly<Record<DiskKind, readonly string[]>> = {
  ext4: ['-q', '-F'],
  xfs: ['-q', '-f'],
  btrfs: ['-q', '-f', '-K'],
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: 'pipe', timeout: deadline(30_000) })
}
