/** Decides what is said of a model of the catalog. Pure. */
import type { ModelsStatus, PreloadStatus, WireDownload } from '../../client/index.js'

/** How a model stands: on disk, on its way there, failed, about to be fetched, or missing. */
export type Standing =
  | { readonly kind: 'ready' | 'waiting' | 'missing' }
  | { readonly kind: 'going' | 'failed'; readonly download: WireDownload }

/** The standing of a model. */
export function standingOf(
  { key, auto_download: auto }: ModelsStatus['catalog'][number],
  models: ModelsStatus['models'],
  preload: PreloadStatus | null,
): Standing {
  const isReady = models[key]?.ready === true
  const isRunning = preload?.running === true
  const download = isRunning ? (preload.downloads?.[key] ?? null) : null
  if (download?.state === 'queued') return { kind: 'waiting' }
  if (download?.status === 'downloading') return { kind: 'going', download }
  if (isReady) return { kind: 'ready' }
  if (download?.state === 'failed') return { kind: 'failed', download }
  // A model that the preload has yet to begin has no download. Which ones it fetches is not told, but usually all.
  return { kind: isRunning && auto && download === null ? 'waiting' : 'missing' }
}

/** The number of models that neither are there nor on their way. */
export function missingOf({ models, catalog }: Pick<ModelsStatus, 'models' | 'catalog'>): number {
  return catalog.filter(({ key }) => models[key]?.ready !== true).length
}
