import { expectTypeOf, it } from 'vitest'
import type {
  Catalog,
  CatalogEntry,
  CatalogModel,
  Download,
  DownloadManager,
  Locale,
  ModelsStatus,
  Preloader,
  PreloaderOptions,
  PreloadRequestOptions,
  PreloadSnapshot,
  PreloadStart,
} from '../../src/index.js'
import type * as wire from '../../src/http/schemas.js'

it('Catalog', () => {
  expectTypeOf<{ key: string; url: string }>().toExtend<CatalogModel>()
  expectTypeOf<Catalog['entries']>().toEqualTypeOf<readonly CatalogEntry[]>()
  expectTypeOf<Catalog['get']>().toEqualTypeOf<(key: string) => CatalogEntry | undefined>()
  expectTypeOf<typeof Catalog.fromFile>().toEqualTypeOf<(path: string) => Promise<Catalog>>()
})

it('Preloader', () => {
  expectTypeOf<{ manager: DownloadManager; catalog: Catalog }>().toExtend<PreloaderOptions>()
  expectTypeOf<ConstructorParameters<typeof Preloader>>().toEqualTypeOf<[options: PreloaderOptions]>()
  expectTypeOf<Preloader['ready']>().toEqualTypeOf<Promise<void>>()
  expectTypeOf<Preloader['start']>().toEqualTypeOf<
    (request?: PreloadRequestOptions) => Promise<PreloadStart>
  >()
  expectTypeOf<Preloader['cancel']>().toEqualTypeOf<() => Promise<void>>()
  expectTypeOf<Preloader['status']>().toEqualTypeOf<() => PreloadSnapshot>()
  expectTypeOf<Preloader['finished']>().toEqualTypeOf<() => Promise<PreloadSnapshot>>()
  expectTypeOf<Preloader['modelsStatus']>().toEqualTypeOf<(locale?: Locale) => Promise<ModelsStatus>>()
  expectTypeOf<Locale>().toEqualTypeOf<'en-US' | 'zh-CN'>()
  expectTypeOf<PreloadSnapshot['downloads']>().toEqualTypeOf<Record<string, Download> | null>()
  const listen = (preloader: Preloader) => {
    preloader.on('status', (status) => {
      expectTypeOf(status).toEqualTypeOf<PreloadSnapshot>()
    })
    preloader.on('log', (event) => {
      expectTypeOf(event).toEqualTypeOf<{ line: string }>()
    })
  }
  expectTypeOf(listen).returns.toBeVoid()
})

it('says what travels over HTTP', () => {
  expectTypeOf<ModelsStatus>().toExtend<wire.WireModelsStatus>()
  expectTypeOf<PreloadStart>().toExtend<wire.PreloadStarted>()
  expectTypeOf<Omit<PreloadSnapshot, 'downloads'>>().toExtend<
    Omit<wire.PreloadStatus, 'downloads' | 'success'>
  >()
})
