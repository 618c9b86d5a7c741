import { useSyncIo } from '../../disk/io.js'
import { surroundings } from './surroundings.js'

/** Lets file operations block, which is quicker, where the process does nothing else. */
export function blockIfAlone(): void {
  if (surroundings().ownsProcess) useSyncIo()
}
