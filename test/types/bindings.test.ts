/** What callers see of the bindings' types. Checked by `tsc`; at run time only that the names are there. */
import type { ReactElement } from 'react'
import { expect, expectTypeOf, it } from 'vitest'
import type { App, ComputedRef, Ref } from 'vue'
import * as react from '../../adapters/react.js'
import * as vue from '../../adapters/vue.js'
import type { Client, DownloadError, PreloadStatus, WireDownload } from '../../src/client/index.js'

type React<K extends 'useDownload' | 'useDownloads' | 'usePreload'> = ReturnType<(typeof react)[K]>
type Vue<K extends 'useDownload' | 'useDownloads' | 'usePreload'> = ReturnType<(typeof vue)[K]>

it('the entries export exactly these values', () => {
  const hooks = ['useClient', 'useDownload', 'useDownloads', 'usePreload']
  expect(Object.keys(react).sort()).toEqual(['DownloadProvider', ...hooks])
  expect(Object.keys(vue).sort()).toEqual(['modelDownloader', ...hooks])
})

it('React', () => {
  expectTypeOf(react.DownloadProvider).parameter(0).toHaveProperty('client').toEqualTypeOf<Client>()
  expectTypeOf(react.DownloadProvider).returns.toExtend<ReactElement>()
  expectTypeOf(react.useClient).toEqualTypeOf<() => Client>()
  expectTypeOf(react.useDownload).parameters.toEqualTypeOf<[url: string]>()
  expectTypeOf<React<'useDownload'>['download']>().toEqualTypeOf<WireDownload | null>()
  expectTypeOf<React<'useDownload'>['error']>().toEqualTypeOf<DownloadError | null>()
  expectTypeOf<React<'useDownload'>['connection']>().toEqualTypeOf<react.Connection>()
  expectTypeOf<React<'useDownload'>['pause']>().toEqualTypeOf<() => Promise<boolean>>()
  expectTypeOf<React<'useDownload'>['refresh']>().toEqualTypeOf<() => void>()
  // What `onClick={start}` would hand over is no set of options.
  expectTypeOf<[event: object & { currentTarget: object }]>().not.toExtend<
    Parameters<React<'useDownload'>['start']>
  >()
  expectTypeOf<[{ url: string; mode: string }]>().toExtend<Parameters<React<'useDownloads'>['start']>>()
  expectTypeOf<[{ mode: string }]>().not.toExtend<Parameters<React<'useDownloads'>['start']>>()
  expectTypeOf<React<'useDownloads'>['downloads']>().toEqualTypeOf<readonly WireDownload[]>()
  expectTypeOf<React<'useDownloads'>['byUrl']>().toEqualTypeOf<ReadonlyMap<string, WireDownload>>()
  expectTypeOf<React<'usePreload'>['preload']>().toEqualTypeOf<PreloadStatus | null>()
})

it('Vue', () => {
  const use = (app: App, client: Client) => app.use(vue.modelDownloader, client)
  expectTypeOf(use).returns.toEqualTypeOf<App>()
  // @ts-expect-error it needs a client
  expect((app: App) => app.use(vue.modelDownloader)).toBeTypeOf('function')
  expectTypeOf(vue.useClient).toEqualTypeOf<() => Client>()
  expectTypeOf<Vue<'useDownload'>['download']>().toEqualTypeOf<ComputedRef<WireDownload | null>>()
  expectTypeOf<Vue<'useDownload'>['error']>().toEqualTypeOf<ComputedRef<DownloadError | null>>()
  expectTypeOf<Vue<'useDownload'>['pause']>().toEqualTypeOf<() => Promise<boolean>>()
  expectTypeOf<Vue<'useDownloads'>['downloads']>().toEqualTypeOf<ComputedRef<readonly WireDownload[]>>()
  expectTypeOf<Vue<'usePreload'>['loaded']>().toEqualTypeOf<ComputedRef<boolean>>()
  expectTypeOf<[Ref<string>]>().toExtend<Parameters<typeof vue.useDownload>>()
  expectTypeOf<[() => string, Client]>().toExtend<Parameters<typeof vue.useDownload>>()
  expectTypeOf<[number]>().not.toExtend<Parameters<typeof vue.useDownload>>()
})
