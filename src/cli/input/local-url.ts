/** A path on the command line, as the URL of a file or a folder of this machine. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

/** `/folder`, `./folder`, `../folder`, and the same with backslashes or a drive on Windows. */
const path = /^(?:\/|\.{1,2}(?:[/\\]|$)|[a-z]:[\\/])/i

/**
 * Returns the `file:` URL of a path, and any other text as it is. A slash at its end remains.
 *
 * @param folder - what a relative path is relative to.
 */
export function localUrl(text: string, folder: string): string {
  if (!path.test(text)) return text
  const { href } = pathToFileURL(resolve(folder, text))
  return /[/\\]$/.test(text) && !href.endsWith('/') ? `${href}/` : href
}
