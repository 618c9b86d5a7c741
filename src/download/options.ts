import * as z from 'zod'
import { DownloadError, type OptionIssue, toDownloadError } from '../errors.js'
import type { Layout } from '../layouts/hf-paths.js'
import { parseUrl } from '../sources/identify.js'
import type { RemoteGrant } from '../net/address-policy.js'
import type { XetMode } from './xet.js'
import { type Digest, digestAlgorithms, digestText, parseDigest } from '../util/digests.js'
import { issueOfKind } from './error-text.js'

// ---- Headers that callers may set.

const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

// Visible ASCII, obs-text, space and tab; any other character could break out of its header line (RFC 9110
// section 5.5).
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** Headers that the engine controls: a caller's Range or Host would break the transfer. */
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
        message: 'contains a character that is not allowed in a header value',
      })
    }
  }
})

/** Options of a download: what to fetch, and how. */
export interface DownloadOptions {
  /**
   * An http or https URL, or a ref: `hf:owner/repo/file.gguf`, `hf:owner/repo:Q4_K_M`, `hf:owner/repo` for
   * all files; see `docs/sources.md`. It identifies the download, exactly as given. Default: the first of
   * `urls`.
   */
  url?: string
  /**
   * Mirrors: 1 to 32 further http or https addresses of the same file, in the order in which they are tried
   * when `url` fails or is slow; `url` may be among them. A mirror that has a different file is dropped, see
   * `docs/mirrors.md`. While a download of the URL has not settled, the mirrors that were given first apply.
   * Default: none.
   */
  urls?: readonly string[]
  /** Whether to fetch from `url` and all of `urls` at the same time. Default false: from one at a time. */
  spread?: boolean
  /**
   * File name, a single path segment. Default: the last segment of the URL, otherwise the name that the first
   * response gives, with unsafe characters replaced, otherwise one that is made up of the address and the format,
   * such as `download-128713.safetensors`.
   */
  filename?: string
  /**
   * Subfolder, one of the manager's `modes`; null for the directory itself. Default: the manager's
   * `defaultMode`.
   */
  mode?: string | null
  /**
   * Folder that replaces the manager's: the file is stored at `<directory>/<mode>/<filename>`. Absolute, or
   * relative to the manager's folder. Default: the manager's folder; for a known URL, its current folder.
   * Never accept it from untrusted callers, because it may be any folder. No folder below it may be a symbolic
   * link; it may be one itself.
   */
  directory?: string
  /**
   * Layout of the file below its folder. `hf-cache` supports only refs of the Hugging Face Hub, and neither
   * `mode` nor `filename`; the cache is `directory` if that is given. Default: the manager's layout; for a
   * known URL, its current layout.
   */
  layout?: Layout
  /**
   * Whether a file whose SHA-256 is known may be adopted from a cache of the Hugging Face libraries, Ollama,
   * LM Studio, ModelScope or llama.cpp on this machine instead of being fetched. It is hashed first. True shares its
   * bytes if possible: by a reflink, otherwise by a hard link, in which case a change of the original in
   * place changes this file too. `copy` never uses a hard link. Default: the manager's setting; false for a
   * `remote` caller, who could otherwise find out which files exist.
   */
  adopt?: boolean | 'copy'
  /**
   * Whether files of the Hugging Face hub are fetched from its Xet store, in which it keeps large files as chunks. `auto`:
   * over HTTP, and from the store if that fails or is slow; the other way round for files over 50 GB. `prefer`: from the
   * store, and over HTTP if that fails. `never`: over HTTP only, as with the environment variable `HF_HUB_DISABLE_XET`.
   * Default: the manager's setting.
   */
  xet?: XetMode
  /** SHA-256 that the file must have, 64 hex digits in either case; a `sha256:` prefix is accepted. */
  sha256?: string
  /**
   * Digest that the file must have, of any algorithm: `sha512:…`, `sha384:…`, `sha256:…`, `blake3:…`, `sha1:…`, `md5:…`,
   * `crc64nvme:…`, `crc32c:…` or `crc32:…`, in hex in either case, or in base64. It applies besides `sha256`; see
   * `docs/verification.md`.
   */
  digest?: string
  /**
   * URL, or path, of a file of checksums that lists the file: `SHA256SUMS`, `model.gguf.sha256`, BSD style, or Metalink 4,
   * which may name mirrors and digests of pieces as well; see `docs/verification.md`. It is read before each run. A
   * `remote` caller can't name a path. Only for a single file. Default: none.
   */
  checksums?: string
  /** Size that the file must have, in bytes. */
  size?: number
  /**
   * Whether a file without a known digest is checked against its name: that it is not a web page or a Git LFS
   * pointer, and begins as its extension says (GGUF, safetensors, ZIP, HDF5 and others). A file that is not as
   * its name says fails with `CONTENT_MISMATCH`. Default true.
   */
  checkFormat?: boolean
  /**
   * Whether files whose names can't be used on every system are stored under cleaned names, such as `_aux.json` for
   * `aux.json`. Otherwise those of a ref that names several files are missing in the end, each with its reason, and
   * a URL or a ref of a single file is refused. Files in a cache always keep their names, and so does a `filename`.
   * Default false; for a known URL, the earlier value.
   */
  restrictNames?: boolean
  /**
   * Headers for the origin of `url`. They are not sent to another origin after a redirect, nor to a mirror on
   * another origin.
   */
  headers?: Record<string, string>
  /** Downloads with a higher priority start first; −1,000,000 to 1,000,000. Default 0. */
  priority?: number
  /** Maximum number of connections, 1 to 64. Default: the manager's setting. */
  connections?: number
  /** Limit for this download in bytes per second, or null for none. Default null. Can be changed later. */
  maxBytesPerSecond?: number | null
  /**
   * Whether the URL comes from an untrusted caller, such as one on the network. It may then reach only public
   * addresses, on redirects and retries too, and otherwise fails with `SSRF_BLOCKED`; it must not contain a
   * user or password; no proxy is used. An object allows more, see {@link RemoteGrant}. The value is
   * recorded; a new request for a settled download replaces it. A request without it never builds upon what
   * one with it said, see `docs/security.md`. Default false.
   */
  remote?: boolean | { allowPrivateNetwork?: boolean; allowedHosts?: readonly string[] }
  /**
   * Whether to fetch the file even if it exists; the old file stays until the new one is verified. Default
   * false.
   */
  force?: boolean
  /**
   * Whether to use only what is on disk, without any request: a ref that is complete there completes at once, marked as
   * `stale`, and everything else fails with `OFFLINE`, as does `force`. False uses the network even if the environment
   * says otherwise. Default: the manager's setting.
   */
  offline?: boolean
  /**
   * For a ref that names several files: globs of the files to download, such as `*.gguf` or `onnx/**`. A glob
   * without a slash is matched against the file's own name in any folder. At most 100. Default: all files.
   */
  include?: readonly string[]
  /** Globs of files to leave out; they take precedence over `include`. At most 100. Default: none. */
  exclude?: readonly string[]
  /** Cancels the download when aborted. */
  signal?: AbortSignal
}

