/** Runs the commands that ask sources. */
import { outdated } from './outdated.js'
import type { UpstreamCommand } from './program.js'
import { search } from './search.js'
import { update } from './update.js'
import { blockIfAlone } from '../process/blocking.js'

/** Runs a command and returns the exit code. */
export async function runUpstreamCommand(command: UpstreamCommand): Promise<number> {
  blockIfAlone()
  switch (command.name) {
    case 'search':
      return await search(command.text, command.options)
    case 'outdated':
      return await outdated(command.options)
    case 'update':
      return await update(command.refs, command.options)
  }
}
