/** Schema of the record that is stored for each download. */
import * as z from 'zod'
import { downloadErrorCodes } from '../errors.js'
import { publicOnly, type RemoteGrant } from '../net/address-policy.js'
import { digestAlgorithms, digestOrigins } from '../util/digests.js'
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

/** Schema of a `Verification`. */
const verification = z.object({
  algorithm: z.enum([...digestAlgorithms, 'git']),
  value: z.string().regex(/^(?:[0-9a-f]{2}){4,64}$/),
  from: z.enum(digestOrigins),
})

/** Schema of a `FileStamp`. */
export const fileStampSchema = z.object({
  size: bytes,
  mtimeMs: z.number(),
  ino: z.union([z.number(), z.string().regex(/^\d{1,20}$/)]),
  sha256: hex256,
  verification: verification.optional(),
  xet: hex256.optional(),
})

/**
 * A file of a group. Missing fields mean null, 0 or false, which keeps records small: a group may have ten
 * thousand files.
 */
const groupFile = z.object({
  /** Relative to the group's folder, with slashes. */
  path: z.string().min(1),
  /** Size and digest from the source. */
  size: bytes.optional(),
  sha256: hex256.optional(),
  /** Revision of this file alone; set if the source has one for each file, as object stores do. */
  revision: z.string().min(1).optional(),
  /** Git's id of the content, if the source states no SHA-256. */
  gitOid: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .optional(),
  /** The file exists under its name, complete and valid; it matches its stamp if there is one. */
  done: z.literal(true).optional(),
  stamp: fileStampSchema.optional(),
  /** Stamp of the version that the file is to replace, if the Xet store of its hub has that as well. */
  older: fileStampSchema.optional(),
  /** This download fetched the file, which did not exist before. */
  fetched: z.literal(true).optional(),
  /** The file under this name may be of another revision: it is fetched again and then replaced. */
  stale: z.literal(true).optional(),
  downloaded: bytes.optional(),
  /** Name of the blob in a cache. */
  blob: z.string().min(1).optional(),
  error: serializedError.optional(),
})

/** The files that a ref names. */
const group = z.object({
  /** Revision that the files are bound to, such as a commit; null if the source has no revisions. */
  revision: z.string().nullable(),
  /** The download has not ended since it was requested, so it continues with this revision. */
  pinned: z.boolean(),
  /** The source has further files, which can't be stored under their names. Default false. */
  incomplete: z.literal(true).optional(),
  files: z.array(groupFile),
})

/** See {@link group}. */
export type GroupRecord = z.infer<typeof group>

/** See {@link groupFile}. */
export type GroupFileRecord = z.infer<typeof groupFile>

/** Place in a cache of the Hugging Face libraries. */
const cachePlace = z.object({
  /** `models--owner--name`. */
  folder: z.string().min(1),
  commit: z.string().min(1),
  /** Path in the repository, with slashes; null for several files. */
  path: z.string().min(1).nullable(),
  /** Name of the blob; null for several files. */
  blob: z.string().min(1).nullable(),
})

const grant = z.object({ allowPrivateNetwork: z.boolean(), allowedHosts: z.array(z.string()) })

/** The first records stored only whether the caller was remote. */
const remote = z
  .union([z.boolean(), grant, z.null()])
  .transform((value): RemoteGrant | null => (value === true ? publicOnly : value === false ? null : value))

/** Record of a download. Version 1. */
export const downloadRecordSchema = z.object({
  version: z.literal(1),
  /** SHA-256 of the URL in hex, which is the name of the record in a store. */
  id: hex256,
  url: z.string().min(1),
  /** Mirrors: addresses of the file besides `url`. */
  urls: z.array(z.string().min(1)).default([]),
  /** Whether the file is fetched from all addresses at once. */
  spread: z.boolean().default(false),
  /** Final file name, or a provisional one while `named` is false. */
  filename: z.string().min(1),
  named: z.boolean(),
  /** Subfolder, or null for the directory itself. */
  mode: z.string().min(1).nullable(),
  /**
   * Folder that replaces the manager's: relative to it if inside, otherwise absolute; null for the manager's
   * folder.
   */
  directory: z.string().min(1).nullable().default(null),
  layout: z.enum(['flat', 'hf-cache']).default('flat'),
  /** Null in the flat layout, and while not yet known. */
  cache: cachePlace.nullable().default(null),
  /** Whether the file may be adopted from other programs' caches. */
  adopt: z.union([z.boolean(), z.literal('copy')]).default(false),
  /** When the Xet store of the Hugging Face hub is used. Default `auto`. */
  xet: z.enum(['auto', 'prefer', 'never']).optional(),
  state: z.enum(downloadStates),
  /** What the caller expects; null if nothing was given. */
  sha256: hex256.nullable(),
  /** A digest that is no SHA-256, as `sha512:…`. Default: none. */
  digest: z.string().optional(),
  /** URL or absolute path of a file of checksums. Default: none. */
  checksums: z.string().optional(),
  size: bytes.nullable(),
  headers: z.record(z.string(), z.string()),
  priority: z.number().int(),
  connections: z.number().int().positive().nullable(),
  maxBytesPerSecond: z.number().positive().nullable(),
  /**
   * Addresses that an untrusted caller's URL may reach, on retry and after a restart too; null for a trusted
   * caller's.
   */
  remote,
  /** Whether the content is checked against the file name. Default true. */
  checkFormat: z.boolean().optional(),
  /** Whether files of a group with unsafe names get cleaned ones. Default false. */
  restrictNames: z.boolean().optional(),
  /**
   * A remote caller named mirrors, from which the bytes on disk may come. A trusted caller does not rely on
   * them, even after the mirrors were replaced.
   */
  untrustedMirrors: z.literal(true).optional(),
  /** A forced download was requested and has not ended yet. */
  force: z.boolean(),
  /** Order of arrival. */
  sequence: z.number().int().nonnegative(),
  downloaded: bytes,
  total: bytes.nullable(),
  error: serializedError.nullable(),
  /** Digest of the published file, if it was computed. */
  resultSha256: hex256.nullable(),
  verified: z.boolean(),
  /** The files were fetched by this download and did not exist before. Default false. */
  fetched: z.literal(true).optional(),
  /** It is never evicted. Default false. */
  pinned: z.literal(true).optional(),
  /** The last run was answered from disk, because the source could not be asked. Default false. */
  stale: z.literal(true).optional(),
  /** Whether the network may be used; the manager decides if it is missing. */
  offline: z.boolean().optional(),
  /** What the source said about the only file of a ref when it was last complete. */
  sourceSha256: hex256.optional(),
  revision: z.string().optional(),
  /** What the server said of the version that was fetched from a plain URL, to notice a newer one. */
  validator: z.object({ etag: z.string().nullable(), lastModified: z.string().nullable() }).optional(),
  stamp: fileStampSchema.nullable(),
  /** Globs that select among the files of a ref. */
  include: z.array(z.string()).default([]),
  exclude: z.array(z.string()).default([]),
  /** Null for a single file, and while not yet known. */
  group: group.nullable().default(null),
  /** Times as ISO 8601 in UTC. */
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  finishedAt: z.string().nullable(),
})

/** A download as it is stored: plain JSON. */
export type DownloadRecord = z.infer<typeof downloadRecordSchema>
