#!/usr/bin/env node
import { CommanderError } from 'commander'
import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { plain } from './format.js'
import { createProgram } from './program.js'

/** Runs the command line and answers with the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  let exitCode = 0
  const program = createProgram(packageVersion(), {
    // The engine is loaded here, so that --help and usage errors are instant.
    get: async (urls, options) => {
      const { get } = await import('./get.js')
      tuneCompilers()
      exitCode = await get(urls, options)
    },
    preload: async (catalog, options) => {
      const { preload } = await import('./preload.js')
      tuneCompilers()
      exitCode = await preload(catalog, options)
    },
    serve: async (options) => {
      const { serve } = await import('./serve.js')
      tuneCompilers()
      exitCode = await serve(options)
    },
  })
  try {
    await program.parseAsync(argv)
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const message = error instanceof Error ? error.message : String(error)
    process.stderr.write(`error: ${plain(message)}\n`)
    return error instanceof Error && error.name === 'UsageError' ? 2 : 1
  }
}

/** Not before everything is loaded: what Node has compiled of itself beforehand is of use only while no flag differs. */
function tuneCompilers(): void {
  // The HTTP parser is the only WebAssembly here: compiling it a second time, for speed, gains nothing that can be
  // measured and costs 30 MB at the peak.
  setFlagsFromString('--liftoff-only')
  // Most of what runs here runs a few hundred times: a quick compiler pays where the optimising one never gets to.
  setFlagsFromString('--sparkplug')
  // For the same reason the optimising one should take its time; from V8 12 (Node 22) on it does so by itself, and the
  // flag is gone.
  if (process.versions.v8.startsWith('11.')) setFlagsFromString('--interrupt-budget=1000000')
}

function packageVersion(): string {
  // The package refers to itself by name, which holds in the sources and in the build alike.
  const manifest: unknown = createRequire(import.meta.url)('model-downloader/package.json')
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : ''
}

/** Waits until what was written has left; on some systems pipes are asynchronous. */
function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.errored !== null) resolve()
    else stream.write('', () => resolve())
  })
}

// A reader that goes away (`| head`) or a terminal that closes must not end the download: it is the file that counts.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const exitCode = await main(process.argv)

await Promise.all([flush(process.stdout), flush(process.stderr)])

process.exit(exitCode)
