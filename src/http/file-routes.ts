import type { Voice } from '../download/error-text.js'
import { publicMessage } from '../download/wire.js'
import { invalidOption } from '../errors.js'
import type { StoredFile, StoredMember } from '../files/stored.js'
import { sizesOf, targetsOf, verifyFiles, type VerifyReport } from '../files/verify.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { chooseEntries, unknownFile } from '../manager/stored-files.js'
import { displayName } from '../sources/identify.js'
import { Slices } from '../util/slices.js'
import { slowJson } from './response/slow-json.js'
import { type Route, route, type RouteCall } from './route.js'
import {
  type FileList,
  filesQuery,
  type PinResult,
  type VerifyResult,
  type WireStoredFile,
  type WireVerifyProgress,
} from './disk-schemas.js'

/** What converting an entry costs, in units of {@link Slices}. */
const entryUnits = 500

function toWireStored(entry: StoredFile, manager: DownloadManager, withFiles: boolean): WireStoredFile {
  const { url, isGroup, files } = entry
  // The address of a download that is not in the list was never told to callers, and may contain a token.
  const isListed = url === null || manager.get(url) !== undefined
  return {
    name: entry.name,
    url: isListed ? url : displayName(url, manager[internals].sources),
    mode: entry.mode,
    layout: entry.layout,
    revision: entry.revision,
    state: entry.state,
    finished: entry.finished,
    size: entry.size,
    total: entry.total,
    sha256: entry.sha256,
    verification: entry.verification,
    digest_known: entry.digestKnown,
    modified_at: entry.modifiedAt?.toISOString() ?? null,
    file_count: isGroup ? files.length : null,
    files: isGroup && withFiles ? files.map(toWireMember) : null,
  }
}

function toWireMember({ filename, state, size, total, sha256, verification, modifiedAt }: StoredMember) {
  return {
    filename,
    state,
    size,
    total,
    sha256,
    verification,
    modified_at: modifiedAt?.toISOString() ?? null,
  }
}

async function listFiles(
  call: Pick<RouteCall<unknown, unknown>, 'services'> & {
    query: {
      name?: string | undefined
      state?: StoredFile['state'] | undefined
      mode?: string | undefined
      limit?: number | undefined
      cursor?: string | undefined
    }
  },
): Promise<FileList> {
  const { services, query } = call
  const { name, state, mode, limit, cursor } = query
  const after = cursor === undefined ? null : decodeNameCursor(cursor)
  const entries = await services.storedFiles.list()
  if (name !== undefined && !entries.some((entry) => entry.name === name)) throw unknownFile()
  const matching = entries.filter(
    (entry) =>
      (name ?? entry.name) === entry.name &&
      (state ?? entry.state) === entry.state &&
      (mode ?? entry.mode) === entry.mode &&
      (after === null || entry.name > after),
  )
  const page = matching.slice(0, limit)
  const files = await new Slices().flatMap(page, entryUnits, (entry) => [
    toWireStored(entry, services.manager, name !== undefined),
  ])
  if (limit === undefined) return { success: true, files }
  const last = page.at(-1)
  const next = last === undefined || page.length === matching.length ? null : encodeNameCursor(last.name)
  return { success: true, files, next_cursor: next }
}

/** Encodes the cursor of a page: the name of its last entry. */
export function encodeNameCursor(name: string): string {
  return `n${Buffer.from(name).toString('base64url')}`
}

/**
 * Decodes the name of a cursor.
 *
 * @throws DownloadError `INVALID_OPTIONS` for anything that {@link encodeNameCursor} did not create.
 */
export function decodeNameCursor(cursor: string): string {
  const name = Buffer.from(cursor.slice(1), 'base64url').toString()
  if (encodeNameCursor(name) !== cursor) {
    throw invalidOption('cursor', 'was not issued by this server', 'The query')
  }
  return name
}

function toWireReport({ ok, bytes, counts, files }: VerifyReport, voice: Voice): VerifyResult {
  return {
    success: true,
    ok,
    bytes,
    counts,
    files: files.map(
      ({ expectedSize, expectedSha256: expected, comparedWith: compared, error, ...checked }) => ({
        ...checked,
        expected_size: expectedSize,
        expected_sha256: expected,
        compared_with: compared,
        error: error === null ? null : publicMessage(error, voice),
        code: error?.code ?? null,
      }),
    ),
  }
}

/** The routes about the files on disk. */
export const fileRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/models/files',
    action: 'downloads:read',
    summary: 'The files on disk below the folder of the server, groups as one entry each.',
    query: filesQuery,
    answer: 'FileList',
    errors: [400, 404],
    handle: listFiles,
  }),
  route({
    method: 'POST',
    path: '/api/models/pin',
    action: 'downloads:manage',
    summary: 'Keep a download from being evicted when the disk is full, or allow it again.',
    body: 'PinRequest',
    answer: 'PinResult',
    errors: [400, 404, 413, 415],
    handle: async ({ services: { manager }, body: { url, pinned } }): Promise<PinResult> => {
      const download = await manager.pin(url, pinned)
      const isPinned = download.pinned || manager[internals].isProtected(download)
      return { success: true, url, pinned: isPinned }
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/verify',
    action: 'downloads:read',
    summary: 'How far the check of files is that runs.',
    answer: 'VerifyProgress',
    errors: [],
    handle: ({ services: { verifications } }): WireVerifyProgress => {
      const { running, waiting } = verifications
      const { totalBytes = 0, ...rest } = running ?? { checked: 0, files: 0, bytes: 0 }
      return { success: true, running: running !== null, waiting, ...rest, total_bytes: totalBytes }
    },
  }),
  route({
    method: 'POST',
    path: '/api/models/verify',
    action: 'downloads:manage',
    summary:
      'Read files on disk again and compare their digests. Each caller has one check at a time; it ends when the caller disconnects.',
    body: 'VerifyRequest',
    bodyIsOptional: true,
    answer: 'VerifyResult',
    errors: [400, 404, 409, 413, 415, 429],
    handle: async (call) => {
      const { services, body, voice, caller } = call
      const entries = await services.storedFiles.list()
      const names = body?.names ?? null
      const chosen = names === null ? entries : chooseEntries(entries, names)
      const targets = targetsOf(chosen, names !== null)
      const inTurn = services.verifications.enter(caller)
      const { closed } = services.manager[internals]
      return slowJson(
        (left) =>
          inTurn(left, async (onProgress) => {
            const signal = AbortSignal.any([left, closed])
            const report = await verifyFiles(targets, { signal, onProgress }, sizesOf(chosen))
            return toWireReport(report, voice)
          }),
        call,
      )
    },
  }),
]
