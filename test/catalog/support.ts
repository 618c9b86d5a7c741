/** What the tests of preloads share. */
import { Catalog, type CatalogModel } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import type { PreloaderOptions, PreloadRunSnapshot } from '../../src/catalog/options.js'
import { DownloadManager } from '../../src/manager/manager.js'
import type { DownloadManagerOptions } from '../../src/manager/options.js'
import { withTimeout } from '../support/wait.js'

/** A manager and a preloader over it; both are closed at the end of the scope. */
export interface Scene extends AsyncDisposable {
  manager: DownloadManager
  preloader: Preloader
  /** The status once no run is going. */
  end: () => Promise<PreloadRunSnapshot>
}

/** Opens a manager and a preloader, and waits until they are ready. */
export async function open(
  models: readonly CatalogModel[] | Catalog,
  manager: DownloadManagerOptions,
  options: Omit<PreloaderOptions, 'manager' | 'catalog'> = {},
): Promise<Scene> {
  const catalog = models instanceof Catalog ? models : new Catalog(models)
  const downloads = new DownloadManager({ tuning: { minDelayMs: 5, maxDelayMs: 50 }, ...manager })
  const preloader = new Preloader({ manager: downloads, catalog, ...options })
  await preloader.ready
  return {
    manager: downloads,
    preloader,
    end: () => withTimeout(preloader.finished(), 20_000, 'the end of the preload'),
    async [Symbol.asyncDispose]() {
      await preloader.close()
      await downloads.close()
    },
  }
}

/** Without the leading time. */
export function messagesIn({ logs }: PreloadRunSnapshot): string[] {
  return logs.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ /, ''))
}
