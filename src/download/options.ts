import * as z from 'zod'
import { DownloadError, type OptionIssue, toDownloadError } from '../errors.js'
import type { Layout } from '../layouts/hf-paths.js'
import { parseUrl } from '../sources/identify.js'
import type { RemoteGrant } from '../net/address-policy.js'

// ---- Which headers callers may send along.

const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

// Visible ASCII, obs-text, space and tab; anything else would let a value break out of its line (RFC 9110 section 5.5).
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** Headers that belong to the engine: a caller's Range or Host would break the transfer rules. */
const reservedHeaders = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Validates a caller's headers. */
export const headers = z.record(z.string(), z.string()).superRefine((value, context) => {
  for (const [name, content] of Object.entries(value)) {
    if (!headerName.test(name)) {
      context.addIssue({ code: 'custom', path: [name], message: 'is not a valid header name' })
    } else if (reservedHeaders.has(name.toLowerCase())) {
      context.addIssue({
        code: 'custom',
        path: [name],
        message: 'is set by the engine and cannot be overridden',
      })
    }
    if (!headerValue.test(content)) {
      context.addIssue({
        code: 'custom',
        path: [name],
        message: 'holds a character that a header value must not have',
      })
    }
  }
})

// ---- options

/** What to fetch, and how. */
export interface DownloadOptions {
  /**
   * http or https, or a ref: `hf:owner/repo/file.gguf`, `hf:owner/repo:Q4_K_M`, `hf:owner/repo` for all files; see `docs/sources.md`.
   * It is the identity of the download, as it is given. Default: the first of `urls`.
   */
  url?: string
  /**
   * Mirrors: further http or https addresses of the same file, 1 to 32, in the order in which they are tried when `url`
   * fails or is slow; `url` may be among them. A mirror that has another file is left out, see `docs/mirrors.md`. For a
   * URL that is known and live, those given first hold. Default: none.
   */
  urls?: readonly string[]
  /** Fetch from `url` and all of `urls` at once. Default false: from one at a time. */
  spread?: boolean
  /** File name, one path segment. Default: the URL's last segment, else what the first response says, else `model.gguf`. */
  filename?: string
  /** Sub-folder, one of the manager's `modes`; null for the directory itself. Default: the manager's `defaultMode`. */
  mode?: string | null
  /**
   * Folder that takes the place of the manager's: the file goes to `<directory>/<mode>/<filename>`. Absolute, or
   * relative to the manager's. Default: the manager's; for a URL that is known, where it is. Never take it from people
   * that you don't trust: it may lie anywhere.
   */
  directory?: string
  /**
   * How the file lies below its folder. `hf-cache` takes refs of the Hugging Face hub, and neither `mode` nor `filename`;
   * the cache is `directory` when that is given. Default: the manager's; for a URL that is known, as it is.
   */
  layout?: Layout
  /**
   * Whether a file whose SHA-256 is known may be taken from a cache of the Hugging Face libraries, Ollama, LM Studio or
   * llama.cpp on this machine, instead of being fetched. It is hashed first. True shares its bytes where that can be
   * done (reflink, else hard link: then who changes the original in place changes this file too), `copy` never shares
   * them by a hard link. Default: the manager's; false for a `remote` caller, who could else learn what lies there.
   */
  adopt?: boolean | 'copy'
  /** SHA-256 that the file must have, 64 hex digits. */
  sha256?: string
  /** Size that the file must have, in bytes. */
  size?: number
  /** Headers for the origin of `url`; not sent to another origin after a redirect, nor to a mirror elsewhere. */
  headers?: Record<string, string>
  /** Higher ones go first; −1,000,000 to 1,000,000. Default 0. */
  priority?: number
  /** Connections at most, 1 to 64. Default: the manager's. */
  connections?: number
  /** Limit for this download in bytes per second, or null. Default null. Changeable. */
  maxBytesPerSecond?: number | null
  /**
   * The URL comes from somebody untrusted, such as a caller from the network: it reaches public addresses only, on each
   * redirect and each retry too, and elsewhere fails with `SSRF_BLOCKED`; it must not hold user and password; no proxy
   * is used. An object opens more: see {@link RemoteGrant}. It is remembered; who asks for a settled download again
   * decides anew. Default false.
   */
  remote?: boolean | { allowPrivateNetwork?: boolean; allowedHosts?: readonly string[] }
  /** Fetch again even when the file is there; the old one stays until the new one is verified. Default false. */
  force?: boolean
  /**
   * For a ref that means several files: globs of those that are wanted, such as `*.gguf` or `onnx/**`. Default: all.
   * A glob without a slash is held against the file's own name wherever it lies; at most 100.
   */
  include?: readonly string[]
  /** Globs of those that are not wanted; they outrank `include`. Default: none. */
  exclude?: readonly string[]
  /** Cancels the download when aborted. */
  signal?: AbortSignal
}

