/** Reads the files that `--netrc` and `--cookies` name. */
import { join } from 'node:path'
import { errnoOf } from '../../disk/errors.js'
import { readFileSync, statSync } from '../../disk/fs.js'
import { homeFolder } from '../../disk/system.js'
import type { HostSecrets } from '../../net/host-secrets.js'
import { systemClock } from '../../util/clock.js'
import { UsageError } from '../checks/usage-error.js'
import { plain } from '../format.js'
import { decodeText } from '../../util/decode.js'
import { texts } from '../language.js'
import { parseCookieFile } from './cookie-file.js'
import { parseNetrc } from './netrc.js'
import { surroundings } from '../process/surroundings.js'

/** Options that name secrets of the user. */
export interface SecretOptions {
  /** A file, or an empty text for the usual one. */
  netrc?: string | undefined
  cookies?: string | undefined
}

/** Largest file, in bytes. */
const maxBytes = 4_000_000

/**
 * Reads the secrets that the options name.
 *
 * @throws UsageError when a file can't be read or understood. It quotes nothing of the file.
 */
export function readSecrets({ netrc, cookies }: SecretOptions): HostSecrets {
  return {
    netrc: netrc === undefined ? [] : parseNetrc(textOf('--netrc', netrc === '' ? netrcFile() : netrc)),
    cookies: cookies === undefined ? [] : cookiesIn(cookies),
  }
}

function cookiesIn(file: string): HostSecrets['cookies'] {
  const { cookies, badLine } = parseCookieFile(textOf('--cookies', file), systemClock.wallNow() / 1000)
  // Some programs add lines of their own, but a file without any cookie is most likely of another format.
  if (cookies.length === 0 && badLine !== null) throw new UsageError(texts().notCookies(plain(file), badLine))
  return cookies
}

/** The file that is used if none is named: that of `NETRC`, or the one in the home folder. */
function netrcFile(): string {
  const given = surroundings().env['NETRC'] ?? ''
  if (given !== '') return given
  const home = homeFolder()
  if (home === null) throw new UsageError(texts().noHome('--netrc'))
  const usual = join(home, '.netrc')
  const other = join(home, '_netrc')
  return process.platform === 'win32' && !exists(usual) && exists(other) ? other : usual
}

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined
}

function textOf(option: string, file: string): string {
  try {
    const size = statSync(file).size
    if (size > maxBytes) throw new UsageError(texts().secretsTooLarge(option, plain(file)))
    const decoded = decodeText(readFileSync(file))
    // Passwords may be in any encoding.
    return 'text' in decoded ? decoded.text : readFileSync(file, 'latin1')
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(texts().secretsNotRead(option, plain(file), errnoOf(error) ?? String(error)))
  }
}
