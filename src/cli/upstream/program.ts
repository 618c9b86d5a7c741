/** The commands that ask sources: what there is, and what has changed. */
import { type Command, Option } from 'commander'
import { wholeNumber } from '../arguments.js'
import { helpBelow } from '../localize.js'
import { addNetworkOptions } from '../network.js'
import type { OutdatedCommandOptions } from './outdated.js'
import type { SearchCommandOptions } from './search.js'
import type { UpdateCommandOptions } from './update.js'

/** A parsed command that asks sources. */
export type UpstreamCommand =
  | { name: 'search'; text: string; options: SearchCommandOptions }
  | { name: 'outdated'; options: OutdatedCommandOptions }
  | { name: 'update'; refs: string[]; options: UpdateCommandOptions }

const searchHelp = `
The most popular models come first. Each can be downloaded by its ref.

Examples:
  model-downloader search qwen3 8b --gguf
  model-downloader search bge --source ms --json
`

const outdatedHelp = `
What was downloaded is compared with what its source has now: by digests, by
commits, and of plain URLs by their validators and size. Nothing is fetched.

Exit codes: 0 everything was compared, 1 a source could not be asked, 2 wrong
usage.

Examples:
  model-downloader outdated
  model-downloader outdated -d . --all --json
`

const updateHelp = `
Of several files, only those that have changed are fetched. A file stays until
the new one is complete and checked.

Exit codes: 0 everything is up to date, 1 something could not be updated, 2 wrong
usage, 130 Ctrl-C.

Examples:
  model-downloader update
  model-downloader update hf:owner/repo -d models
`

/**
 * Adds the commands that ask sources.
 *
 * @param directory - the option that names the folder.
 * @param run - implementation of all of them. It keeps its exit code itself.
 */
export function addUpstreamCommands(
  program: Command,
  directory: readonly [string, string, string],
  run: (command: UpstreamCommand) => Promise<void>,
): void {
  const isGiven = (command: Command) => command.getOptionValueSource('directory') !== 'default'
  const search = program
    .command('search')
    .summary('search the models of a hub')
    .description('Searches the models of Hugging Face or ModelScope.')
    .argument('<text...>', 'words to search for')
    .addOption(new Option('--source <name>', 'hub to search').choices(['hf', 'ms']).default('hf'))
    .option('--gguf', 'only models with GGUF files')
    .option('--limit <n>', 'maximum number of models, 1 to 100', wholeNumber(1, 100), 20)
  addNetworkOptions(search)
    .option('--json', 'print one JSON object per line on standard output')
    .addHelpText('after', () => helpBelow('search', searchHelp))
    .action((words: string[], options: SearchCommandOptions) =>
      run({ name: 'search', text: words.join(' '), options }),
    )

  const outdated = program
    .command('outdated')
    .summary('tell which downloads have changed at their source')
    .description('Tells which finished downloads are no longer what their source has.')
    .option(...directory)
    .option('--all', 'list what is up to date, too')
  addNetworkOptions(outdated)
    .option('--json', 'print one JSON object per line on standard output')
    .addHelpText('after', () => helpBelow('outdated', outdatedHelp))
    .action((options: OutdatedCommandOptions, command: Command) =>
      run({ name: 'outdated', options: { ...options, ownDirectory: isGiven(command) } }),
    )

  const update = program
    .command('update')
    .summary('fetch what has changed')
    .description('Fetches what has changed at the source of finished downloads.')
    .argument('[ref...]', 'URLs or refs of downloads (default: all in the folder)')
    .option(...directory)
  addNetworkOptions(update)
    .option('--json', 'print one JSON object per event on standard output')
    .option('--quiet', 'print errors only')
    .addHelpText('after', () => helpBelow('update', updateHelp))
    .action((refs: string[], options: UpdateCommandOptions, command: Command) =>
      run({ name: 'update', refs, options: { ...options, ownDirectory: isGiven(command) } }),
    )
}
