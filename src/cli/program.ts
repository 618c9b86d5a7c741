import { Command, Option } from 'commander'
import {
  addHeader,
  addText,
  parseKeys,
  parseOutputName,
  parseRate,
  parseSha256,
  wholeNumber,
} from './arguments.js'
import type { GetOptions } from './get.js'
import type { PreloadCommandOptions } from './preload.js'
import type { ServeOptions } from './serve-settings.js'

/** The commands behind the program; each returns its exit code. */
export interface Commands {
  get(urls: string[], options: GetOptions): Promise<void>
  preload(catalog: string, options: PreloadCommandOptions): Promise<void>
  serve(options: ServeOptions): Promise<void>
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
  model-downloader get hf:owner/repo --include '*.safetensors' --include '*.json'
  model-downloader get --json https://example.com/llama.gguf | jq .
  model-downloader get --dry-run hf:owner/model:Q4_K_M
  model-downloader get --layout hf-cache hf:owner/model:Q4_K_M
`

const preloadHelp = `
A catalog is a JSON file: { "models": [ { "key": "llm", "url": "https://…",
"sha256": "…" } ] }. Files go to DIR/MODE/NAME; mode is llm unless the catalog
says otherwise. Models that are there and right are not fetched again.

Interrupted? Run the same command again: it goes on where it was.

Exit codes: 0 all required models are there, 1 one of them is not, 2 wrong
usage, 130 Ctrl-C.

Examples:
  model-downloader preload models.json
  model-downloader preload models.json -d /srv/models --models llm,embed
`

const serveHelp = `
Callers on this machine need no token, unless one is set. For others listen on
an address of theirs, such as 0.0.0.0, and set a token; it is better kept in the
environment (MODEL_DOWNLOADER_TOKEN) than on the command line, which everybody
on the machine can read. Callers send it as "Authorization: Bearer TOKEN".

URLs that callers give reach public hosts only. The catalog is yours: it may
name any host.

SIGTERM and Ctrl-C end it within 5 seconds and keep what was fetched; the next
start goes on with it.

Exit codes: 0 ended by SIGTERM, 1 it can't listen or can't read its directory,
2 wrong usage, 130 Ctrl-C.

Examples:
  model-downloader serve --catalog models.json
  model-downloader serve --cors http://localhost:5173
  MODEL_DOWNLOADER_TOKEN=… model-downloader serve --host 0.0.0.0 -d /srv/models
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
    .argument('<url...>', 'http or https addresses, or refs such as hf:owner/repo')
    .option(
      '-d, --directory <dir>',
      'folder for the files; made when missing (default: this one; of a cache: the Hugging Face cache)',
    )
    .addOption(
      new Option(
        '--layout <name>',
        'how files lie there: flat, or hf-cache as the Hugging Face libraries keep them',
      ).choices(['flat', 'hf-cache']),
    )
    .option('--no-adopt', 'fetch also what lies in a cache of Hugging Face, Ollama, LM Studio or llama.cpp')
    .option('--dry-run', 'say what would be fetched, and fetch nothing')
    .option(
      '-o, --output <name>',
      'file name, or folder of several files, with a single URL (default: taken from the URL)',
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
      '--mirror <url>',
      'another address of the file, for when the first fails or is slow; may be repeated',
      addText,
    )
    .option('--spread', 'fetch from the URL and all its mirrors at once')
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
    .option('--include <glob>', 'of a ref that means several files: only these; may be repeated', addText)
    .option('--exclude <glob>', 'of a ref that means several files: not these; may be repeated', addText)
    .option('--json', 'one JSON object per event on standard output')
    .option('--quiet', 'errors only')
    .addHelpText('after', getHelp)
    .action((urls: string[], options: GetOptions) => commands.get(urls, options))

  program
    .command('preload')
    .summary('bring the models of a catalog to disk')
    .description('Brings the models of a catalog to disk, and fetches only what is missing.')
    .argument('<catalog>', 'JSON file that lists the models')
    .option('-d, --directory <dir>', 'folder for the files; made when missing', 'models')
    .option('--models <keys>', 'models to fetch: a,b (default: all with auto_download)', parseKeys)
    .option('--force', 'fetch again even what is there; it is replaced when the new one is complete')
    .option('--json', 'one JSON object per event on standard output')
    .option('--quiet', 'errors only')
    .addHelpText('after', preloadHelp)
    .action((catalog: string, options: PreloadCommandOptions) => commands.preload(catalog, options))

  program
    .command('serve')
    .summary('serve downloads and preloads over HTTP')
    .description('Serves the REST routes: downloads, their progress, and preloads of a catalog.')
    .option('--port <n>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535), 8050)
    .option('--host <host>', 'address to listen on; other than loopback needs a token', '127.0.0.1')
    .option('-d, --directory <dir>', 'folder for the files; made when missing', 'models')
    .option('--catalog <file>', 'JSON file of the models that can be preloaded')
    .option('--token <token>', 'what callers must send; or set MODEL_DOWNLOADER_TOKEN')
    .option(
      '--cors <origin>',
      "web pages that may call: https://app.example, or '*'; may be repeated",
      addText,
    )
    .option('--allow-private-network', 'let the URLs of callers reach private and loopback addresses')
    .option(
      '--allow-host <host[:port]>',
      'let them reach this host wherever it is, not what it redirects to; may be repeated',
      addText,
    )
    .option('--no-ui', 'without the dashboard, the page for people at /api/models/ui')
    .option('--quiet', 'errors only')
    .addHelpText('after', serveHelp)
    .action((options: ServeOptions) => commands.serve(options))

  return program
}
