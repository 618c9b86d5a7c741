#!/usr/bin/env node
import nodeModule, { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { builtFile, homeFolder } from '../disk/system.js'
import { programCache } from '../layouts/known-caches.js'
import { loadCode, type LoadedCode } from './process/compiled.js'
import { untuneCompilers } from './process/compilers.js'
import type * as main from './process/main.js'

/** Keeps the compiled code of the engine's threads for the next run, where Node can do that (22.8 and later). */
function keepModules(): void {
  // Not `* as`: a bundler would import a function by its name that this version of Node may lack.
  const { enableCompileCache } = nodeModule as { enableCompileCache?: () => unknown }
  enableCompileCache?.()
}

/** Loads the command itself, which is beside this file in `dist`. */
function load(args: readonly string[]): LoadedCode {
  const found = builtFile('cli-main.cjs')
  if (found === null)
    throw new Error('The file cli-main.cjs is missing beside cli.js; install the package again.')
  const file = fileURLToPath(found)
  const { bun, deno } = process.versions as Partial<Record<string, string>>
  if (bun !== undefined || deno !== undefined)
    return { exports: createRequire(import.meta.url)(file), keep: () => undefined }
  const cache = programCache(
    { env: process.env, home: homeFolder(), platform: process.platform },
    'model-downloader',
  )
  // What comes first that can be a command; a URL is for `get`.
  const part = args.find((arg) => /^[a-z]{2,12}$/.test(arg)) ?? 'get'
  return loadCode(file, cache === null ? null : join(cache, 'code'), part)
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

keepModules()

const command = process.argv.slice(2)
const loaded = load(command)
const { runCommand } = loaded.exports as typeof main
const exitCode = await runCommand(command)

await Promise.all([flush(process.stdout), flush(process.stderr)])

if (exitCode === 0) {
  untuneCompilers()
  loaded.keep()
}

process.exit(exitCode)
