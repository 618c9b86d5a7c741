#!/usr/bin/env node
import nodeModule from 'node:module'
import { runCommand } from './process/main.js'

/** Keeps the compiled code for the next run, where Node can do that (22.8 and later). */
function keepCompiledCode(): void {
  // Not `* as`: a bundler would import a function by its name that this version of Node may lack.
  const { enableCompileCache } = nodeModule as { enableCompileCache?: () => unknown }
  enableCompileCache?.()
}

/** Waits until all written data has been flushed. Pipes are asynchronous on some systems. */
function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.errored !== null) resolve()
    else stream.write('', () => resolve())
  })
}

// A reader that exits (`| head`) or a terminal that closes must not end the download.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

keepCompiledCode()

const exitCode = await runCommand(process.argv.slice(2))

await Promise.all([flush(process.stdout), flush(process.stderr)])

process.exit(exitCode)
