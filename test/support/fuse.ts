/** File systems in user space that refuse what others offer, as those of sticks, network drives and virtual machines do. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
    mount: mountExfat,
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
export function describeFuse(name: string, tests: (kind: FuseKind) => void): void {
  for (const kind of fuseKinds) {
    if (hasFuse()) describeWith(kind.need, `${name}: ${kind.name}`, () => tests(kind))
    else it(`${name}: ${kind.name}`, (context) => context.skip('the kernel of this machine has no FUSE'))
  }
}

async function mountExfat(): Promise<FuseMount> {
  const folder = tempDir('exfat')
  const path = join(folder, 'mounted')
  const image = join(folder, 'image')
  mkdirSync(path)
  writeFileSync(image, '')
  truncateSync(image, 64 * 1024 * 1024)
  run('mkfs.exfat', [image])
  const device = run('losetup', ['--find', '--show', image]).trim()
  const detach = () => {
    run('losetup', ['--detach', device])
    rmSync(folder, { recursive: true, force: true })
  }
  return mounted(path, () => run('mount.exfat-fuse', [device, path]), detach)
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
