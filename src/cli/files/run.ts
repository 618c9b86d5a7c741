/** Runs the commands about files on disk. */
import { cacheLs, cachePrune, cacheRm } from './cache.js'
import type { FileCommand } from './program.js'
import { info } from './info.js'
import { ls } from './ls.js'
import { rm } from './rm.js'
import { verifyOnDisk } from './verify.js'
import { blockIfAlone } from '../process/blocking.js'

/** Runs a command and returns the exit code. */
export async function runFileCommand(command: FileCommand): Promise<number> {
  blockIfAlone()
  switch (command.name) {
    case 'ls':
      return await ls(command.ref, command.options)
    case 'rm':
      return await rm(command.names, command.options)
    case 'verify':
      return await verifyOnDisk(command.what, command.options)
    case 'info':
      return await info(command.ref, command.options)
    case 'cache ls':
      return await cacheLs(command.options)
    case 'cache rm':
      return await cacheRm(command.targets, command.options)
    case 'cache prune':
      return await cachePrune(command.options)
    default: {
      const { runUpstreamCommand } = await import('../upstream/run.js')
      return await runUpstreamCommand(command)
    }
  }
}
