/** The routes that ask sources. */
import type { Voice } from '../../download/error-text.js'
import { publicMessage } from '../../download/wire.js'
import type { InspectedModel, Inspection, ModelHeader } from '../../inspect/inspect.js'
import type { FoundModel } from '../../sources/source.js'
import { type Route, route } from '../route.js'
import { lookupTimeoutMs } from './lookups.js'
import {
  inspectQuery,
  searchQuery,
  type SearchResult,
  type WireFoundModel,
  type WireInspection,
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
    handle: async ({ services, request, query: { url }, voice }): Promise<WireInspection> => {
      const { manager, remote, lookups } = services
      const { signal } = request
      const options = { remote, signal, timeoutMs: lookupTimeoutMs }
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
]
