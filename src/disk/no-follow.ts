/** Opens files without following a symbolic link, also where the system has no flag for it. */
import { withHandles } from './errors.js'
import { constants } from './fs.js'
import { type FileIo, io } from './io.js'

/** `O_NOFOLLOW`; null on Windows, which does not have it, whatever its type says. */
const noFollow = (constants.O_NOFOLLOW as number | undefined) ?? null

/** `O_RDONLY`, and `O_NONBLOCK` where it exists, which keeps a FIFO from blocking the open. */
export const readOnly = constants.O_RDONLY | constants.O_NONBLOCK

/** How often a file is opened that somebody replaces at the same time. */
const maxTries = 3

/**
 * Opens a file that is no symbolic link. Where the system has no `O_NOFOLLOW`, the path is looked at before, and the
 * file must be the one that was seen there.
 *
 * @param flags - without `O_NOFOLLOW`. With `O_EXCL` no link is ever followed.
 * @param options - `mode`: permissions of a new file. `deadlineMs`: how long to wait for a free handle; default as in
 * `withHandles`. `files`: the file operations; default those of this thread. `flag`: `O_NOFOLLOW`, or null for a
 * system without it; for tests.
 * @returns the descriptor.
 * @throws the error of the file system; `ELOOP` for a link.
 */
export async function openNoFollow(
  path: string,
  flags: number,
  {
    mode,
    deadlineMs,
    files = io,
    flag = noFollow,
  }: { mode?: number; deadlineMs?: number | undefined; files?: FileIo; flag?: number | null } = {},
): Promise<number> {
  const open = () => withHandles(() => files.open(path, flags | (flag ?? 0), mode), deadlineMs)
  if (flag !== null || (flags & constants.O_EXCL) !== 0) return await open()
  for (let tries = 1; ; tries += 1) {
    const before = await files.lstat(path)
    if (before.isSymbolicLink()) throw isLink(path)
    const fd = await open()
    try {
      // Devices are not compared: some versions of libuv tell another one for a path than for an open file.
      if ((await files.fstat(fd)).ino === before.ino) return fd
    } catch (error) {
      await files.close(fd)
      throw error
    }
    await files.close(fd)
    if (tries === maxTries) throw isLink(path)
  }
}

function isLink(path: string): Error {
  return Object.assign(new Error(`ELOOP: the path is a symbolic link, open '${path}'`), {
    code: 'ELOOP',
    syscall: 'open',
    path,
  })
}
