/** What callers see of the types. Checked by `tsc`; at run time only that the names are there. */
import { expect, expectTypeOf, it } from 'vitest'
import * as api from '../../src/index.js'
import {
  createFileStore,
  createMemoryStore,
  defaultTuning,
  Download,
  DownloadError,
  downloadErrorCodes,
  DownloadManager,
  downloadStates,
  isDownloadError,
  type DownloadedFile,
  type DownloadErrorCode,
  type DownloadEvents,
  type DownloadManagerOptions,
  type DownloadOptions,
  type DownloadRecord,
  type DownloadState,
  type DownloadStore,
  type GroupFile,
  type LoadedRecords,
  type LogEvent,
  type OptionIssue,
  type Progress,
  type SerializedDownloadError,
  type TransferTuning,
  type Verification,
} from '../../src/index.js'

it('the package exports exactly these values', () => {
  expect(Object.keys(api).sort()).toEqual([
    'Catalog',
    'Download',
    'DownloadError',
    'DownloadManager',
    'Fleet',
    'MemoryFleetStore',
    'Preloader',
    'RedisFleetStore',
    'azure',
    'civitai',
    'createFileStore',
    'createHandler',
    'createMemoryStore',
    'defaultTuning',
    'downloadErrorCodes',
    'downloadRecordSchema',
    'downloadStates',
    'gitHub',
    'googleStorage',
    'huggingFace',
    'isDownloadError',
    'kaggle',
    'localFiles',
    'modelScope',
    'ollama',
    's3',
  ])
})

it('DownloadManager', () => {
  expectTypeOf(DownloadManager).toBeConstructibleWith()
  expectTypeOf(DownloadManager).toBeConstructibleWith({
    directory: './models',
    concurrency: 3,
    connections: 8,
  })
  expectTypeOf<ConstructorParameters<typeof DownloadManager>>().toEqualTypeOf<
    [options?: DownloadManagerOptions]
  >()
  type M = DownloadManager
  expectTypeOf<M['ready']>().toEqualTypeOf<Promise<void>>()
  expectTypeOf<M['directory']>().toEqualTypeOf<string>()
  expectTypeOf<M['concurrency']>().toEqualTypeOf<number>()
  expectTypeOf<M['maxBytesPerSecond']>().toEqualTypeOf<number | null>()
  expectTypeOf<M['download']>().toEqualTypeOf<(options: DownloadOptions) => Promise<Download>>()
  expectTypeOf<M['get']>().toEqualTypeOf<(url: string) => Download | undefined>()
  expectTypeOf<M['list']>().toEqualTypeOf<() => Download[]>()
  expectTypeOf<M['pause' | 'resume' | 'cancel' | 'retry']>().toEqualTypeOf<
    (url: string) => Promise<Download>
  >()
  expectTypeOf<M['remove']>().toEqualTypeOf<
    (url: string, options?: { deleteFile?: boolean }) => Promise<void>
  >()
  expectTypeOf<M['onIdle']>().toEqualTypeOf<() => Promise<void>>()
  expectTypeOf<M['close']>().toEqualTypeOf<() => Promise<void>>()
  expectTypeOf<M>().toExtend<AsyncDisposable>()
})

it('Download', () => {
  expectTypeOf<Download['url']>().toEqualTypeOf<string>()
  expectTypeOf<Download['state']>().toEqualTypeOf<DownloadState>()
  expectTypeOf<Download['filename']>().toEqualTypeOf<string>()
  expectTypeOf<Download['named']>().toEqualTypeOf<boolean>()
  expectTypeOf<Download['path']>().toEqualTypeOf<string>()
  expectTypeOf<Download['mode']>().toEqualTypeOf<string | null>()
  expectTypeOf<Download['priority']>().toEqualTypeOf<number>()
  expectTypeOf<Download['sha256']>().toEqualTypeOf<string | null>()
  expectTypeOf<Download['verified']>().toEqualTypeOf<boolean>()
  expectTypeOf<Download['error']>().toEqualTypeOf<DownloadError | null>()
  expectTypeOf<Download['file']>().toEqualTypeOf<DownloadedFile | null>()
  expectTypeOf<Download['finished']>().toEqualTypeOf<Promise<DownloadedFile>>()
  expectTypeOf<Download['current']>().toEqualTypeOf<Progress>()
  expectTypeOf<Download['progress']>().returns.toExtend<AsyncIterable<Progress>>()
  expectTypeOf<Download['maxBytesPerSecond']>().toEqualTypeOf<number | null>()
  expectTypeOf<Download['createdAt']>().toEqualTypeOf<Date>()
  expectTypeOf<Download['startedAt' | 'finishedAt']>().toEqualTypeOf<Date | null>()
  expectTypeOf<Download['pause' | 'resume' | 'cancel' | 'retry']>().toEqualTypeOf<() => Promise<Download>>()
  // Readonly properties can't be modified.
  // @ts-expect-error -- the state moves by its own rules
  const assign = (download: Download) => (download.state = 'completed')
  expect(assign).toBeTypeOf('function')
  expect(Download).toBeTypeOf('function')
})

