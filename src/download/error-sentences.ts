/**
 * What texts of errors consist of, and their English sentences. The codes have no English texts, because the
 * message of each error is its English text. Pure.
 */
import type { DownloadErrorCode } from '../errors.js'
import { allowedHostsHint } from '../net/host-text.js'
import type { Locale } from '../util/locale.js'

/** How to change a setting, in both kinds of host. */
interface Hint {
  readonly code: string
  readonly command: string
}

/** What to do about a refusal. Messages contain those for code, which `errorText` replaces for the command. */
export const englishHints = {
  authorize: {
    code: 'unless the host application passes `authorize`',
    command: 'unless the server has a token (--token)',
  },
  mustAuthorize: {
    code: 'the host application must pass `authorize`',
    command: 'the server needs a token for that (--token)',
  },
  cors: {
    code: 'the host application can list the origin in `cors`',
    command: 'start the server with --cors ORIGIN to allow that',
  },
  allowedHosts: {
    code: allowedHostsHint,
    command: 'start the server with --allow-host HOST[:PORT] to allow that',
  },
  otherName: {
    code: 'set a different `filename` or `directory`',
    command: 'name it with NAME=URL, or store files in the folders of their sources with --keep-paths',
  },
} satisfies Record<string, Hint>

/** How to change a setting, by name; the same in every language. */
export type Hints = Readonly<Record<keyof typeof englishHints, Hint>>

/** Sentences of errors, and of their issues, whose code alone does not say enough. The keys are those of {@link ErrorSentences}. */
export const englishSentences = {
  unknownCaller: () => `The address of the caller is unknown; ${englishHints.mustAuthorize.code}.`,
  localOnly: () => `Only callers on the same machine are allowed, ${englishHints.authorize.code}.`,
  behindProxy: (header: string) =>
    `A proxy has passed on this request (${header}), so its caller may be anywhere; ${englishHints.mustAuthorize.code}.`,
  foreignHost: () => `This host name is not allowed, ${englishHints.authorize.code}; use localhost.`,
  foreignPage: () => `Pages of this origin are not allowed to do this; ${englishHints.cors.code}.`,
  refusedOrigin: (origin: string) =>
    `Web pages of ${origin} are refused; list the origin in \`cors\` to allow them.`,
  refusedOriginOfCommand: (origin: string) =>
    `web pages of ${origin} are refused; to allow them, start the server with --cors ${origin}`,
  refusedNoOrigin: () =>
    'Web pages without an origin of their own, such as files opened in a browser, are refused; serve them from a web server whose origin is listed in `cors`.',
  refusedNoOriginOfCommand: () =>
    'web pages without an origin of their own, such as files opened in a browser, are refused; serve them from a web server, and start this server with --cors ORIGIN',
  refusedManyOrigins: () => 'Pages of further origins are refused, too. No more of them are listed.',
  unauthenticated: () => 'This requires authentication.',
  forbidden: (action: string) => `You don't have permission for this (${action}).`,
  badHost: () => 'The Host header does not name a valid host.',
  notJson: () => 'The body must be JSON (Content-Type: application/json).',
  bodyNotUtf8: () => 'The body must be encoded as UTF-8.',
  bodyCompressed: () => 'The body must not be compressed.',
  bodyEndedEarly: () => 'The body ended too early.',
  bodyInvalidUtf8: () => 'The body is not valid UTF-8.',
  bodyInvalidJson: () => 'The body is not valid JSON.',
  bodyTooLarge: (bytes: string) => `The body is larger than ${bytes} bytes.`,
  tooManyStreams: () => 'Too many event streams are open; close some, or try again later.',
  unknownFile: () => 'No file of this name is on disk.',
  ambiguousFile: () => 'Several files have this name; use the path below the folder.',
  checkRunning: () => 'A check that this caller has requested is still running; try again later.',
  tooManyChecks: () => 'Too many checks are already waiting; try again later.',
  nothingHere: () => 'There is nothing at this path.',
  wrongMethod: (method: string, allowed: string) => `${method} is not allowed here, only ${allowed}.`,
  outsideFolder: () =>
    "The file is outside the server's folder, so it can't be deleted here; remove only the download.",
  unknownDownload: () => 'No download of this URL is known.',
  noCatalog: () => 'This server has no catalog of models: its handler was created without a preloader.',
  noFleet: () => 'This server is no node of a fleet.',
  noCluster: () => 'This server is no instance of a cluster.',
  preloadRunning: () => 'A preload is already running.',
  unknownModel: (key: string) => `the catalog has no model "${key}"`,
  unknownModels: (...keys: string[]) =>
    `models: ${keys.map((key) => `the catalog has no model "${key}"`).join('; ')}`,
  catalogMissing: (file: string) => `catalog ${file}: there is no such file`,
  catalogNoFile: (file: string) => `catalog ${file}: it is not a file`,
  catalogTooLarge: (file: string, limit: string) => `catalog ${file}: it is larger than ${limit}`,
  catalogNotText: (file: string, line: string) =>
    `catalog ${file}: line ${line} is neither UTF-8 nor UTF-16; save the file as UTF-8`,
  catalogNotJson: (file: string, line: string) =>
    `catalog ${file}: it is not valid JSON${line === '' ? '' : ` (line ${line})`}`,
  fileTaken: (filename: string) =>
    `Another download already writes to the file ${filename}; ${englishHints.otherName.code}.`,
  knownDifferently: (name: string) =>
    `This URL is already known with a different ${name}; remove that download first.`,
  activeForHost: () =>
    'This URL is already being downloaded for the host application, without that sha256 or size.',
  activeOtherwise: () =>
    'This URL is already being downloaded without that sha256 or size; wait until it has ended.',
} as const

/** The sentences of a language. */
export type ErrorSentences = {
  readonly [Key in keyof typeof englishSentences]: (
    ...names: Parameters<(typeof englishSentences)[Key]>
  ) => string
}

/** What the text of a code may mention. */
export interface ErrorFacts {
  /** HTTP status, if one caused the error. */
  readonly status: number | null
  /** The invalid options, or the files that are missing, without duplicates. */
  readonly paths: readonly string[]
  /** What is wrong with each of them, by path. */
  readonly problems: readonly { readonly path: string; readonly text: string }[]
  /** Sizes in the message, such as `1.5 GB`: what is needed, and what is there. */
  readonly sizes: readonly string[]
  /** The option of the manager that sets the limit which would be broken; null if there is none. */
  readonly limit: string | null
  /** Identifier of the cause that ends the message, such as `ECONNREFUSED`. */
  readonly cause: string | null
  /** The host that could not be resolved. */
  readonly host: string | null
  /** The file that another download writes to, if that is the problem. */
  readonly file: string | null
  /** What was most likely meant, such as `hf:owner/repo`. */
  readonly meant: string | null
}

/** All texts of errors in a language other than English, whose texts are the messages. */
export interface ErrorTexts {
  readonly locale: Locale
  readonly hints: Hints
  /** A code without its own text does not compile. */
  readonly codes: Readonly<Record<DownloadErrorCode, (facts: ErrorFacts) => string>>
  readonly sentences: ErrorSentences
  /** A problem of one option, by the kind that the validator reports. */
  readonly issue: (kind: string) => string
  /** Announces that a failure is followed by another attempt. `reason` is a complete sentence. */
  readonly retrying: (reason: string, seconds: string) => string
}
