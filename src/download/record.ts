/** what is written down of a download */
import * as z from 'zod'
import { downloadErrorCodes } from '../errors.js'
import { publicOnly, type RemoteGrant } from '../net/address-policy.js'
import { downloadStates } from './states.js'

const bytes = z.number().int().nonnegative()

const hex256 = z.string().regex(/^[0-9a-f]{64}$/)

const serializedError = z.object({
  code: z.enum(downloadErrorCodes),
  message: z.string(),
  retryable: z.boolean(),
  status: z.number().int().optional(),
  retryAfterMs: z.number().nonnegative().optional(),
})

const stamp = z.object({ size: bytes, mtimeMs: z.number(), ino: z.number(), sha256: hex256 })

/** A file of a group. What isn't there is null, 0 or false: there may be ten thousand of them. */
const groupFile = z.object({
  /** Relative to the group's folder, with slashes. */
  path: z.string().min(1),
  /** What the source says of it. */
  size: bytes.optional(),
  sha256: hex256.optional(),
  /** It lies under its name, whole and right; with its stamp, where there is one. */
  done: z.literal(true).optional(),
  stamp: stamp.optional(),
  /** This download brought it; it was not there before. */
  fetched: z.literal(true).optional(),
  /** What lies under its name may be of another revision: it is fetched anew, and replaced then. */
  stale: z.literal(true).optional(),
  downloaded: bytes.optional(),
  /** Name of its blob, in a cache. */
  blob: z.string().min(1).optional(),
  error: serializedError.optional(),
})

/** What a ref of several files meant. */
const group = z.object({
  /** What the files are bound to, such as a commit; null where the source has no such thing. */
  revision: z.string().nullable(),
  /** The download has not ended since it was asked for: it goes on with this revision. */
  pinned: z.boolean(),
  files: z.array(groupFile),
})

/** See {@link group}. */
export type GroupRecord = z.infer<typeof group>

/** See {@link groupFile}. */
export type GroupFileRecord = z.infer<typeof groupFile>

/** Where in a cache of the Hugging Face libraries it goes. */
const cachePlace = z.object({
  /** `models--owner--name`. */
  folder: z.string().min(1),
  commit: z.string().min(1),
  /** In the repository, with slashes; null for several files. */
  path: z.string().min(1).nullable(),
  /** Name of the blob; null for several files. */
  blob: z.string().min(1).nullable(),
})

const grant = z.object({ allowPrivateNetwork: z.boolean(), allowedHosts: z.array(z.string()) })

/** The first records told only whether the caller was remote. */
const remote = z
  .union([z.boolean(), grant, z.null()])
  .transform((value): RemoteGrant | null => (value === true ? publicOnly : value === false ? null : value))

/** What is written down of a download. Version 1. */
export const downloadRecordSchema = z.object({
  version: z.literal(1),
  /** SHA-256 of the URL, hex: the record's name in a store. */
  id: hex256,
  url: z.string().min(1),
  /** Mirrors: where the file is besides `url`. */
  urls: z.array(z.string().min(1)).default([]),
  /** Whether it is fetched from all of them at once. */
  spread: z.boolean().default(false),
  /** Settled name, or the provisional one while `named` is false. */
  filename: z.string().min(1),
  named: z.boolean(),
  /** Sub-folder, or null for the directory itself. */
  mode: z.string().min(1).nullable(),
  /** What takes the place of the manager's folder: relative to it when inside, else absolute; null for that folder. */
  directory: z.string().min(1).nullable().default(null),
  layout: z.enum(['flat', 'hf-cache']).default('flat'),
  /** Null in the flat layout, and as long as nobody knows. */
  cache: cachePlace.nullable().default(null),
  /** Whether it may be taken from other programs' caches. */
  adopt: z.union([z.boolean(), z.literal('copy')]).default(false),
  state: z.enum(downloadStates),
  /** What the caller expects; null where it said nothing. */
  sha256: hex256.nullable(),
  size: bytes.nullable(),
  headers: z.record(z.string(), z.string()),
  priority: z.number().int(),
  connections: z.number().int().positive().nullable(),
  maxBytesPerSecond: z.number().positive().nullable(),
  /** How far an untrusted caller's URL may reach, on retry and after a restart too; null for a trusted caller's. */
  remote,
  /** A fetch anew was asked for and has not ended. */
  force: z.boolean(),
  /** Order of arrival. */
  sequence: z.number().int().nonnegative(),
  downloaded: bytes,
  total: bytes.nullable(),
  error: serializedError.nullable(),
  /** The published file's digest, when it was computed. */
  resultSha256: hex256.nullable(),
  verified: z.boolean(),
  stamp: stamp.nullable(),
  /** Globs that choose among the files of a ref. */
  include: z.array(z.string()).default([]),
  exclude: z.array(z.string()).default([]),
  /** Null for a single file, and while nobody knows. */
  group: group.nullable().default(null),
  /** Times as ISO 8601 in UTC. */
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  finishedAt: z.string().nullable(),
})

/** A download as it lies in a store: plain JSON. */
export type DownloadRecord = z.infer<typeof downloadRecordSchema>
