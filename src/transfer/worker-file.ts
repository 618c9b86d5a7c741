/** Where the build put the entry of a worker. */
import { existsSync } from 'node:fs'

/**
 * Workers lie beside the bundle; seen from the sources, in the build beside them.
 *
 * @param name - of the file, without its ending.
 * @returns null where it can't be found: a host that was bundled has left it behind.
 */
export function workerFile(name: string): URL | null {
  try {
    const fromSource = import.meta.url.endsWith('.ts')
    const file = new URL(fromSource ? `../../dist/${name}.js` : `./${name}.js`, import.meta.url)
    return file.protocol === 'file:' && existsSync(file) ? file : null
  } catch {
    // Bundled as CommonJS there is no address.
    return null
  }
}
