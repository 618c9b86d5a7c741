/** Where the build put a file that is not imported: the entry of a worker, a page. */
import { existsSync } from 'node:fs'

/**
 * Such files lie beside the bundle; seen from the sources, in the build beside them.
 *
 * @param name - of the file in `dist`.
 * @returns null where it can't be found: a host that was bundled has left it behind.
 */
export function builtFile(name: string): URL | null {
  try {
    const fromSource = import.meta.url.endsWith('.ts')
    const file = new URL(fromSource ? `../../dist/${name}` : `./${name}`, import.meta.url)
    return file.protocol === 'file:' && existsSync(file) ? file : null
  } catch {
    // Bundled as CommonJS there is no address.
    return null
  }
}
