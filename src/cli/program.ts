import { Argument, Command, Option } from 'commander'
import {
  addHeader,
  addText,
  parseKeys,
  parseOutputName,
  parseRate,
  parseSize,
  parseDigestOption,
  parseSha256,
  filesAtOnce,
  wholeNumber,
} from './arguments.js'
import { addFileCommands, type FileCommand } from './files/program.js'
import type { GetOptions } from './get.js'
import { helpBelow, localize } from './localize.js'
import { addNetworkOptions } from './network.js'
import type { PreloadCommandOptions } from './preload.js'
import type { ServeOptions } from './serve-settings.js'
import { addClusterOptions } from './serve/cluster.js'
import { addFleetOptions } from './serve/fleet.js'
import { addLimitOptions } from './serve/limits.js'
import { addOperationOptions } from './serve/operation.js'
import { type CommandOutput, printError, printOut, surroundings } from './process/surroundings.js'

/** Implementations of the commands. They keep their exit codes themselves. */
export interface Commands {
  get(urls: string[], options: GetOptions): Promise<void>
  preload(catalog: string, options: PreloadCommandOptions): Promise<void>
  serve(options: ServeOptions): Promise<void>
  /** The commands about files on disk. */
  files(command: FileCommand): Promise<void>
  /** Prints the script that completes command lines in a shell. Default: there is no such command. */
  completion?(shell: string): Promise<void>
}

const getHelp = `
Progress goes to standard error: progress bars on a terminal, otherwise a line
every few seconds. When standard output is not a terminal, the path of each
finished file is written to it.

Interrupted? Run the same command again: data on disk is kept and checked, and
only the rest is downloaded.

Exit codes: 0 all downloads completed, 1 a download failed, 2 wrong usage,
130 Ctrl-C.

Examples:
  model-downloader get https://example.com/llama.gguf
  model-downloader get https://example.com/llama.gguf -d models --mode llm
  model-downloader get hf:owner/repo --include '*.safetensors' --include '*.json'
  model-downloader get --json https://example.com/llama.gguf | jq .
  model-downloader get --dry-run hf:owner/model:Q4_K_M
  model-downloader get --layout hf-cache hf:owner/model:Q4_K_M
  model-downloader get a.gguf=https://example.com/1 b.gguf=https://example.com/2
  model-downloader get -i urls.txt -d models --keep-paths
`

const preloadHelp = `
A catalog is a JSON file: { "models": [ { "key": "llm", "url": "https://…",
"sha256": "…" } ] }. Files are stored at DIR/MODE/NAME; the mode is llm unless
the catalog sets another one. Models that exist and are correct are not
downloaded again.

Interrupted? Run the same command again: it resumes where it stopped.

Exit codes: 0 all required models are ready, 1 a required model is missing,
2 wrong usage, 130 Ctrl-C.

Examples:
  model-downloader preload models.json
  model-downloader preload models.json -d /srv/models --models llm,embed
`

const serveHelp = `
Callers on this machine need no token, unless one is set. To accept callers from
other machines, listen on another address, such as 0.0.0.0, and set a token.
Prefer the environment variable MODEL_DOWNLOADER_TOKEN to the command line,
which everybody on the machine can read. Callers send the token as
"Authorization: Bearer TOKEN".

URLs given by callers can reach public hosts only. The catalog is yours, so it
may name any host.

SIGTERM and Ctrl-C stop the server within 5 seconds. Downloaded data is kept,
and the next start resumes the downloads.

Exit codes: 0 stopped by SIGTERM, 1 the server can't listen or can't read its
list of downloads, 2 wrong usage, 130 Ctrl-C.

Examples:
  model-downloader serve --catalog models.json
  model-downloader serve --cors http://localhost:5173
  MODEL_DOWNLOADER_TOKEN=… model-downloader serve --host 0.0.0.0 -d /srv/models
`

const completionHelp = `
Examples:
  source <(model-downloader completion bash)    # in ~/.bashrc
  source <(model-downloader completion zsh)     # in ~/.zshrc
  model-downloader completion fish > ~/.config/fish/completions/model-downloader.fish
  model-downloader completion powershell | Out-String | Invoke-Expression
`

/** The shells that there is a script for. */
const shells = ['bash', 'zsh', 'fish', 'powershell']

/** Folder of `preload` and `serve`; it must be the default of a manager as well. */
const defaultFolder = 'models'

function isGiven(command: Command, option: string): boolean {
  return command.getOptionValueSource(option) !== 'default'
}

