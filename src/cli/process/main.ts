import { type Command, CommanderError } from 'commander'
import { createRequire } from 'node:module'
import { withDefaultCommand, withoutEatenSources } from '../default-command.js'
import { plain } from '../format.js'
import { localeOfRun, speak, texts } from '../language.js'
import { createProgram } from '../program.js'
import { type Locale, localeOfTag } from '../../util/locale.js'
import { tuneCompilers } from './compilers.js'
import { printError, printOut, runWithin, surroundings, type Surroundings } from './surroundings.js'

/** Elsewhere a system says its language in the environment, and asking for it costs a third of the start. */
const systemTag = () => (process.platform === 'win32' ? Intl.DateTimeFormat().resolvedOptions().locale : '')

/**
 * Runs the command to its end.
 *
 * @param args - what follows the name of the program.
 * @param around - its streams, variables and signals. Default: those of the process, which does nothing else.
 * @returns the exit code. Never rejects.
 */
export function runCommand(args: readonly string[], around?: Surroundings): Promise<number> {
  return around === undefined ? run(args) : runWithin(around, () => run(args))
}

async function run(args: readonly string[]): Promise<number> {
  const { env } = surroundings()
  let exitCode = 0
  const { MODEL_DOWNLOADER_LOCALE: chosen } = env
  const environment = chosen === undefined ? env : { ...env, LC_ALL: chosen }
  const locale = localeOfRun(args, environment, systemTag)
  await speakLocale(locale)
  const program = createProgram(packageVersion(), {
    // The engine is imported lazily, so that --help and usage errors are instant.
    get: async (urls, options) => {
      const { get } = await import('../get.js')
      await checkWithoutCompiling()
      tune()
      exitCode = await get(urls, options)
    },
    preload: async (catalog, options) => {
      const { preload } = await import('../preload.js')
      tune()
      exitCode = await preload(catalog, options)
    },
    serve: async (options) => {
      const { serve } = await import('../serve.js')
      tune()
      exitCode = await serve(options)
    },
    files: async (command) => {
      const { runFileCommand } = await import('../files/run.js')
      await checkWithoutCompiling()
      tune()
      exitCode = await runFileCommand(command)
    },
    completion: async (shell) => {
      const { printScript } = await import('../settings/completion.js')
      await printScript(shell, program.name())
    },
  })
  if (args[0] === 'complete' && args[1] === '--') {
    const { complete } = await import('../settings/completion.js')
    await complete(program, args.slice(2), printOut)
    return 0
  }
  try {
    program.hook('preAction', (_program, command) => useSettings(command, args))
    const names = [...program.commands.map((command) => command.name()), 'help']
    await program.parseAsync(withoutEatenSources(withDefaultCommand(args, names)), { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const { failureText } = await import('../checks/usage.js')
    printError(`${texts().error}${plain(failureText(error))}\n`)
    return error instanceof Error && error.name === 'UsageError' ? 2 : 1
  }
}

/** Sets the language of the process, and loads its texts; null leaves it as it is. */
async function speakLocale(locale: Locale | null): Promise<void> {
  if (locale !== null)
    speak(locale === 'en-US' ? null : (await import('../chinese/language.js')).chineseCommand)
}

/** Applies what files and the environment set. The checks are imported lazily, since most runs have neither. */
async function useSettings(command: Command, args: readonly string[]): Promise<void> {
  const { env } = surroundings()
  const { givenConfig, readConfigs } = await import('../settings/files.js')
  const files = await readConfigs(givenConfig(args, env), env)
  if (files.length === 0 && !Object.keys(env).some((name) => name.startsWith('MODEL_DOWNLOADER_'))) return
  const { applySettings } = await import('../settings/apply.js')
  await applySettings(command, files, env)
  const locale: unknown = command.getOptionValue('locale')
  if (command.getOptionValueSource('locale') === 'config' && typeof locale === 'string')
    await speakLocale(localeOfTag(locale))
}

/** Checks of options are not compiled in a process that runs one command, since that takes longer than they do. */
async function checkWithoutCompiling(): Promise<void> {
  if (!surroundings().ownsProcess) return
  const jitless = await import('../checks/jitless.js')
  jitless.checkWithoutCompiling()
}

function tune(): void {
  if (surroundings().ownsProcess) tuneCompilers()
}

function packageVersion(): string {
  // A self-reference by package name works from the sources as well as from the build.
  const manifest: unknown = createRequire(import.meta.url)('model-downloader/package.json')
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : ''
}
