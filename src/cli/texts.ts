/** What the command says to people, and the English form of it. Its help is in `program.ts`. Pure. */
import type { DigestOrigin } from '../util/digests.js'

/** The English texts. */
export const englishTexts = {
  /** Before the message of a failure. */
  error: 'error: ',
  /** Between a name and what is said about it. */
  colon: ': ',
  /** Between the parts of a line. */
  comma: ', ',
  // Arguments.
  rateExpected: 'Expected a number of bytes per second, optionally followed by k, M or G: 500k, 10M, 1.5G.',
  sizeExpected: 'Expected a number of bytes, optionally followed by k, M or G: 500k, 10M, 1.5G.',
  sizeTooSmall: 'The size must be at least 1 byte. Omit the option for no limit.',
  rateTooSmall: 'The rate must be at least 1 byte per second. Omit the option for no limit.',
  wholeNumber: (min: number, max: number | null) =>
    `Expected a whole number ${max === null ? `from ${min}` : `from ${min} to ${max}`}.`,
  digestExpected: 'A SHA-256 digest has 64 hexadecimal digits.',
  anyDigestExpected: (algorithms: string) =>
    `Expected an algorithm, a colon and the digest in hex or base64. Algorithms: ${algorithms}.`,
  outputIsStdout: 'Files can only be written to disk, not to standard output.',
  outputHasFolder: 'Expected a file name without folders (UNSAFE_FILENAME). Set the folder with -d.',
  outputEmpty: 'The file name is empty.',
  headerExpected: "Write a header as 'Name: value'.",
  keysExpected: 'Expected keys of the catalog, separated by commas: a,b.',
  proxyExpected: 'Expected the address of a proxy, such as http://host:3128 or socks5h://host:1080.',
  certificatesUnreadable: (cause: string) => `The file can't be read (${cause}).`,
  certificatesExpected: 'Expected a file with certificates in PEM (-----BEGIN CERTIFICATE-----).',
  localeExpected: 'Expected one of the supported languages: en-US, zh-CN.',
  singleUrlOnly: (option: string, count: number) =>
    `${option} can be used with a single URL only, but ${count} were given.`,
  layoutFixesNames: (option: string) =>
    `${option} cannot be combined with --layout hf-cache, which determines the file names.`,
  /** Before what is wrong with a line of a list. */
  listLine: (file: string, line: number) => `${file}, line ${line}: `,
  listInput: 'standard input',
  listNotRead: (file: string, reason: string) => `The list ${file} can't be read (${reason}).`,
  listIsFolder: (file: string) => `The list ${file} is not a file.`,
  listFileTooLarge: (file: string, limit: string) => `The list ${file} is larger than ${limit}.`,
  listInputTwice: 'Only one list can be read from standard input.',
  listEmpty: 'The list names no URL, so there is nothing to download.',
  listTooLong: (max: number) => `A list may name at most ${max} URLs.`,
  listLineTooLong: (max: number) => `The line is longer than ${max} characters.`,
  listNotText: 'It is neither UTF-8 nor UTF-16.',
  listOptionFirst: 'An indented line sets an option of the URL above it, but there is none.',
  listOptionOfJson: 'The options of a JSON object belong inside it.',
  listUnknownOption: (name: string | null, known: readonly string[]) =>
    `${name ?? 'This'} is not an option; an indented line is one of ${known.map((each) => `${each}=`).join(', ')}.`,
  listOptionWithoutValue: (name: string) => `The option has no value; write ${name}=…`,
  listValueEmpty: 'The value is empty.',
  listNameHasFolder:
    'Expected a file name without folders (UNSAFE_FILENAME). Set the folder with -d or dir=.',
  listOtherDigest: 'Expected sha-256=HEX, sha-512=HEX, sha-1=HEX, md5=HEX or the like.',
  listNotJson: 'It is not valid JSON; each object must be on a line of its own, as `jq -c` prints it.',
  listNotObject:
    'Expected a JSON object such as {"url":"https://…"} on each line; `jq -c ".[]"` divides a list.',
  listUnknownField: (name: string | null, known: readonly string[]) =>
    `${name ?? 'A field'} is not a field of a request; known are ${known.join(', ')}.`,
  listNoUrl: 'It has no url.',
  listedDifferently: (where: string) => `This URL was given before with other options (${where}).`,
  /** Where a URL was given that is in no list. */
  listArguments: 'on the command line',
  listedAt: (file: string, line: number) => `line ${line} of ${file}`,
  namedTwice: '--output and NAME=URL both name the file; use one of them.',
  notCookies: (file: string, line: number) =>
    `--cookies: ${file} has no cookies in the format of Netscape (line ${line}).`,
  noHome: (option: string) => `${option}: there is no home folder; name the file.`,
  secretsTooLarge: (option: string, file: string) => `${option}: ${file} is too large.`,
  secretsNotRead: (option: string, file: string, reason: string) =>
    `${option}: ${file} can't be read (${reason}).`,
  quietAndVerbose: '--quiet and --verbose contradict each other.',
  logNotOpened: (file: string, reason: string) => `--log-file: ${file} can't be opened (${reason}).`,
  logFailed: (file: string, reason: string) => `The log ${file} can't be written any more (${reason}).`,
  execMissing: (program: string) =>
    `--exec: there is no program "${program}". It is run without a shell; give each argument with --exec-arg.`,
  execIsScript: (program: string) =>
    `--exec: "${program}" is a batch file, which needs a shell. Name the program that it runs.`,
  execArgAlone: '--exec-arg is an argument of the program that --exec names.',
  execNotStarted: (reason: string) => `the command could not be started (${reason})`,
  execEnded: (how: number | string) =>
    typeof how === 'number' ? `the command ended with code ${how}` : `the command was ended by ${how}`,
  configNotRead: (file: string, reason: string) => `The settings ${file} can't be read (${reason}).`,
  configTooLarge: (file: string) => `The settings ${file} are too large.`,
  configNotJson: (file: string) => `The settings ${file} are not valid JSON.`,
  configInvalid: (file: string, problems: string) => `The settings ${file} are not valid: ${problems}.`,
  configUnsafe: (file: string, names: string) =>
    `${file} sets ${names}, which a file in the working directory may not, because it may come from somebody else. If it is yours, name it: --config ${file}`,
  configOutside: (file: string, name: string) =>
    `${file}: ${name} leads out of the folder of the file. If the file is yours, name it: --config ${file}`,
  booleanExpected: 'Expected 1 or 0 (true or false).',
  // Wrong usage, as the parser reports it.
  helpHint: '(use --help for usage information)',
  missingArgument: (name: string) => `missing required argument '${name}'`,
  missingValue: (flags: string) => `option '${flags}' argument missing`,
  missingOption: (flags: string) => `required option '${flags}' not specified`,
  unknownOption: (flag: string) => `unknown option '${flag}'`,
  unknownCommand: (name: string) => `unknown command '${name}'`,
  didYouMean: (names: string) => `(Did you mean ${names}?)`,
  tooManyArguments: (expected: string, found: string) =>
    `too many arguments. Expected ${expected} but got ${found}.`,
  invalidOption: (flags: string, value: string, reason: string) =>
    `option '${flags}' argument '${value}' is invalid. ${reason}`,
  invalidArgument: (name: string, value: string, reason: string) =>
    `command-argument value '${value}' is invalid for argument '${name}'. ${reason}`,
  allowedChoices: (choices: string) => `Allowed choices are ${choices}.`,
  // Downloads.
  start: 'start: ',
  done: 'done: ',
  note: 'note: ',
  retry: (wait: string, code: string, attempt: number) =>
    `retry ${wait} ${code}${attempt > 1 ? ` (${attempt})` : ''}`,
  retried: (times: number) => `${times} ${times === 1 ? 'retry' : 'retries'}`,
  preparing: 'preparing …',
  connecting: 'connecting',
  verifying: 'verifying',
  waiting: 'waiting',
  connections: (count: number) => `${count} connection${count === 1 ? '' : 's'}`,
  retryingIn: (reason: string, code: string, wait: string) => `${reason} (${code}); retrying in ${wait}`,
  missing: 'missing: ',
  notAttempted: 'It was not attempted.',
  andMore: (count: number) => `… and ${count} more`,
  summary: (completed: number, total: number, failed: number, size: string, time: string) =>
    `${completed} of ${total} files${failed === 0 ? '' : `, ${failed} failed`}, ${size} fetched in ${time}`,
  filesOf: (done: number, total: number) => `${done}/${total} files`,
  failedCount: (failed: number) => `${failed} failed`,
  activeCount: (active: number) => `${active} active`,
  adopted: 'taken from another cache',
  existed: 'already exists',
  digestVerified: (algorithm: string, from: DigestOrigin) =>
    `${algorithm} verified${from === 'server' ? ' (told by the server)' : from === 'sidecar' ? ' (checksum file)' : ''}`,
  fetched: (size: string, time: string, speed: string) => `${size} in ${time} (${speed}/s)`,
  kept: (size: string) => `${size} kept`,
  interrupted: (kept: string) => `Interrupted. ${kept} kept on disk; run the same command again to resume.`,
  // Dry run.
  plan: {
    missing: 'to fetch',
    partial: 'partial',
    complete: 'complete',
    adoptable: 'in a cache',
    refused: 'left out',
  },
  planSummary: (count: number, total: string, missing: string, free: string | null, fits: boolean) =>
    `${count === 1 ? '1 file' : `${count} files`}, ${total}; ${missing} to fetch${free === null ? '' : `, ${free} free`}${fits ? '' : ': not enough space'}`,
  // Preload.
  nothingToDo: 'No model of the catalog has auto_download set; select models with --models.',
  locked: `Another process, perhaps a running \`serve\`, is downloading to the same location. Start the preload
there (POST /api/v1/models/preload/start), or wait until it is done and run this command again.`,
  // Serve.
  warning: 'warning: ',
  badHost: (host: string) => `--host: "${host}" is not an address or host name.`,
  needsCatalog: '--ready-when-preloaded needs a catalog (--catalog FILE).',
  needsPromClient:
    '--metrics needs the package prom-client, which is not installed: npm install prom-client (with --global if this package is).',
  needsToken: (host: string, variable: string) =>
    `--host ${host} accepts callers from other machines, so it needs a token: use --token or set ${variable}.`,
  badToken: (source: string) =>
    `${source}: a token must not be empty and may contain only visible ASCII characters, no spaces.`,
  badOrigin: (origin: string) =>
    `--cors: "${origin}" is neither * nor an origin such as https://app.example.com.`,
  needsRedis: (option: string) => `${option} is for clusters and fleets, and needs --redis URL.`,
  notInFleet: (option: string) =>
    `${option} cannot be combined with --fleet, whose nodes have each their own downloads.`,
  needsFleet: (option: string) => `${option} is for nodes of a fleet, and needs --fleet.`,
  fleetNeedsCatalog: '--fleet needs a catalog (--catalog FILE).',
  needsIoredis: '--fleet needs another package: npm install ioredis',
  needsPeerToken: (variable: string, length: number) =>
    `--peers needs a token of at least ${length} characters in ${variable}, the same for all servers.`,
  badPeerToken: (variable: string, length: number) =>
    `${variable}: the token must have at least ${length} characters.`,
  serverExpected: 'Expected the address of a server, such as http://node-2:8050.',
  badRedis:
    '--redis must be an address such as redis://host:6379, rediss://host:6380 or unix:///run/redis.sock.',
  needsBullmq: '--redis needs two more packages: npm install bullmq ioredis',
  badAllowedHost: (host: string) =>
    `--allow-host: "${host}" is not of the form host or host:port (IPv6 in brackets).`,
  inUse: (place: string) =>
    `${place} is already in use, perhaps by another \`serve\`. Choose another port with --port; 0 picks a free one.`,
  notAllowedToListen: (place: string) =>
    `This user is not allowed to listen on ${place}. Ports from 1024 on need no special permission.`,
  notAnAddress: (host: string) =>
    `${host} is not an address of this machine. Choose another one with --host.`,
  cannotListen: (place: string, reason: string) => `Listening on ${place} failed: ${reason}`,
  banner: {
    listening: 'Listening on',
    dashboard: 'dashboard',
    directory: 'directory',
    catalog: 'catalog',
    callers: 'callers',
    pages: 'web pages',
    api: 'API',
    noCatalog: 'none (--catalog FILE)',
    models: (file: string, count: number) => `${file} (${count} ${count === 1 ? 'model' : 'models'})`,
    localCallers: 'on this machine only',
    tokenCallers: 'anyone with the token',
    ownPages: 'same origin only (--cors ORIGIN)',
    allPages: 'every origin',
    howToStop: 'Press Ctrl-C to stop. Downloaded data is kept.',
  },
  openToAllPages: 'every web page open in a browser on this machine can call this server; set a token',
  stopping: (unfinished: number) =>
    unfinished === 0
      ? 'stopping'
      : `stopping; ${unfinished === 1 ? '1 download resumes' : `${unfinished} downloads resume`} at the next start`,
  stoppedLate: 'not everything stopped in time; downloaded data is kept',
  started: (url: string) => `started: ${url}`,
  completed: (line: string) => `completed: ${line}`,
  paused: 'paused',
  canceled: 'canceled',
  evicted: (size: string, other: string) => `evicted to make room for ${other}: ${size} were deleted`,
}

/** The texts of the command in one language. */
export type CommandTexts = typeof englishTexts

/** The help of one command in one language. A missing option does not compile. */
export interface CommandHelp<Options> {
  readonly summary: string
  readonly description: string
  /** In the order of the command line. */
  readonly args: readonly string[]
  readonly options: Readonly<Record<keyof Options, string>>
  /** Text below the options. */
  readonly after: string
}

/** What the help of all commands shares. */
export interface SharedHelp {
  readonly description: string
  /** Headings by their English form, such as `Options:`. */
  readonly titles: Readonly<Record<'Usage:' | 'Arguments:' | 'Options:' | 'Commands:', string>>
  readonly help: string
  readonly version: string
  readonly locale: string
  readonly config: string
  readonly default: (value: string) => string
  readonly choices: (values: string) => string
}
