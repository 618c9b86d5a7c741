/** File systems in user space that refuse what others offer, as those of sticks, network drives and virtual machines do. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { it } from 'vitest'
import { describeWith, findProgram, type Need } from './machine.js'
import { tempDir } from './temp.js'
import { deadline } from './wait.js'

/** A file system that is mounted until it is disposed of. */
export interface FuseMount extends AsyncDisposable {
  readonly path: string
}

/** A kind of file system. */
export interface FuseKind {
  name: string
  need: Need
  mount: () => Promise<FuseMount>
}

const open = new Set<() => void>()

// A run that is ended from outside leaves no mounts behind either.
process.once('exit', () => {
  for (const close of open) close()
})

/**
 * All kinds. exFAT has no links, no permissions, no holes and no case. The other one, bindfs, belongs to somebody else and
 * lets nobody set permissions, as a drive of Windows under WSL, a CIFS share or a vfat that another user has mounted.
 */
export const fuseKinds: readonly FuseKind[] = [
  {
    name: 'exFAT',
    need: needOf('exfat-fuse exfatprogs', ['mkfs.exfat', 'mount.exfat-fuse', 'losetup'], '/dev/loop-control'),
    mount: () => mountExfat(),
  },
  {
    name: 'bindfs',
    need: needOf('bindfs fuse3', ['bindfs'], '/dev/fuse'),
    mount: mountBindfs,
  },
]

function needOf(packages: string, programs: readonly string[], device: string): Need {
  return {
    missing: `mounting this takes root on Linux, /dev/fuse and ${device}: apt-get install ${packages}, as root`,
    available: () =>
      process.getuid?.() === 0 &&
      [device, '/dev/fuse'].every((path) => existsSync(path)) &&
      programs.every((name) => findProgram([name]) !== null),
  }
}

/** Whether the kernel knows such file systems at all; if not, no package helps, and CI does not insist. */
function hasFuse(): boolean {
  try {
    return /\bfuse$/m.test(readFileSync('/proc/filesystems', 'utf8'))
  } catch {
    return false
  }
}

/** `describe` for each kind; one that this machine can't mount is skipped, or fails with `CI=true`. */
export function describeFuse(
  name: string,
  tests: (kind: FuseKind) => void,
  kinds: readonly FuseKind[] = fuseKinds,
): void {
  for (const kind of kinds) {
    if (hasFuse()) describeWith(kind.need, `${name}: ${kind.name}`, () => tests(kind))
    else it(`${name}: ${kind.name}`, (context) => context.skip('the kernel of this machine has no FUSE'))
  }
}

/** An exFAT, whose writes are counted. */
export interface ExfatMount extends FuseMount {
  /** Writes back what is cached, and tells how many bytes the device has been given since it was mounted. */
  writtenBytes(): number
}

/** Mounts an exFAT of `sizeBytes`, in a file. */
export async function mountExfat(sizeBytes = 64 * 1024 * 1024): Promise<ExfatMount> {
  const folder = tempDir('exfat')
  const path = join(folder, 'mounted')
  const image = join(folder, 'image')
  mkdirSync(path)
  writeFileSync(image, '')
  truncateSync(image, sizeBytes)
  run('mkfs.exfat', [image])
  const device = run('losetup', ['--find', '--show', image]).trim()
  const detach = () => {
    run('losetup', ['--detach', device])
    rmSync(folder, { recursive: true, force: true })
  }
  const mount = mounted(path, () => run('mount.exfat-fuse', [device, path]), detach)
  const sectors = () => {
    const numbers = readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
      .trim()
      .split(/\s+/)
    return Number(numbers[6])
  }
  const before = sectors()
  return {
    ...mount,
    writtenBytes() {
      run('sync', [device])
      run('blockdev', ['--flushbufs', device])
      return (sectors() - before) * 512
    },
  }
}

async function mountBindfs(): Promise<FuseMount> {
  const folder = tempDir('bindfs')
  const [real, path] = [join(folder, 'real'), join(folder, 'mounted')]
  mkdirSync(real)
  mkdirSync(path)
  const mount = () => run('bindfs', ['--chmod-deny', '--chown-deny', '--force-user=54321', real, path])
  return mounted(path, mount, () => undefined)
}

function mounted(path: string, mount: () => void, after: () => void): FuseMount {
  try {
    mount()
  } catch (error) {
    after()
    throw error
  }
  const close = () => {
    if (!open.delete(close)) return
    try {
      run('umount', ['-l', path])
    } finally {
      after()
    }
  }
  open.add(close)
  return {
    path,
    [Symbol.asyncDispose]: () => {
      close()
      return Promise.resolve()
    },
  }
}

function run(command: string, args: readonly string[]): string {
  const timeout = deadline(30_000)
  return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', timeout })
}
