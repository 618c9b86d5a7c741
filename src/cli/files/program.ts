import type { Command } from 'commander'
import { addText, parseSha256, wholeNumber } from '../arguments.js'
import { helpBelow } from '../localize.js'
import { addNetworkOptions } from '../network.js'
import { addUpstreamCommands, type UpstreamCommand } from '../upstream/program.js'
import type { CacheListOptions, CachePruneOptions, CacheRemoveOptions } from './cache.js'
import type { InfoOptions } from './info.js'
import type { ListOptions } from './ls.js'
import type { RemoveOptions } from './rm.js'
import type { VerifyCommandOptions } from './verify.js'

/** A parsed command about files on disk. */
export type FileCommand =
  | { name: 'ls'; ref: string | undefined; options: ListOptions }
  | { name: 'rm'; names: string[]; options: RemoveOptions }
  | { name: 'verify'; what: string[]; options: VerifyCommandOptions }
  | { name: 'info'; ref: string; options: InfoOptions }
  | { name: 'cache ls'; options: CacheListOptions }
  | { name: 'cache rm'; targets: string[]; options: CacheRemoveOptions }
  | { name: 'cache prune'; options: CachePruneOptions }
  | UpstreamCommand

const lsHelp = `
Without a ref, the files in the folder are listed: those of servers and of this
command, unfinished downloads, and all others. A group of files that belong
together is one entry. With a ref, what its source has is listed, with what the
headers of GGUF and safetensors models say; nothing else is downloaded.

Examples:
  model-downloader ls
  model-downloader ls -d . --json
  model-downloader ls hf:owner/repo --include '*.gguf'
`

const rmHelp = `
Names are those that ls prints, their last part if it is unambiguous, or the URL
or ref of a download. What is being downloaded at this moment is not deleted. On
a terminal, you are asked before anything is deleted; scripts are not asked.

Exit codes: 0 everything was deleted, 1 a name is unknown, so that nothing was
deleted, or something could not be deleted, 2 wrong usage.

Examples:
  model-downloader rm llm/llama.gguf
  model-downloader rm hf:owner/repo --dry-run
`

const verifyHelp = `
Files are compared with the digests that are known: of records of downloads, of
the names in a Hugging Face cache, and of the source if a ref is given. Nothing
is written. A file whose digest is unknown is not wrong.

Exit codes: 0 nothing is wrong, 1 a file is damaged, missing, unreadable or of
another size, 2 wrong usage, 130 Ctrl-C.

Examples:
  model-downloader verify
  model-downloader verify models/llm
  model-downloader verify hf:owner/repo -d models
  model-downloader verify llama.gguf --sha256 9f86d081884c7d65…
`

const infoHelp = `
Examples:
  model-downloader info hf:owner/repo
  model-downloader info hf:owner/model:Q4_K_M --json
`

const cacheHelp = `
The cache is the folder that HF_HUB_CACHE names, or else hub in HF_HOME, or else
~/.cache/huggingface/hub. The Hugging Face libraries, llama.cpp and vLLM use it.

Examples:
  model-downloader cache ls --revisions
  model-downloader cache rm owner/name@main --dry-run
  model-downloader cache prune --dry-run
`

const cacheLsHelp = `
Files that several revisions share are counted once.
`

const cacheRmHelp = `
A target is owner/name, owner/name@revision, datasets/owner/name, or a commit. A
revision is a branch, a tag, or the beginning of a commit. Files that another
revision uses are kept.
`

const cachePruneHelp = `
Removes revisions that no branch or tag points to, and files that no revision
uses. What was downloaded by a commit has no branch, so it is removed, too.
`

const directoryOption = [
  '-d, --directory <dir>',
  'folder of the files',
  // The default of a manager as well.
  'models',
] as const

const json = ['--json', 'print one JSON object per line on standard output'] as const

const cacheDirectory = ['-d, --directory <dir>', 'the cache (default: that of the environment)'] as const

const dryRun = ['-n, --dry-run', 'print what would be deleted, without deleting it'] as const

const yes = ['-y, --yes', 'do not ask before deleting'] as const

/**
 * Adds the commands about files on disk.
 *
 * @param run - implementation of all of them. It keeps its exit code itself.
 */