export const layout = z.enum(['flat', 'hf-cache'])

export const adopt = z.union([z.boolean(), z.literal('copy')])

export const count = (max: number) => z.number().int().min(1).max(max)

export const rate = z.number().positive().nullable()

const byteCount = z.number().int().min(0)

export const milliseconds = z.number().positive().max(0x7fffffff)

/** The shape alone: what cannot be a host name at all exempts nothing. */
const allowedHost = z
  .string()
  .max(300)
  .regex(
    /^(?:\[[\da-fA-F:.]+\]|[^\s/?#@:\\[\]*]+)(?::\d{1,5})?$/,
    'must be host or host:port, IPv6 in brackets, without wildcards',
  )

const remote = z
  .union([
    z.boolean(),
    z.strictObject({
      allowPrivateNetwork: z.boolean().optional(),
      allowedHosts: z.array(allowedHost).max(1_000).optional(),
    }),
  ])
  .transform((value): RemoteGrant | null => {
    if (value === false) return null
    const { allowPrivateNetwork = false, allowedHosts = [] } = value === true ? {} : value
    return { allowPrivateNetwork, allowedHosts }
  })

/** Globs of the files of a group. */
export const globsSchema = z.array(z.string().min(1).max(1_000)).max(100)

/** A sha256 as callers give it: upper case and a `sha256:` prefix are fine. */
export const sha256Schema = z
  .string()
  .transform((value) =>
    value
      .trim()
      .toLowerCase()
      .replace(/^sha256[:-]/, ''),
  )
  .pipe(z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'))

export const folder = z
  .string()
  .min(1)
  .refine((path) => !path.includes('\0'), 'must not hold a NUL')

const urlText = z.string().min(1).max(16_384)

/** Validates mirrors; each is looked at by {@link parseUrl} too. */
export const urlsSchema = z.array(urlText).min(1).max(32)

/** How far a caller may reach, see {@link DownloadOptions.remote}. */
export const remoteSchema = remote.default(null)

const downloadOptionsObject = z.strictObject({
  url: urlText.optional(),
  urls: urlsSchema.optional(),
  spread: z.boolean().optional(),
  filename: z.string().optional(),
  mode: z.string().nullable().optional(),
  directory: folder.optional(),
  layout: layout.optional(),
  adopt: adopt.optional(),
  sha256: sha256Schema.optional(),
  size: byteCount.optional(),
  headers: headers.default({}),
  priority: z.number().int().min(-1_000_000).max(1_000_000).default(0),
  connections: count(64).optional(),
  maxBytesPerSecond: rate.optional(),
  remote: remoteSchema,
  force: z.boolean().default(false),
  include: globsSchema.optional(),
  exclude: globsSchema.optional(),
  signal: z.instanceof(AbortSignal).optional(),
})

/** Validates {@link DownloadOptions}; `urls` are then those besides `url`. */
export const downloadOptionsSchema = downloadOptionsObject.transform(({ url, urls, ...rest }, context) => {
  const first = url ?? urls?.[0]
  if (first === undefined) {
    context.addIssue({ code: 'custom', path: ['url'], message: 'is missing' })
    return z.NEVER
  }
  return { ...rest, url: first, urls: urls === undefined ? undefined : mirrorsOf(first, urls) }
})

/** Each once, without the address that they are mirrors of. */
export function mirrorsOf(url: string, urls: readonly string[]): string[] {
  return [...new Set(urls)].filter((mirror) => mirror !== url)
}

/** Download options, normalised. */
export type ResolvedDownloadOptions = z.output<typeof downloadOptionsSchema>

/**
 * Runs a schema over input; what is wrong becomes one readable error.
 *
 * @throws DownloadError `INVALID_OPTIONS` with every problem in `issues`.
 */
export function parseOptions<S extends z.ZodType>(schema: S, input: unknown, what: string): z.output<S> {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const issues: OptionIssue[] = result.error.issues.map((issue) => ({
    path: issue.path.join('.'),
    message: issue.message,
  }))
  const text = issues
    .map((issue) => (issue.path === '' ? issue.message : `${issue.path}: ${issue.message}`))
    .join('; ')
  throw new DownloadError('INVALID_OPTIONS', `${what}: ${text}`, { issues })
}

/**
 * Checks mirrors as {@link parseUrl} does.
 *
 * @throws DownloadError `INVALID_URL`, with the place of the bad one in `issues`.
 */
export function checkMirrors(urls: readonly string[], remote: RemoteGrant | null = null): void {
  for (const [index, url] of urls.entries()) {
    try {
      parseUrl(url, remote)
    } catch (error) {
      const { message } = toDownloadError(error)
      const issues: OptionIssue[] = [{ path: `urls.${index}`, message }]
      throw new DownloadError('INVALID_URL', `A mirror: ${message}`, { issues })
    }
  }
}
