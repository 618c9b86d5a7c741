/** Runs the commands that ask sources. */
import { useSyncIo } from '../../disk/io.js'
import { outdated } from './outdated.js'
import type { UpstreamCommand } from './program.js'
import { search } from './search.js'
import { update } from './update.js'

/** Runs a command and returns the exit code. */
export async function runUpstreamCommand(command: UpstreamCommand): Promise<number> {
  // Blocking I/O is fine, because the process does nothing else.
  useSyncIo()
  switch (command.name) {
    case 'search':
      return await search(command.text, command.options)
    case 'outdated':
      return await outdated(command.options)
    case 'update':
      return await update(command.refs, command.options)
  }
}