export function addFileCommands(program: Command, run: (command: FileCommand) => Promise<void>): void {
  const withGlobs = (command: Command) =>
    command
      .option('--include <glob>', 'files of a ref to consider; may be repeated', addText)
      .option('--exclude <glob>', 'files of a ref to leave out; may be repeated', addText)

  const ls = program
    .command('ls')
    .summary('list the files on disk, or those of a ref')
    .description('Lists the files in a folder, or those that a ref stands for.')
    .argument('[ref]', 'URL or ref, such as hf:owner/repo (default: what is on disk)')
    .option(...directoryOption)
    .option('--files', 'list the files of groups, too')
  addNetworkOptions(withGlobs(ls))
    .option(...json)
    .addHelpText('after', () => helpBelow('ls', lsHelp))
    .action((ref: string | undefined, options: ListOptions, command: Command) =>
      run({ name: 'ls', ref, options: { ...options, ownDirectory: isGiven(command) } }),
    )

  program
    .command('rm')
    .summary('delete files')
    .description('Deletes files and groups from a folder, with what is recorded of their downloads.')
    .argument('<name...>', 'names as ls prints them')
    .option(...directoryOption)
    .option(...dryRun)
    .option(...yes)
    .option(...json)
    .addHelpText('after', () => helpBelow('rm', rmHelp))
    .action((names: string[], options: RemoveOptions, command: Command) =>
      run({ name: 'rm', names, options: { ...options, ownDirectory: isGiven(command) } }),
    )

  const verify = program
    .command('verify')
    .summary('check files on disk for damage')
    .description('Reads files again and compares their digests with those that are known.')
    .argument('[what...]', 'folders, files, names as ls prints them, or refs (default: the folder)')
    .option(...directoryOption)
    .option('--sha256 <hex>', 'digest that the file must have; single file only', parseSha256)
    .option(
      '--jobs <n>',
      'files to read at a time, 1 to 16 (default: number of processors, at most 4)',
      wholeNumber(1, 16),
    )
  addNetworkOptions(withGlobs(verify))
    .option(...json)
    .option('--quiet', 'print only what is wrong')
    .addHelpText('after', () => helpBelow('verify', verifyHelp))
    .action((what: string[], options: VerifyCommandOptions, command: Command) =>
      run({ name: 'verify', what, options: { ...options, ownDirectory: isGiven(command) } }),
    )

  const info = program
    .command('info')
    .summary('tell what a ref stands for')
    .description('Tells what a ref stands for: revision, licence, files, and what of it is on disk.')
    .argument('<ref>', 'URL or ref, such as hf:owner/repo')
    .option(...directoryOption)
  addNetworkOptions(withGlobs(info))
    .option(...json)
    .addHelpText('after', () => helpBelow('info', infoHelp))
    .action((ref: string, options: InfoOptions, command: Command) =>
      run({ name: 'info', ref, options: { ...options, ownDirectory: isGiven(command) } }),
    )

  addUpstreamCommands(program, directoryOption, run)
  addCacheCommands(program, run)
}

function addCacheCommands(program: Command, run: (command: FileCommand) => Promise<void>): void {
  const cache = program
    .command('cache')
    .summary('list and clean the Hugging Face cache')
    .description('Lists what is in the cache of the Hugging Face libraries, and removes from it.')
    .helpCommand(false)
    .addHelpText('after', () => helpBelow('cache', cacheHelp))

  cache
    .command('ls')
    .summary('list the repositories in the cache')
    .description('Lists the repositories in the cache, with what they take up.')
    .option(...cacheDirectory)
    .option('--revisions', 'list each revision')
    .option(...json)
    .addHelpText('after', () => helpBelow('cache ls', cacheLsHelp))
    .action((options: CacheListOptions) => run({ name: 'cache ls', options }))

  cache
    .command('rm')
    .summary('remove repositories or revisions')
    .description('Removes repositories or revisions from the cache.')
    .argument('<target...>', 'owner/name, owner/name@revision, or a commit')
    .option(...cacheDirectory)
    .option(...dryRun)
    .option(...yes)
    .option(...json)
    .addHelpText('after', () => helpBelow('cache rm', cacheRmHelp))
    .action((targets: string[], options: CacheRemoveOptions) => run({ name: 'cache rm', targets, options }))

  cache
    .command('prune')
    .summary('remove what nothing refers to')
    .description('Removes revisions without a branch or tag, and files that no revision uses.')
    .option(...cacheDirectory)
    .option('--incomplete', 'remove the bytes of unfinished downloads, too')
    .option(...dryRun)
    .option(...yes)
    .option(...json)
    .addHelpText('after', () => helpBelow('cache prune', cachePruneHelp))
    .action((options: CachePruneOptions) => run({ name: 'cache prune', options }))
}

function isGiven(command: Command): boolean {
  return command.getOptionValueSource('directory') !== 'default'
}
