/** The routes that ask sources. */
import type { Voice } from '../../download/error-text.js'
import { publicMessage, toFullWire } from '../../download/wire.js'
import type { InspectedModel, Inspection, ModelHeader } from '../../inspect/inspect.js'
import { internals } from '../../manager/internals.js'
import type { UpstreamCheck } from '../../manager/upstream/check.js'
import type { FoundModel } from '../../sources/source.js'
import { slowJson } from '../response/slow-json.js'
import { type Route, route } from '../route.js'
import type { ControlResult } from '../schemas.js'
import { lookupTimeoutMs } from './lookups.js'
import {
  checkQuery,
  type CheckResult,
  inspectQuery,
  type OutdatedList,
  outdatedQuery,
  searchQuery,
  type SearchResult,
  type WireFoundModel,
  type WireInspection,
  type WireUpstreamCheck,
} from './schemas.js'

/** How many files, and how many models, are listed at most. */
const maxListed = 1_000

function toWireInspection(found: Inspection, voice: Voice): WireInspection {
  const { files, models, totalBytes, quantisations, ...about } = found
  return {
    success: true,
    ...about,
    file_count: files.length,
    total_bytes: totalBytes,
    files: files
      .slice(0, maxListed)
      .map(({ gitOid, digests, ...file }) => ({ ...file, git_oid: gitOid, digests: [...digests] })),
    quantisations: quantisations.slice(0, maxListed),
    models: models.slice(0, maxListed).map((model) => toWireModel(model, voice)),
  }
}

function toWireModel(
  { header, error, ...model }: InspectedModel,
  voice: Voice,
): WireInspection['models'][number] {
  return {
    ...model,
    header: header === null ? null : toWireHeader(header),
    error: error === null ? null : publicMessage(error, voice),
    code: error?.code ?? null,
  }
}

function toWireHeader({ contextLength, quantisation, tensors, chatTemplate, ...rest }: ModelHeader) {
  return { ...rest, context_length: contextLength, quantisation, tensors, chat_template: chatTemplate }
}

function toWireFound({ updatedAt, ...model }: FoundModel): WireFoundModel {
  return { ...model, updated_at: updatedAt }
}

function toWireCheck(
  { latestRevision, changes, error, ...check }: UpstreamCheck,
  voice: Voice,
): WireUpstreamCheck {
  return {
    ...check,
    latest_revision: latestRevision,
    change_count: changes.length,
    changes: changes.slice(0, maxListed),
    error: error === null ? null : publicMessage(error, voice),
    code: error?.code ?? null,
  }
}

/** The routes that ask sources. They make the host send requests, so they take the permission to start downloads. */
export const upstreamRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/models/inspect',
    action: 'downloads:manage',
    summary:
      'What a URL or ref stands for, before anything is downloaded: its files, quantisations, and what the headers of its models say.',
    query: inspectQuery,
    answer: 'Inspection',
    errors: [400, 404, 429, 502],
    handle: async ({ services, request, query: { url, ...globs }, voice }): Promise<WireInspection> => {
      const { manager, remote, lookups } = services
      const { signal } = request
      const options = { ...globs, remote, signal, timeoutMs: lookupTimeoutMs }
      return toWireInspection(await lookups.run(signal, () => manager.inspect(url, options)), voice)
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/search',
    action: 'downloads:manage',
    summary: 'Search the models of Hugging Face or ModelScope.',
    query: searchQuery,
    answer: 'SearchResult',
    errors: [400, 429, 502],
    handle: async ({ services, request, query: { text, ...wanted } }): Promise<SearchResult> => {
      const { manager, remote, lookups } = services
      const { signal } = request
      const options = { source: wanted.source ?? 'hf', gguf: wanted.gguf ?? false, limit: wanted.limit ?? 20 }
      const models = await lookups.run(signal, () =>
        manager.search(text, { ...options, remote, signal, timeoutMs: lookupTimeoutMs }),
      )
      return { success: true, models: models.map(toWireFound) }
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/check',
    action: 'downloads:manage',
    summary: 'Whether a completed download is still what its source has.',
    query: checkQuery,
    answer: 'CheckResult',
    errors: [400, 404, 409, 429],
    handle: async ({ services, request, query: { url }, voice }): Promise<CheckResult> => {
      const { manager, lookups } = services
      const { signal } = request
      const options = { signal, timeoutMs: lookupTimeoutMs }
      const check = await lookups.run(signal, () => manager.check(url, options))
      return { success: true, check: toWireCheck(check, voice) }
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/outdated',
    action: 'downloads:manage',
    summary:
      'Which completed downloads are no longer what their sources have. Each caller has one comparison at a time; it ends when the caller disconnects.',
    query: outdatedQuery,
    answer: 'OutdatedList',
    errors: [400, 429],
    handle: async (call) => {
      const { services, query, voice, caller } = call
      const { manager, comparisons } = services
      await manager.ready
      const inTurn = comparisons.enter(caller)
      const compare = (left: AbortSignal) => async (): Promise<OutdatedList> => {
        const checks = new Map<string, UpstreamCheck>()
        const order = manager.list().map(({ url }) => url)
        const onCheck = (check: UpstreamCheck) => {
          checks.set(check.url, check)
        }
        const signal = AbortSignal.any([left, manager[internals].closed])
        await manager.outdated({ signal, timeoutMs: lookupTimeoutMs, onCheck })
        const shown = order.flatMap((url) => {
          const check = checks.get(url)
          return check === undefined || (check.status === 'current' && query.all !== true) ? [] : [check]
        })
        return {
          success: true,
          checked: checks.size,
          checks: shown.map((check) => toWireCheck(check, voice)),
        }
      }
      return slowJson((left) => inTurn(left, compare(left)), call)
    },
  }),
  route({
    method: 'POST',
    path: '/api/models/update',
    action: 'downloads:manage',
    summary:
      'Fetch what has changed at the source of a completed download. The download stays completed if nothing has.',
    body: 'UpdateRequest',
    answer: 'ControlResult',
    errors: [400, 404, 409, 413, 415, 429, 502],
    handle: async ({ services, request, body: { url }, voice }): Promise<ControlResult> => {
      const { manager, lookups, admission } = services
      const { signal } = request
      const options = { signal, timeoutMs: lookupTimeoutMs }
      const download = await admission.enter(url, true, () =>
        lookups.run(signal, () => manager.update(url, options)),
      )
      return { success: true, download: toFullWire(download, voice) }
    },
  }),
]
