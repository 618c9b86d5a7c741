#!/usr/bin/env node
import { type Command, CommanderError } from 'commander'
import nodeModule, { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { withDefaultCommand, withoutEatenSources } from './default-command.js'
import { plain } from './format.js'
import { localeOfRun, speak, texts } from './language.js'
import { createProgram } from './program.js'
import { type Locale, localeOfTag } from '../util/locale.js'

/** Elsewhere a system says its language in the environment, and asking for it costs a third of the start. */
const systemTag = () => (process.platform === 'win32' ? Intl.DateTimeFormat().resolvedOptions().locale : '')

/** Runs the command and returns the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  let exitCode = 0
  const { MODEL_DOWNLOADER_LOCALE: chosen } = process.env
  const environment = chosen === undefined ? process.env : { ...process.env, LC_ALL: chosen }
  const locale = localeOfRun(argv.slice(2), environment, systemTag)
  await speakLocale(locale)
  const program = createProgram(packageVersion(), {
    // The engine is imported lazily, so that --help and usage errors are instant.
    get: async (urls, options) => {
      const { get } = await import('./get.js')
      const { checkWithoutCompiling } = await import('./checks/jitless.js')
      checkWithoutCompiling()
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
    files: async (command) => {
      const { runFileCommand } = await import('./files/run.js')
      const { checkWithoutCompiling } = await import('./checks/jitless.js')
      checkWithoutCompiling()
      tuneCompilers()
      exitCode = await runFileCommand(command)
    },
    completion: async (shell) => {
      const { printScript } = await import('./settings/completion.js')
      printScript(shell, program.name())
    },
  })
  if (argv[2] === 'complete' && argv[3] === '--') {
    const { complete } = await import('./settings/completion.js')
    complete(program, argv.slice(4), (text) => process.stdout.write(text))
    return 0
  }
  try {
    program.hook('preAction', (_program, command) => useSettings(command, argv.slice(2)))
    const names = [...program.commands.map((command) => command.name()), 'help']
    await program.parseAsync(withoutEatenSources(withDefaultCommand(argv.slice(2), names)), { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const { failureText } = await import('./checks/usage.js')
    process.stderr.write(`${texts().error}${plain(failureText(error))}\n`)
    return error instanceof Error && error.name === 'UsageError' ? 2 : 1
  }
}

/** Sets the language of the process, and loads its texts; null leaves it as it is. */
async function speakLocale(locale: Locale | null): Promise<void> {
  if (locale !== null)
    speak(locale === 'en-US' ? null : (await import('./chinese/language.js')).chineseCommand)
}

/** Applies what files and the environment set. The checks are imported lazily, since most runs have neither. */
async function useSettings(command: Command, args: readonly string[]): Promise<void> {
  const { givenConfig, readConfigs } = await import('./settings/files.js')
  const files = await readConfigs(givenConfig(args, process.env), process.env)
  if (files.length === 0 && !Object.keys(process.env).some((name) => name.startsWith('MODEL_DOWNLOADER_')))
    return
  const { applySettings } = await import('./settings/apply.js')
  await applySettings(command, files, process.env)
  const locale: unknown = command.getOptionValue('locale')
  if (command.getOptionValueSource('locale') === 'config' && typeof locale === 'string')
    await speakLocale(localeOfTag(locale))
}

/** Keeps the compiled code for the next run, where Node can do that (22.8 and later). */
function keepCompiledCode(): void {
  // Not `* as`: a bundler would import a function by its name that this version of Node may lack.
  const { enableCompileCache } = nodeModule as { enableCompileCache?: () => unknown }
  enableCompileCache?.()
}

/**
 * Sets compiler flags of V8. This must happen after everything is loaded, because the code cache of Node is
 * only valid while the flags are unchanged.
 */
function tuneCompilers(): void {
  // The HTTP parser is the only WebAssembly code. Compiling it a second time with the optimizing compiler
  // makes no measurable difference in speed, but adds 30 MB of peak memory.
  setFlagsFromString('--liftoff-only')
  // Most functions run only a few hundred times, so they benefit from the baseline compiler and never reach
  // the optimizing one.
  setFlagsFromString('--sparkplug')
  // For the same reason, delay the optimizing compiler. V8 12 (Node 22) and later do so by default and no
  // longer have this flag.
  if (process.versions.v8.startsWith('11.')) setFlagsFromString('--interrupt-budget=1000000')
}

function packageVersion(): string {
  // A self-reference by package name works from the sources as well as from the build.
  const manifest: unknown = createRequire(import.meta.url)('model-downloader/package.json')
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : ''
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

const exitCode = await main(process.argv)

await Promise.all([flush(process.stdout), flush(process.stderr)])

process.exit(exitCode)
