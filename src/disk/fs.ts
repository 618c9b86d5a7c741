/**
 * The parts of `node:fs` and `node:fs/promises` that this package uses. Every file of `src` imports them from here, so
 * that there is one place to simulate the disk or to instrument its calls.
 *
 * These are plain re-exports. Of functions that both modules have, the plain name is the one of `node:fs/promises`, and
 * the one with a callback ends with `Callback`.
 */
export {
  close,
  closeSync,
  constants,
  type Dirent,
  existsSync,
  fchmod,
  fchmodSync,
  fdatasync,
  fstat,
  fstatSync,
  fsync,
  ftruncate,
  ftruncateSync,
  lstat as lstatCallback,
  lstatSync,
  open as openCallback,
  openSync,
  read,
  readFileSync,
  readlinkSync,
  readSync,
  rename as renameCallback,
  renameSync,
  type Stats,
  unlink as unlinkCallback,
  unlinkSync,
  write,
  writeFile as writeFileCallback,
  writeFileSync,
  writeSync,
} from 'node:fs'
export {
  access,
  chmod,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rmdir,
  stat,
  statfs,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises'
