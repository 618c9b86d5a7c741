/** Finds and reads the files with settings: that of the working directory, or the one of `--config`, and the user's. */
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { readRegularFile } from '../../disk/atomic.js'
import { errnoOf } from '../../disk/errors.js'
import { io } from '../../disk/io.js'
import { homeFolder } from '../../disk/system.js'
import { isDownloadError } from '../../errors.js'
import { UsageError } from '../checks/usage-error.js'
import { plain } from '../format.js'
import { decodeText } from '../../util/decode.js'
import { texts } from '../language.js'
import type { ConfigFile } from './config.js'

/** Name of the file in the working directory. */
export const projectFile = 'model-downloader.config.json'

/** Largest file with settings, in bytes. */
const maxBytes = 1_000_000

/** The value of `--config` in arguments that have not been parsed, or else that of the environment; null if none. */
export function givenConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): string | null {
  const end = args.indexOf('--')
  const own = end === -1 ? args : args.slice(0, end)
  const given = own
    .map((arg, at) => (arg === '--config' ? own[at + 1] : /^--config=(.*)$/s.exec(arg)?.[1]))
    .findLast((file) => file !== undefined)
  const { MODEL_DOWNLOADER_CONFIG: fromEnvironment = '' } = env
  return given ?? (fromEnvironment === '' ? null : fromEnvironment)
}

/** The user's file with settings, where the platform wants it; null without a home folder. */
export function userFile(
  env: Readonly<Record<string, string | undefined>>,
  home: string | null,
  platform: string,
): string | null {
  const given = (name: string) => {
    const folder = env[name] ?? ''
    return isAbsolute(folder) ? folder : null
  }
  const below = (...names: string[]) => (home === null ? null : join(home, ...names))
  const folder =
    platform === 'win32'
      ? (given('APPDATA') ?? below('AppData', 'Roaming'))
      : platform === 'darwin'
        ? below('Library', 'Application Support')
        : (given('XDG_CONFIG_HOME') ?? below('.config'))
  return folder === null ? null : join(folder, 'model-downloader', 'config.json')
}

/**
 * Reads all files with settings, that with the highest precedence first.
 *
 * @param given - the file that the user has named; `none` for no file at all.
 * @throws UsageError when a file can't be read, is not JSON, or was named and is missing.
 */
export async function readConfigs(
  given: string | null,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ConfigFile[]> {
  if (given === 'none') return []
  const own = userFile(env, homeFolder(), process.platform)
  const near = given ?? projectFile
  // What lies in the working directory may come from anybody; what the user has named is the user's.
  const first = await readConfig(resolve(near), near, given !== null)
  const last = own === null ? null : await readConfig(own, own, true, false)
  if (first === null && given !== null) throw new UsageError(texts().configNotRead(plain(given), 'ENOENT'))
  return [first, last].filter((file) => file !== null)
}

async function readConfig(
  path: string,
  name: string,
  trusted: boolean,
  isNamed = trusted,
): Promise<ConfigFile | null> {
  const shown = plain(name)
  let data: Buffer
  try {
    const read = await readRegularFile(path, maxBytes + 1)
    data = read.data
  } catch (error) {
    const code = isDownloadError(error) ? error.code : (errnoOf(error) ?? String(error))
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    // Nobody can tell whether there is one in a folder that may not be entered, such as the home of another user.
    if (!isNamed && (await io.lstatIfThere(path).catch(() => null)) === null) return null
    throw new UsageError(texts().configNotRead(shown, code))
  }
  if (data.length > maxBytes) throw new UsageError(texts().configTooLarge(shown))
  const decoded = decodeText(data)
  try {
    const value: unknown = JSON.parse('text' in decoded ? decoded.text : '')
    return { name: shown, folder: dirname(path), trusted, value }
  } catch {
    throw new UsageError(texts().configNotJson(shown))
  }
}
