import { Command } from 'commander'
import { addHeader, parseOutputName, parseRate, parseSha256, wholeNumber } from './arguments.js'
import type { GetOptions } from './get.js'

/** The commands behind the program; each returns its exit code. */
export interface Commands {
  get(urls: string[], options: GetOptions): Promise<void>
}

const getHelp = `
Progress goes to standard error: bars on a terminal, a line every few seconds
elsewhere. Where standard output is not a terminal, it gets the path of each
finished file.

Interrupted? Run the same command again: what is on disk is kept and checked,
and only the rest is fetched.

Exit codes: 0 all done, 1 a download failed, 2 wrong usage, 130 Ctrl-C.

Examples:
  model-downloader get https://example.com/llama.gguf
  model-downloader get https://example.com/llama.gguf -d models --mode llm
  model-downloader get --json https://example.com/llama.gguf | jq .
`

/** The command line, ready to parse. It throws commander's `CommanderError` instead of ending the process. */
export function createProgram(version: string, commands: Commands): Command {
  const program = new Command('model-downloader')
    .description('Brings AI-model files to disk: resumable, verified, concurrent.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError('(--help shows what is possible)')
    .exitOverride()

  program
    .command('get')
    .summary('download files')
    .description(
      'Downloads one or more URLs. A file lies under its final name only when it is complete and checked.',
    )
    .argument('<url...>', 'http or https addresses')
    .option('-d, --directory <dir>', 'folder for the files; made when missing', '.')
    .option(
      '-o, --output <name>',
      'file name, with a single URL (default: taken from the URL)',
      parseOutputName,
    )
    .option('--mode <name>', 'sub-folder for the file: DIR/MODE/NAME')
    .option('--sha256 <hex>', 'digest that the file must have, with a single URL', parseSha256)
    .option(
      '--size <bytes>',
      'size that the file must have, with a single URL',
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
    )
    .option(
      '--connections <n>',
      'connections per file at most, 1 to 64 (default: 8, fewer with many URLs)',
      wholeNumber(1, 64),
    )
    .option(
      '--concurrency <n>',
      'files at a time, 1 to 1000 (default: number of URLs, 3 to 16)',
      wholeNumber(1, 1000),
    )
    .option('-H, --header <line>', "request header 'Name: value'; may be repeated", addHeader)
    .option(
      '--limit-rate <rate>',
      'bytes per second over all files: 500k, 10M, 1.5G (powers of 1024)',
      parseRate,
    )
    .option('--force', 'fetch again even when the file is there; it is replaced when the new one is complete')
    .option('--json', 'one JSON object per event on standard output')
    .option('--quiet', 'errors only')
    .addHelpText('after', getHelp)
    .action((urls: string[], options: GetOptions) => commands.get(urls, options))

  return program
}
