/** Searches the models of hubs. */
import { DownloadError } from '../errors.js'
import { isRecord } from './huggingface-ref.js'
import type { FoundModel, ResolveContext, SearchRequest } from './source.js'
import { unusable } from './support.js'

/** A hub that is searched. */
export interface SearchedHub {
  /** Without a trailing slash. */
  endpoint: string
  /** Request headers, which may hold a token. */
  headers: Readonly<Record<string, string>>
}

/** Far more than a page of 100 models has, in bytes. */
const maxBytes = 4 * 1024 * 1024

/** Longer names and texts are not shown. */
const maxTextLength = 300

/** Searches the Hugging Face hub (https://huggingface.co/docs/hub/api). */
export async function searchHuggingFace(
  { endpoint, headers }: SearchedHub,
  text: string,
  { gguf, limit }: SearchRequest,
  context: ResolveContext,
): Promise<FoundModel[]> {
  const query = new URLSearchParams({
    search: text,
    limit: String(limit),
    sort: 'downloads',
    direction: '-1',
  })
  if (gguf) query.set('filter', 'gguf')
  for (const field of ['downloads', 'likes', 'lastModified', 'gated', 'pipeline_tag', 'tags'])
    query.append('expand[]', field)
  const { json, url } = await context.fetchJson(`${endpoint}/api/models?${query.toString()}`, {
    headers,
    maxBytes,
  })
  if (!Array.isArray(json)) throw unusable(url)
  return found(json, limit, 'hf:', (model) => {
    const { id, downloads, likes, lastModified, gated, pipeline_tag: task, tags } = model
    const license = Array.isArray(tags) ? tags.find(isLicense)?.slice('license:'.length) : undefined
    return {
      id,
      downloads,
      likes,
      updatedAt: lastModified,
      license,
      task,
      gated: gated === 'auto' || gated === 'manual',
    }
  })
}

function isLicense(tag: unknown): tag is string {
  return typeof tag === 'string' && tag.startsWith('license:')
}

/** Searches ModelScope, by the interface that its own tools use (`openapi/v1/models`). */
export async function searchModelScope(
  { endpoint, headers }: SearchedHub,
  text: string,
  { gguf, limit }: SearchRequest,
  context: ResolveContext,
): Promise<FoundModel[]> {
  // The hub has no filter for a format, but repositories with GGUF files say so in their name.
  const words = gguf && !/gguf/i.test(text) ? `${text} GGUF` : text
  const query = new URLSearchParams({
    search: words,
    page_number: '1',
    page_size: String(limit),
    sort: 'downloads',
  })
  const address = `${endpoint}/openapi/v1/models?${query.toString()}`
  const { json, url } = await context.fetchJson(address, { headers, maxBytes })
  const data = isRecord(json) ? json['data'] : null
  const models = isRecord(data) ? data['models'] : null
  if (!isRecord(json) || !Array.isArray(models)) throw unusable(url)
  if (json['success'] === false)
    throw new DownloadError('HTTP_ERROR', `${new URL(url).host} could not search its models.`)
  return found(
    models,
    limit,
    'ms:',
    ({ id, downloads, likes, last_modified: updatedAt, license, tasks }) => ({
      id,
      downloads,
      likes,
      updatedAt,
      license,
      task: Array.isArray(tasks) ? (tasks as unknown[])[0] : undefined,
      gated: undefined,
    }),
  )
}

/** Checks what a hub has found. What is not valid is left out, since nobody can download it. */
function found(
  models: readonly unknown[],
  limit: number,
  scheme: string,
  read: (model: Record<string, unknown>) => Record<keyof Omit<FoundModel, 'ref' | 'name'> | 'id', unknown>,
): FoundModel[] {
  return models.slice(0, limit).flatMap((model) => {
    if (!isRecord(model)) return []
    const { id, downloads, likes, updatedAt, license, task, gated } = read(model)
    if (typeof id !== 'string' || !/^[\w.-]{1,128}\/[\w.-]{1,128}$/.test(id)) return []
    return [
      {
        ref: `${scheme}${id}`,
        name: id,
        downloads: countIn(downloads),
        likes: countIn(likes),
        updatedAt: timeIn(updatedAt),
        license: textIn(license),
        task: textIn(task),
        gated: typeof gated === 'boolean' ? gated : null,
      },
    ]
  })
}

function countIn(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= maxTextLength ? value : null
}

function timeIn(value: unknown): string | null {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(time) ? null : new Date(time).toISOString()
}
