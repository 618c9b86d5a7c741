/** Requirements that tests have on the machine, such as root, strace or namespaces. Requires vitest. */
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { RunningProcess, root, type RunOptions } from './process.js'

/** A requirement that not every machine meets. */
export interface Need {
  missing: string
  /** Whether the machine meets it. Called once per use of {@link describeWith}. */
  available: () => boolean
}

const works = (command: string, args: readonly string[]): boolean =>
  process.platform === 'linux' && spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** Strace, to make system calls of a program fail. */
export const strace: Need = {
  missing: 'no strace here, or no right to trace: apt-get install strace, as root',
  available: () =>
    works('strace', [
      ...traceOnly('fdatasync').slice(1),
      '-o',
      '/dev/null',
      '-e',
      'inject=fdatasync:error=EIO',
      'true',
    ]),
}

/**
 * Command prefix that traces some calls of a program and its threads, to make them fail. All other calls run at full
 * speed. Not for signals, which strace does not always deliver in this mode.
 */
export function traceOnly(calls: string): readonly string[] {
  return ['strace', '-f', '--seccomp-bpf', '-qq', '-e', `trace=${calls}`]
}

/** Namespaces, to have a separate network and separate mounts. */
export const namespaces: Need = {
  missing:
    'network namespaces take root on Linux, unshare and ip: apt-get install util-linux iproute2, as root',
  available: () => works('unshare', ['-n', '-m', 'ip', 'link', 'set', 'lo', 'up']),
}

/** Command prefix that runs a command as a container does: it is process 1, and its host has a name of its own. */
export function container(host: string): readonly string[] {
  return [
    ...['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', '--uts'],
    ...['sh', '-c', `hostname ${host}; exec "$@"`, 'sh'],
  ]
}

/** The right to mount file systems. */
export const mounting: Need = {
  missing: 'mounting a tmpfs takes root on Linux: apt-get install mount util-linux, as root',
  available: () => works('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']),
}

/** The right to run as another user, because file modes have no effect for root. */
export const nobody: Need = {
  missing:
    'running as nobody takes root on Linux, setpriv, and a checkout that nobody may read: apt-get install util-linux, as root',
  available: () =>
    works('setpriv', [...asNobody.slice(1), process.execPath, '-e', `process.chdir('${root}')`]),
}

/** Command prefix that runs a command as an unprivileged user. */
export const asNobody: readonly string[] = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

/** A real browser. */
export const chromium: Need = {
  missing: 'no Chromium here: apt-get install chromium-headless-shell',
  available: () => {
    const path = findChromium()
    return path !== null && spawnSync(path, ['--version'], { stdio: 'ignore' }).status === 0
  },
}

/** Firefox, for the dashboard. */
export const firefox: Need = {
  missing: 'no Firefox here: apt-get install firefox-esr',
  available: () => findProgram(['firefox-esr', 'firefox']) !== null,
}

/** Curl, for the commands in the documents. */
export const curl: Need = {
  missing: 'no curl here: apt-get install curl',
  available: () => spawnSync('sh', ['-c', 'curl --version'], { stdio: 'ignore' }).status === 0,
}

/**
 * The path of Chromium, whose name depends on the system; null when it is not installed. The shell without windows comes
 * first, as its pages take half the CPU time.
 */
export function findChromium(): string | null {
  return findProgram(['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'])
}

/** The path of the first of some programs that is installed; null when none is. */
export function findProgram(names: readonly string[]): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  const paths = names.flatMap((name) => folders.map((folder) => join(folder, name)))
  return paths.find((path) => existsSync(path)) ?? null
}

/** Changes the limits of a process that runs. */
export const prlimit: Need = {
  missing: 'no prlimit here: apt-get install util-linux',
  available: () => works('prlimit', ['--version']),
}

/** Its `/proc`, and what else only Linux has. */
export const linux: Need = {
  missing: 'this is about Linux: docker run -it -v "$PWD:/work" -w /work node npm test',
  available: () => process.platform === 'linux',
}

/** What POSIX has and Windows has not: file modes, named pipes, a shell called sh. */
export const posix: Need = {
  missing: 'Windows has no file modes, no named pipes and no POSIX shell',
  available: () => process.platform !== 'win32',
}

/** Folders that can be synced. */
export const folderSync: Need = {
  missing: 'Windows syncs no folders',
  available: () => process.platform !== 'win32',
}

/** A file that somebody has open gives its name away at once when it is deleted. */
export const unlinkOpen: Need = {
  missing: 'Windows keeps the name of a deleted file until everybody has closed it',
  available: () => process.platform !== 'win32',
}

/** Symbolic links. On Windows they take a right that few users have; under Wine none is made, without an error. */
export const symlinks: Need = {
  missing: 'no symbolic links here: on Windows, turn on the developer mode',
  available: () => {
    const folder = mkdtempSync(join(tmpdir(), 'model-downloader-links-'))
    try {
      symlinkSync(folder, join(folder, 'link'))
      return lstatSync(join(folder, 'link')).isSymbolicLink()
    } catch {
      return false
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/**
 * `describe` for tests with a requirement. Where it is not met, a single test takes their place. It is skipped with a
 * message that says what is missing, or fails when the environment has `CI=true`.
 */
export function describeWith(need: Need, name: string, tests: () => void): void {
  if (need.available()) {
    describe(name, tests)
    return
  }
  it(`${name} (${need.missing})`, (context) => skipFor(context, need))
}

/** Ends one test whose need is not met: skipped, saying what is missing; with `CI=true` in the environment it fails. */
export function skipFor(context: TestContext, { missing }: Need): never {
  expect(process.env['CI'], missing).not.toBe('true')
  context.skip(missing)
}

/** Runs the current Node under another command: `[...wrapper, node, ...args]`. */
export function spawnUnder(
  wrapper: readonly string[],
  args: readonly string[],
  options: RunOptions = {},
): RunningProcess {
  const [command = process.execPath, ...rest] = [...wrapper, process.execPath, ...args]
  return new RunningProcess(command, rest, options)
}
