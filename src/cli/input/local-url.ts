/** A path on the command line, as the URL of a file or a folder of this machine. */
import { posix, win32 } from 'node:path'
import { pathToFileURL } from 'node:url'

/** `/folder`, `./folder` and `../folder`; on Windows the same with backslashes, a drive, or the name of a server. */
const paths = { posix: /^(?:\/|\.{1,2}(?:\/|$))/, windows: /^(?:[\\/]|\.{1,2}(?:[/\\]|$)|[a-z]:[\\/])/i }

/**
 * Returns the `file:` URL of a path, and any other text as it is. A slash at its end remains.
 *
 * @param folder - what a relative path is relative to.
 */
export function localUrl(text: string, folder: string, windows = process.platform === 'win32'): string {
  if (!(windows ? paths.windows : paths.posix).test(text)) return text
  const { href } = pathToFileURL((windows ? win32 : posix).resolve(folder, text), { windows })
  return (windows ? /[/\\]$/ : /\/$/).test(text) && !href.endsWith('/') ? `${href}/` : href
}
