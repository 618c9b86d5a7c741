/** Zod schemas and types of what tells about sources; see ../schemas.ts. */
import * as z from 'zod'
import { downloadErrorCodes } from '../../errors.js'
import {
  byteCount as bytes,
  digestAlgorithm,
  globs,
  sha256Hex,
  succeeded as success,
} from '../wire-fields.js'

/** Query of `GET /api/models/inspect`. */
export const inspectQuery = z.object({
  url: z.string().min(1).max(16_384).describe('URL or ref.'),
  include: globs.describe(
    'For a ref that stands for several files: globs of the files to look at, as for a download. May be repeated. Default: all.',
  ),
  exclude: globs.describe('Globs of the files to leave out. May be repeated.'),
})

const modelHeader = z.object({
  architecture: z.string().nullable(),
  name: z.string().nullable(),
  parameters: bytes.nullable().describe('Numbers in all tensors of all files.'),
  context_length: bytes.nullable().describe('Longest context in tokens.'),
  quantisation: z.string().nullable().describe('Of safetensors, the type of most numbers, such as BF16.'),
  tensors: bytes.nullable(),
  chat_template: z.boolean().nullable().describe('Whether there is a chat template.'),
})

/** A model of `GET /api/models/inspect`. */
export const inspectedModel = z.object({
  filename: z.string().describe('Its first file.'),
  format: z.enum(['gguf', 'safetensors']),
  files: bytes.describe('Number of its files.'),
  size: bytes.nullable(),
  header: modelHeader.nullable().describe('What its header says; null if it was not read.'),
  error: z.string().nullable().describe('Human-readable reason why the header could not be read completely.'),
  code: z.enum(downloadErrorCodes).nullable().describe('Stable error code.'),
})

/** Response of `GET /api/models/inspect`. */
export const inspection = z.object({
  success,
  url: z.string(),
  source: z.string().nullable().describe('Name of the source; null for a plain URL.'),
  name: z.string().nullable().describe('Name of the repository or model.'),
  revision: z.string().nullable().describe('Revision that the ref stands for now, such as a commit.'),
  page: z.string().nullable().describe('Web page for people.'),
  license: z.string().nullable(),
  gated: z.boolean().nullable().describe('Whether its terms must be accepted.'),
  file_count: bytes,
  total_bytes: bytes.nullable(),
  files: z
    .array(
      z.object({
        filename: z.string(),
        size: bytes.nullable(),
        sha256: sha256Hex.nullable(),
        git_oid: z.string().nullable().describe('Git object ID, if the source states it.'),
        digests: z
          .array(z.object({ algorithm: digestAlgorithm, value: z.string() }))
          .describe('By other algorithms, in lower-case hex, if the source states them.'),
        quantisation: z.string().nullable().describe('That the name of a GGUF file states.'),
      }),
    )
    .describe('At most 1,000 of them.'),
  quantisations: z
    .array(z.object({ name: z.string(), files: bytes, size: bytes.nullable() }))
    .describe('Of the GGUF files, the smallest first.'),
  models: z.array(inspectedModel).describe('At most 1,000 of them.'),
})

/** See {@link inspection}. */
export type WireInspection = z.infer<typeof inspection>

/** Query of `GET /api/models/check`. */
export const checkQuery = z.object({
  url: z.string().min(1).max(16_384).describe('URL or ref of a completed download.'),
})

/** Whether a completed download is still what its source has. */
export const upstreamCheck = z.object({
  url: z.string(),
  status: z
    .enum(['current', 'outdated', 'gone', 'unknown'])
    .describe(
      'outdated: the source has other files. gone: it no longer has them. unknown: nothing tells, or it can not be asked.',
    ),
  by: z
    .enum(['revision', 'digest', 'validator', 'size'])
    .nullable()
    .describe('What tells it; null if nothing.'),
  revision: z.string().nullable().describe('Revision that was downloaded, such as a commit.'),
  latest_revision: z.string().nullable().describe('Revision that the source has now.'),
  change_count: bytes.describe('Number of files that are different.'),
  changes: z
    .array(
      z.object({
        filename: z.string().describe('In a group, the path inside its folder, with slashes.'),
        change: z.enum(['added', 'changed', 'removed']),
        size: bytes.nullable().describe('Size at the source; null if unknown, and if it is there no more.'),
      }),
    )
    .describe('At most 1,000 of them.'),
  bytes: bytes.nullable().describe('Size of the files to fetch; null if that of any is unknown.'),
  error: z.string().nullable().describe('Human-readable reason for `gone` or `unknown`.'),
  code: z.enum(downloadErrorCodes).nullable().describe('Stable error code.'),
})

/** See {@link upstreamCheck}. */
export type WireUpstreamCheck = z.infer<typeof upstreamCheck>

/** Response of `GET /api/models/check`. */
export const checkResult = z.object({ success, check: upstreamCheck })

/** See {@link checkResult}. */
export type CheckResult = z.infer<typeof checkResult>

/** Query of `GET /api/models/outdated`. */
export const outdatedQuery = z.object({
  all: z.stringbool().optional().describe('Also those that are current. Default: false.'),
})

/** Response of `GET /api/models/outdated`. */
export const outdatedList = z.object({
  success,
  checked: bytes.describe('Number of completed downloads that were compared.'),
  checks: z.array(upstreamCheck).describe('In order of arrival; with `all`, also those that are current.'),
})

/** See {@link outdatedList}. */
export type OutdatedList = z.infer<typeof outdatedList>

/** Body of `POST /api/models/update`. */
export const updateRequest = z.object({
  url: z.string().min(1).max(16_384).describe('URL or ref of a completed download.'),
})

/** Query of `GET /api/models/search`. */
export const searchQuery = z.object({
  text: z.string().trim().min(1).max(200).describe('Words to search for.'),
  source: z.enum(['hf', 'ms']).optional().describe('Hugging Face or ModelScope. Default: hf.'),
  gguf: z.stringbool().optional().describe('Only models with GGUF files. Default: false.'),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('Maximum number of models. Default: 20.'),
})

/** A model of `GET /api/models/search`. */
export const foundModel = z.object({
  ref: z.string().describe('It can be downloaded by this.'),
  name: z.string(),
  downloads: bytes.nullable(),
  likes: bytes.nullable(),
  updated_at: z.string().nullable().describe('ISO 8601 in UTC.'),
  license: z.string().nullable(),
  task: z.string().nullable().describe('What it is for, such as `text-generation`.'),
  gated: z.boolean().nullable().describe('Whether its terms must be accepted.'),
})

/** See {@link foundModel}. */
export type WireFoundModel = z.infer<typeof foundModel>

/** Response of `GET /api/models/search`. */
export const searchResult = z.object({
  success,
  models: z.array(foundModel).describe('The most popular ones first.'),
})

/** See {@link searchResult}. */
export type SearchResult = z.infer<typeof searchResult>