function layoutOption(): Option {
  return new Option(
    '--layout <name>',
    'how the files are stored: flat, or hf-cache to store them as the Hugging Face libraries do',
  ).choices(['flat', 'hf-cache'])
}

function xetOption(): Option {
  return new Option(
    '--xet <mode>',
    'use of the Xet store of the Hugging Face hub: auto when HTTP fails or is slow, prefer, or never (default: auto)',
  ).choices(['auto', 'prefer', 'never'])
}

/** Adds the options that `get` and `preload` share. */
function addRunOptions(command: Command): Command {
  return command
    .option('-v, --verbose', 'print every retry, and details that help to find out what is wrong')
    .option('--log-file <file>', 'append a line for everything that happens to this file')
    .addOption(
      new Option(
        '--netrc [file]',
        'log in to hosts as a netrc file says (default: that of NETRC, or ~/.netrc)',
      ).preset(''),
    )
    .option('--cookies <file>', 'send the cookies of this file, in the format of Netscape')
    .option('--exec <program>', 'program to run for each finished file, with its path as the last argument')
    .option(
      '--exec-arg <arg>',
      'argument of that program, in which {} stands for the path; may be repeated',
      addText,
    )
}

/** How wide help is printed. */
function widthOf({ isTTY, columns }: CommandOutput): number {
  return isTTY === true && columns !== undefined ? columns : 80
}