it('events carry their types', () => {
  expectTypeOf<keyof DownloadEvents>().toEqualTypeOf<
    | 'queued'
    | 'started'
    | 'progress'
    | 'paused'
    | 'resumed'
    | 'retrying'
    | 'downloading'
    | 'verifying'
    | 'completed'
    | 'failed'
    | 'canceled'
    | 'removed'
    | 'evicted'
    | 'takenOver'
    | 'leaseLost'
    | 'writeFenced'
    | 'log'
  >()
  const listen = (manager: DownloadManager) => {
    manager.on('progress', ({ download, progress }) => {
      expectTypeOf(download).toEqualTypeOf<Download>()
      expectTypeOf(progress).toEqualTypeOf<Progress>()
    })
    manager.once('completed', ({ file }) => {
      expectTypeOf(file).toEqualTypeOf<DownloadedFile>()
    })
    manager.on('failed', ({ error }) => {
      expectTypeOf(error).toEqualTypeOf<DownloadError>()
    })
    manager.on('retrying', (event) => {
      expectTypeOf(event).toEqualTypeOf<{
        download: Download
        error: DownloadError
        attempt: number
        delayMs: number
      }>()
    })
    manager.on('log', (event) => {
      expectTypeOf(event).toEqualTypeOf<LogEvent>()
    })
    // @ts-expect-error -- there is no such event
    manager.on('finished', () => undefined)
    manager.on('queued', (event) => {
      expectTypeOf(event).toEqualTypeOf<{ download: Download }>()
    })
    expectTypeOf(manager.off('queued')).toEqualTypeOf(manager)
  }
  expect(listen).toBeTypeOf('function')
})

it('options', () => {
  expectTypeOf<DownloadOptions['url']>().toEqualTypeOf<string | undefined>()
  expectTypeOf<DownloadOptions['urls']>().toEqualTypeOf<readonly string[] | undefined>()
  expectTypeOf<Pick<DownloadOptions, 'url'>>().toExtend<DownloadOptions>()
  expectTypeOf<Pick<DownloadOptions, 'urls'>>().toExtend<DownloadOptions>()
  expectTypeOf<DownloadOptions['mode']>().toEqualTypeOf<string | null | undefined>()
  expectTypeOf<DownloadOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>()
  expectTypeOf<DownloadOptions['headers']>().toEqualTypeOf<Record<string, string> | undefined>()
  expectTypeOf<DownloadManagerOptions['store']>().toEqualTypeOf<
    'file' | 'memory' | DownloadStore | undefined
  >()
  expectTypeOf<DownloadManagerOptions['tuning']>().toEqualTypeOf<Partial<TransferTuning> | undefined>()
  expectTypeOf(defaultTuning).toEqualTypeOf<TransferTuning>()
  expectTypeOf<object>().toExtend<DownloadManagerOptions>()
})

it('errors narrow', () => {
  expect(new DownloadError('CONFLICT', 'no')).toHaveProperty('code', downloadErrorCodes[3])
  expect(downloadStates).toHaveLength(8)
  expectTypeOf<DownloadErrorCode>().toEqualTypeOf<(typeof downloadErrorCodes)[number]>()
  expectTypeOf<'CONFLICT'>().toExtend<DownloadErrorCode>()
  expectTypeOf<'conflict'>().not.toExtend<DownloadErrorCode>()
  expectTypeOf<DownloadError>().toExtend<Error>()
  expectTypeOf<DownloadError['code']>().toEqualTypeOf<DownloadErrorCode>()
  expectTypeOf<DownloadError['retryable']>().toEqualTypeOf<boolean>()
  expectTypeOf<DownloadError['issues']>().toEqualTypeOf<readonly OptionIssue[]>()
  expectTypeOf<ReturnType<DownloadError['toJSON']>>().toEqualTypeOf<SerializedDownloadError>()
  expectTypeOf(isDownloadError).guards.toEqualTypeOf<DownloadError>()
  expectTypeOf<DownloadState>().toEqualTypeOf<(typeof downloadStates)[number]>()
})

it('stores', () => {
  expectTypeOf(createFileStore).toEqualTypeOf<(folder: string) => DownloadStore>()
  expectTypeOf(createMemoryStore).toEqualTypeOf<() => DownloadStore>()
  expectTypeOf<DownloadStore['load']>().toEqualTypeOf<() => Promise<LoadedRecords>>()
  expectTypeOf<DownloadStore['save']>().toEqualTypeOf<(record: DownloadRecord) => Promise<void>>()
  expectTypeOf<DownloadStore['remove']>().toEqualTypeOf<(id: string) => Promise<void>>()
  expectTypeOf<DownloadRecord['version']>().toEqualTypeOf<1>()
})

it('progress and file are plain data', () => {
  expectTypeOf<Progress>().toEqualTypeOf<{
    downloaded: number
    total: number | null
    percent: number
    bytesPerSecond: number
    etaSeconds: number | null
    connections: number
    phase: DownloadState
    stale?: boolean
  }>()
  expectTypeOf<DownloadedFile>().toEqualTypeOf<{
    url: string
    path: string
    filename: string
    size: number
    sha256: string | null
    verified: boolean
    verification: Verification | null
    stale?: boolean
    existed: boolean
    fetchedBytes: number
    files: readonly GroupFile[] | null
    adoptedFrom: string | null
  }>()
})
