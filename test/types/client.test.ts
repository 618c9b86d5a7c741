/** What callers see of the client's types. Checked by `tsc`; at run time only that the names are there. */
import { expect, expectTypeOf, it } from 'vitest'
import * as api from '../../src/client/index.js'
import {
  createClient,
  type CallOptions,
  type Client,
  type ClientOptions,
  type DownloadError,
  type DownloadErrorCode,
  type DownloadList,
  type DownloadRequest,
  type DownloadsChange,
  type DownloadStarted,
  type FollowConnection,
  type FollowOptions,
  isDownloadError,
  type ListQuery,
  type ModelsStatus,
  type PreloadOptions,
  type PreloadStarted,
  type PreloadStatus,
  type WireDownload,
} from '../../src/client/index.js'
import type { DownloadState } from '../../src/download/states.js'

it('the entry exports exactly these values', () => {
  expect(Object.keys(api).sort()).toEqual(['DownloadError', 'createClient', 'isDownloadError'])
})

it('createClient', () => {
  expectTypeOf(createClient).toEqualTypeOf<(options: ClientOptions) => Client>()
  expectTypeOf<{ baseUrl: string }>().toExtend<ClientOptions>()
  expectTypeOf<{ baseUrl: URL; headers: { a: string }; timeoutMs: number }>().toExtend<ClientOptions>()
  expectTypeOf<{ baseUrl: ''; headers: () => { a: string } }>().toExtend<ClientOptions>()
  expectTypeOf<{ baseUrl: ''; headers: () => Promise<{ a: string }> }>().toExtend<ClientOptions>()
  expectTypeOf<{ baseUrl: ''; fetch: typeof globalThis.fetch }>().toExtend<ClientOptions>()
  expectTypeOf<object>().not.toExtend<ClientOptions>()
  expectTypeOf<{ baseUrl: ''; headers: { a: number } }>().not.toExtend<ClientOptions>()
})

it('calls', () => {
  type Control = (url: string, options?: CallOptions) => Promise<WireDownload>
  expectTypeOf<Client['download']>().toEqualTypeOf<
    (request: DownloadRequest, options?: CallOptions) => Promise<DownloadStarted>
  >()
  expectTypeOf<Client['status']>().toEqualTypeOf<Control>()
  expectTypeOf<Client['pause']>().toEqualTypeOf<Control>()
  expectTypeOf<Client['resume']>().toEqualTypeOf<Control>()
  expectTypeOf<Client['cancel']>().toEqualTypeOf<Control>()
  expectTypeOf<Client['retry']>().toEqualTypeOf<Control>()
  expectTypeOf<Client['list']>().toEqualTypeOf<
    (query?: ListQuery, options?: CallOptions) => Promise<DownloadList>
  >()
  expectTypeOf<Client['pages']>().returns.toEqualTypeOf<AsyncGenerator<DownloadList, void, void>>()
  expectTypeOf<Client['remove']>().returns.toEqualTypeOf<Promise<void>>()
  expectTypeOf<Client['modelsStatus']>().returns.toEqualTypeOf<Promise<ModelsStatus>>()
  expectTypeOf<Client['preload']['start']>().toEqualTypeOf<
    (request?: PreloadOptions, options?: CallOptions) => Promise<PreloadStarted>
  >()
  expectTypeOf<Client['preload']['status']>().returns.toEqualTypeOf<Promise<PreloadStatus>>()
  expectTypeOf<Client['preload']['cancel']>().returns.toEqualTypeOf<Promise<PreloadStatus>>()
  expectTypeOf<ListQuery['state']>().toEqualTypeOf<DownloadState | undefined>()
  expectTypeOf<Pick<DownloadRequest, 'url'>>().toExtend<DownloadRequest>()
})

it('following', () => {
  expectTypeOf<Client['follow']>().toEqualTypeOf<
    (url: string, options?: FollowOptions) => AsyncGenerator<WireDownload, void, void>
  >()
  expectTypeOf<Client['followAll']>().returns.toEqualTypeOf<AsyncGenerator<DownloadsChange, void, void>>()
  expectTypeOf<Client['preload']['follow']>().returns.toEqualTypeOf<
    AsyncGenerator<PreloadStatus, void, void>
  >()
  expectTypeOf<{ signal: AbortSignal; pollIntervalMs: number }>().toExtend<FollowOptions>()
  expectTypeOf<FollowConnection>().toEqualTypeOf<'connecting' | 'live' | 'polling' | 'offline'>()
  expectTypeOf<Client['preload']['follow']>().parameter(0).toExtend<{ endless?: boolean } | undefined>()
})

it('what travels', () => {
  expectTypeOf<WireDownload['status']>().toEqualTypeOf<'downloading' | 'completed' | 'failed'>()
  expectTypeOf<WireDownload['state']>().toEqualTypeOf<DownloadState>()
  expectTypeOf<WireDownload['code']>().toEqualTypeOf<DownloadErrorCode | null>()
  expectTypeOf<WireDownload['progress']>().toEqualTypeOf<number>()
  expectTypeOf<DownloadList['downloads']>().toEqualTypeOf<Record<string, WireDownload>>()
  expectTypeOf<PreloadStatus['downloads']>().toEqualTypeOf<Record<string, WireDownload> | null>()
  expectTypeOf(isDownloadError).guards.toEqualTypeOf<DownloadError>()
  const tell = (change: DownloadsChange) => {
    if (change.type === 'snapshot') return Object.keys(change.downloads)
    expectTypeOf(change.download).toEqualTypeOf<WireDownload>()
    return [change.download.url]
  }
  expect(tell({ type: 'snapshot', downloads: {} })).toEqual([])
})
