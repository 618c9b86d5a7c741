/** Zod schemas and types of what tells about the disk; see schemas.ts. */
import * as z from 'zod'
import { downloadErrorCodes } from '../errors.js'
import {
  byteCount as bytes,
  sha256Hex,
  isoTime as time,
  pageSize,
  succeeded as success,
  wireVerification,
} from './wire-fields.js'

// ---- Disk usage

/** Response of `GET /api/models/disk`. */
export const disk = z.object({
  success,
  used: bytes.describe('Bytes of all files in the folders of the server, unfinished ones included.'),
  free: bytes.nullable().describe('Free space on the disk in bytes; null if the file system does not tell.'),
  maxDiskBytes: bytes.nullable().describe('Disk budget in bytes; null for none.'),
  minFreeBytes: bytes
    .nullable()
    .describe('How much of the disk must stay free, in bytes; null for no limit.'),
  by: z
    .array(
      z.object({
        mode: z.string().nullable().describe('Folder of the mode; null for the download directory itself.'),
        filename: z.string().describe('Name of the file, or of the folder of several files.'),
        name: z.string().describe('The same, for people: the repository in a Hugging Face cache.'),
        url: z
          .string()
          .nullable()
          .describe('The download that it belongs to; null if it belongs to none, or to several.'),
        bytes,
        pinned: z.boolean().describe('Whether it is never evicted: it was pinned, or a catalog requires it.'),
      }),
    )
    .describe('What takes the space, the largest first; at most 1,000 entries.'),
})

/** See {@link disk}. */
export type WireDisk = z.infer<typeof disk>

/** Body of `POST /api/models/pin`. */
export const pinRequest = z.object({
  url: z.string().min(1).max(16_384).describe('URL or ref of a download.'),
  pinned: z.boolean().optional().describe('False to allow its eviction again. Default: true.'),
})

/** Response of `POST /api/models/pin`. */
export const pinResult = z.object({
  success,
  url: z.string(),
  pinned: z.boolean().describe('Whether it is never evicted now: also if a catalog requires it.'),
})

/** See {@link pinResult}. */
export type PinResult = z.infer<typeof pinResult>

// ---- Files on disk

/** How much of a file is on disk. */
const storedState = z.enum(['complete', 'partial', 'missing'])

const storedVerification = wireVerification
  .nullable()
  .describe('What it was verified with when it was downloaded; null if with nothing, or if that is unknown.')

/** One file of an entry of `GET /api/models/files`. */
export const wireStoredMember = z.object({
  filename: z.string().describe('In a group, the path inside its folder, with slashes.'),
  state: storedState,
  size: bytes.describe('Bytes on disk.'),
  total: bytes.nullable().describe('Bytes that it should have; null if unknown.'),
  sha256: sha256Hex.nullable().describe('SHA-256 that it should have; null if unknown.'),
  verification: storedVerification,
  modified_at: time.nullable(),
})

/** A file or a group on disk. */
export const wireStoredFile = z.object({
  name: z.string().describe('Path below the folder of the server, with slashes. It identifies the entry.'),
  url: z.string().nullable().describe('URL or ref that it was downloaded by; null if unknown.'),
  mode: z.string().nullable().describe('Sub-folder that is a mode; null for none.'),
  layout: z.enum(['flat', 'hf-cache']),
  revision: z.string().nullable().describe('Revision that the source stated, such as a commit.'),
  state: storedState.describe('`partial` also for a group of which some files are missing.'),
  finished: z.boolean().describe('False while its download has not completed.'),
  size: bytes.describe('Bytes on disk.'),
  total: bytes.nullable().describe('Bytes that it should have; null if unknown.'),
  sha256: sha256Hex.nullable().describe('Of a single file: SHA-256 that it should have; null if unknown.'),
  verification: storedVerification,
  digest_known: z.boolean().describe('Whether a check of all its files can find damage.'),
  modified_at: time.nullable().describe('When the last of its files was written.'),
  file_count: bytes.nullable().describe('Number of files of a group; null for a single file.'),
  files: z
    .array(wireStoredMember)
    .nullable()
    .describe('The files of a group if `name` is given; otherwise null.'),
})

/** See {@link wireStoredFile}. */
export type WireStoredFile = z.infer<typeof wireStoredFile>

/** Query of `GET /api/models/files`. */
export const filesQuery = z.object({
  name: z.string().min(1).max(16_384).optional().describe('Only this entry, with its files; 404 if unknown.'),
  state: storedState.optional().describe('Only entries in this state.'),
  mode: z.string().optional().describe('Only entries of this mode.'),
  limit: pageSize.describe('Maximum number of entries in the response.'),
  cursor: z.string().max(24_000).optional().describe('`next_cursor` of the previous page.'),
})

/** Response of `GET /api/models/files`. */
export const fileList = z.object({
  success,
  files: z.array(wireStoredFile).describe('In order of their names.'),
  next_cursor: z
    .string()
    .nullable()
    .optional()
    .describe('Only for requests with `limit`: the `cursor` of the next page; null on the last page.'),
})

/** See {@link fileList}. */
export type FileList = z.infer<typeof fileList>

/** Body of `POST /api/models/verify`; may be omitted. */
export const verifyRequest = z
  .object({
    names: z
      .array(z.string().min(1).max(16_384))
      .min(1)
      .max(1_000)
      .nullish()
      .describe('Names of entries, or their URLs or refs. Default: everything.'),
  })
  .nullable()

/** Response of `GET /api/models/verify`. */
export const verifyProgress = z.object({
  success,
  running: z.boolean().describe('Whether a check runs. If not, the other numbers are 0.'),
  waiting: bytes.describe('Number of checks that wait for it.'),
  checked: bytes.describe('Number of files that have been checked.'),
  files: bytes.describe('Number of all files to check.'),
  bytes: bytes.describe('Bytes that have been read.'),
  total_bytes: bytes.describe('Bytes of all files to check.'),
})

/** See {@link verifyProgress}. */
export type WireVerifyProgress = z.infer<typeof verifyProgress>

const verifyStatus = z.enum(['ok', 'damaged', 'unknown', 'size-differs', 'missing', 'unreadable', 'changed'])

/** Response of `POST /api/models/verify`. */
export const verifyResult = z.object({
  success,
  ok: z.boolean().describe('Whether nothing is wrong. An unknown digest is not wrong.'),
  bytes: bytes.describe('Bytes that were read.'),
  counts: z.record(verifyStatus, bytes).describe('Number of files with each status.'),
  files: z.array(
    z.object({
      name: z.string().describe('Name of the entry.'),
      filename: z.string().describe('In a group, the path inside its folder, with slashes.'),
      status: verifyStatus,
      size: bytes.nullable().describe('Bytes on disk; null if it can not be read.'),
      expected_size: bytes.nullable(),
      sha256: sha256Hex.nullable().describe('Of the file on disk; null if it was not hashed.'),
      expected_sha256: sha256Hex.nullable(),
      compared_with: z
        .enum(['sha256', 'git'])
        .nullable()
        .describe('By what it was compared now; git is the ID of a blob. Null if nothing was compared.'),
      verification: storedVerification,
      error: z.string().nullable().describe('Human-readable reason why it can not be read.'),
      code: z.enum(downloadErrorCodes).nullable().describe('Stable error code.'),
    }),
  ),
})

/** See {@link verifyResult}. */
export type VerifyResult = z.infer<typeof verifyResult>