/** Creates the command-line parser in the language of this process. It throws a `CommanderError` instead of ending the process. */
export function createProgram(version: string, commands: Commands): Command {
  const program = new Command('model-downloader')
    .description('Downloads AI-model files: resumable, verified, concurrent.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError('(use --help for usage information)')
    .exitOverride()
    .configureOutput({
      writeOut: printOut,
      writeErr: printError,
      getOutHelpWidth: () => widthOf(surroundings().stdout),
      getErrHelpWidth: () => widthOf(surroundings().stderr),
    })

  const get = program
    .command('get')
    .summary('download files')
    .description(
      'Downloads one or more URLs. A file gets its final name only when it is complete and verified.',
    )
    .argument(
      '[url...]',
      'http or https URLs, or refs such as hf:owner/repo; NAME=URL sets the name of the file',
    )
    .option(
      '-i, --input-file <file>',
      'list of URLs, one per line; - is standard input; may be repeated',
      addText,
    )
    .option(
      '-d, --directory <dir>',
      'folder for the files; created if missing (default: working directory, or the cache with hf-cache)',
    )
    .addOption(layoutOption())
    .addOption(xetOption())
    .option(
      '--no-adopt',
      'download files even if a cache of Hugging Face, Ollama, LM Studio, ModelScope or llama.cpp has them',
    )
    .option('--no-format-check', 'do not check that the content is of the format that the file name says')
    .option(
      '--restrict-names',
      'store files with unsafe names under cleaned ones, instead of refusing them or leaving them out',
    )
    .option('--dry-run', 'print what would be downloaded, without downloading it')
    .option(
      '-o, --output <name>',
      'file name, or folder name for several files; single URL only (default: taken from the URL)',
      parseOutputName,
    )
    .option('--keep-paths', 'store files in the folders of their source: DIR/owner/repo/NAME')
    .option('--mode <name>', 'sub-folder for the file: DIR/MODE/NAME')
    .option('--sha256 <hex>', 'digest that the file must have; single URL only', parseSha256)
    .option(
      '--digest <digest>',
      'the same of another algorithm: sha512:HEX, blake3:HEX, sha1:HEX, md5:HEX, crc32c:HEX',
      parseDigestOption,
    )
    .option(
      '--checksums <url>',
      'file or URL that lists digests of the files: SHA256SUMS, NAME.sha256, Metalink',
    )
    .option(
      '--size <bytes>',
      'size that the file must have; single URL only',
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
    )
    .option(
      '--mirror <url>',
      'another URL of the file, used when the first one fails or is slow; may be repeated',
      addText,
    )
    .option('--spread', 'download from the URL and all its mirrors at once')
    .option(
      '--connections <n>',
      'maximum number of connections per file, 1 to 64 (default: 32, fewer with many URLs)',
      wholeNumber(1, 64),
    )
    .option(
      '--concurrency <n>',
      'files to download at a time, 1 to 1000 (default: auto, as many as make the downloads faster, up to 64)',
      filesAtOnce,
    )
    .option('-H, --header <line>', "request header 'Name: value'; may be repeated", addHeader)
    .option(
      '--limit-rate <rate>',
      'limit in bytes per second for all files together: 500k, 10M, 1.5G (powers of 1024)',
      parseRate,
    )

  addNetworkOptions(get)
    .option('--force', 'download again even if the file exists; it is replaced when the new one is complete')
    .option(
      '--include <glob>',
      'files to download of a ref that stands for several; may be repeated',
      addText,
    )
    .option('--exclude <glob>', 'files to skip of a ref that stands for several; may be repeated', addText)
    .option('--json', 'print one JSON object per event on standard output')
    .option('--quiet', 'print errors only')
  addRunOptions(get)
    .addHelpText('after', () => helpBelow('get', getHelp))
    .action((urls: string[], options: GetOptions, command: Command) => {
      if (urls.length === 0 && options.inputFile === undefined)
        command.error("error: missing required argument 'url'", { code: 'commander.missingArgument' })
      return commands.get(urls, options)
    })

  const preload = program
    .command('preload')
    .summary('download the models of a catalog')
    .description('Downloads the models of a catalog that are missing or incorrect.')
    .argument('<catalog>', 'JSON file that lists the models')
    .option('-d, --directory <dir>', 'folder for the files; created if missing', defaultFolder)
    .addOption(layoutOption())
    .addOption(xetOption())
    .option(
      '--models <keys>',
      'keys of the models to download: a,b (default: all with auto_download)',
      parseKeys,
    )

  addNetworkOptions(preload)
    .option('--linked-modes', 'allow the folders of the modes to be symbolic links')
    .option('--force', 'download again even if files exist; they are replaced when the new ones are complete')
    .option('--json', 'print one JSON object per event on standard output')
    .option('--quiet', 'print errors only')
  addRunOptions(preload)
    .addHelpText('after', () => helpBelow('preload', preloadHelp))
    .action((catalog: string, options: PreloadCommandOptions, command: Command) =>
      commands.preload(catalog, { ...options, ownDirectory: isGiven(command, 'directory') }),
    )

  const serve = program
    .command('serve')
    .summary('serve downloads and preloads over HTTP')
    .description('Serves the REST API for downloads, their progress, and preloads of a catalog.')
    .option('--port <n>', 'port to listen on; 0 chooses a free one', wholeNumber(0, 65_535), 8050)
    .option(
      '--host <host>',
      'address to listen on; localhost means 127.0.0.1 and ::1; any other than loopback requires a token',
      'localhost',
    )
    .option('-d, --directory <dir>', 'folder for the files; created if missing', defaultFolder)
    .addOption(layoutOption())
    .addOption(xetOption())
    .option('--catalog <file>', 'JSON file that lists the models that can be preloaded')
    .option('--token <token>', 'token that callers must send; alternatively, set MODEL_DOWNLOADER_TOKEN')
    .option(
      '--cors <origin>',
      "origin whose web pages may call: https://app.example, or '*' for all; may be repeated",
      addText,
    )
    .option('--allow-private-network', 'allow URLs given by callers to reach private and loopback addresses')
    .option(
      '--allow-host <host[:port]>',
      'allow such URLs to reach this host at any address, but not hosts it redirects to; may be repeated',
      addText,
    )
    .option('--remote-tokens', "use this machine's tokens, such as HF_TOKEN, for refs given by callers")
    .option(
      '--remote-max-size <size>',
      'largest file that callers may download: 500M, 20G (powers of 1024; default: no limit)',
      parseSize,
    )
    .option(
      '--remote-min-rate <rate>',
      'stop downloads of callers that are slower than this over 60 s, in bytes per second: 10k (default: none)',
      parseRate,
    )
    .option('--linked-modes', 'allow the folders of the modes to be symbolic links')

  addOperationOptions(addNetworkOptions(addFleetOptions(addClusterOptions(addLimitOptions(serve)))))
    .option('--no-ui', 'do not serve the dashboard at /api/models/ui')
    .option('--quiet', 'print errors only')
    .addHelpText('after', () => helpBelow('serve', serveHelp))
    .action((options: ServeOptions, command: Command) =>
      commands.serve({ ...options, ownDirectory: isGiven(command, 'directory') }),
    )

  addFileCommands(program, (command) => commands.files(command))

  program
    .command('completion')
    .summary('print a script that completes command lines')
    .description('Prints a script for a shell that completes command lines with the Tab key.')
    .addArgument(new Argument('<shell>', 'shell that the script is for').choices(shells))
    .addHelpText('after', () => helpBelow('completion', completionHelp))
    .action((shell: string) => commands.completion?.(shell))

  return localize(program)
}