export const layout = z.enum(['flat', 'hf-cache'])

export const adopt = z.union([z.boolean(), z.literal('copy')])

export const xet = z.enum(['auto', 'prefer', 'never'])

export const count = (max: number) => z.number().int().min(1).max(max)

export const rate = z.number().positive().nullable()

const byteCount = z.number().int().min(0)

export const milliseconds = z.number().positive().max(0x7fffffff)

/** Checks only the syntax: an entry that can't be a host name matches nothing. */
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

/** Validates `include` and `exclude`. */
export const globsSchema = z.array(z.string().min(1).max(1_000)).max(100)

/** Validates a SHA-256; accepts upper case and a `sha256:` prefix. */
export const sha256Schema = z
  .string()
  .transform((value) =>
    value
      .trim()
      .toLowerCase()
      .replace(/^sha256[:-]/, ''),
  )
  .pipe(z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'))

const digestExpected = `must be one of ${digestAlgorithms.join(', ')} with a colon and the digest in hex or base64`

/** Validates a digest of any algorithm. */
export const digestSchema = z.string().transform((value, context): Digest => {
  const digest = parseDigest(value)
  if (digest !== null) return digest
  context.addIssue({ code: 'custom', message: digestExpected })
  return z.NEVER
})

export const folder = z
  .string()
  .min(1)
  .refine((path) => !path.includes('\0'), 'must not contain a NUL character')

/** Longest address, in characters. */
export const maxUrlLength = 16_384

const urlText = z.string().min(1).max(maxUrlLength)

/** Validates mirrors; each of them is checked by {@link parseUrl} as well. */
export const urlsSchema = z.array(urlText).min(1).max(32)

/** Validates {@link DownloadOptions.remote}. */
export const remoteSchema = remote.default(null)

/** Validates a priority. */
export const prioritySchema = z.number().int().min(-1_000_000).max(1_000_000)

const downloadOptionsObject = z.strictObject({
  url: urlText.optional(),
  urls: urlsSchema.optional(),
  spread: z.boolean().optional(),
  filename: z.string().optional(),
  mode: z.string().nullable().optional(),
  directory: folder.optional(),
  layout: layout.optional(),
  adopt: adopt.optional(),
  xet: xet.optional(),
  sha256: sha256Schema.optional(),
  digest: digestSchema.optional(),
  checksums: urlText.optional(),
  size: byteCount.optional(),
  checkFormat: z.boolean().optional(),
  restrictNames: z.boolean().optional(),
  headers: headers.default({}),
  priority: prioritySchema.default(0),
  connections: count(64).optional(),
  maxBytesPerSecond: rate.optional(),
  remote: remoteSchema,
  force: z.boolean().default(false),
  offline: z.boolean().optional(),
  include: globsSchema.optional(),
  exclude: globsSchema.optional(),
  signal: z.instanceof(AbortSignal).optional(),
})

/**
 * Validates {@link DownloadOptions}; in the result, `urls` does not contain `url`, and a `digest` that is a SHA-256 is
 * `sha256`.
 */
export const downloadOptionsSchema = downloadOptionsObject.transform((options, context) => {
  const { url, urls, digest, ...rest } = options
  const first = url ?? urls?.[0]
  if (first === undefined) {
    context.addIssue({ code: 'custom', path: ['url'], message: 'is missing' })
    return z.NEVER
  }
  const wanted = { ...rest, url: first, urls: urls === undefined ? undefined : mirrorsOf(first, urls) }
  if (digest?.algorithm !== 'sha256')
    return { ...wanted, digest: digest === undefined ? undefined : digestText(digest) }
  if (rest.sha256 === undefined || rest.sha256 === digest.value)
    return { ...wanted, sha256: digest.value, digest: undefined }
  context.addIssue({ code: 'custom', path: ['digest'], message: 'contradicts sha256' })
  return z.NEVER
})

/** Returns the mirrors of a URL without duplicates and without the URL itself. */
export function mirrorsOf(url: string, urls: readonly string[]): string[] {
  return [...new Set(urls)].filter((mirror) => mirror !== url)
}

/** Validated download options. */
export type ResolvedDownloadOptions = z.output<typeof downloadOptionsSchema>

/**
 * Validates input with a schema, and combines all problems in one readable error.
 *
 * @throws DownloadError `INVALID_OPTIONS` with every problem in `issues`.
 */
export function parseOptions<S extends z.ZodType>(schema: S, input: unknown, what: string): z.output<S> {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const issues: OptionIssue[] = result.error.issues.map((issue) =>
    issueOfKind({ path: issue.path.join('.'), message: issue.message }, issue.code),
  )
  const text = issues
    .map((issue) => (issue.path === '' ? issue.message : `${issue.path}: ${issue.message}`))
    .join('; ')
  throw new DownloadError('INVALID_OPTIONS', `${what}: ${text}`, { issues })
}

/**
 * Checks mirrors with {@link parseUrl}.
 *
 * @throws DownloadError `INVALID_URL`, with the index of the invalid one in `issues`.
 */
export function checkMirrors(urls: readonly string[], remote: RemoteGrant | null = null): void {
  for (const [index, url] of urls.entries()) {
    try {
      parseUrl(url, remote)
    } catch (error) {
      const { message } = toDownloadError(error)
      const issues: OptionIssue[] = [{ path: `urls.${index}`, message }]
      throw new DownloadError('INVALID_URL', `Invalid mirror: ${message}`, { issues })
    }
  }
}
