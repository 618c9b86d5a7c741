/** Sample records for tests of stores. */
import { createHash } from 'node:crypto'
import type { DownloadRecord } from '../download/record.js'

/**
 * Creates a valid record of a queued download, for tests.
 *
 * @param sequence - position in the order of arrival; different numbers give different downloads.
 * @param change - fields to override. A different `url` gives a different download, with a different `id`.
 */
export function sampleRecord(sequence: number, change: Partial<DownloadRecord> = {}): DownloadRecord {
  const url = change.url ?? `https://models.example/${sequence}.gguf`
  return {
    version: 1,
    id: createHash('sha256').update(url).digest('hex'),
    url,
    urls: [],
    spread: false,
    filename: `${sequence}.gguf`,
    named: true,
    mode: 'llm',
    directory: null,
    layout: 'flat',
    cache: null,
    adopt: false,
    state: 'queued',
    sha256: null,
    size: null,
    headers: {},
    priority: 0,
    connections: null,
    maxBytesPerSecond: null,
    remote: null,
    checkFormat: false,
    force: false,
    sequence,
    downloaded: 0,
    total: null,
    error: null,
    resultSha256: null,
    verified: false,
    stamp: null,
    include: [],
    exclude: [],
    group: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: null,
    finishedAt: null,
    ...change,
  }
}

const digest = 'ab'.repeat(32)

/** An error as it is stored in records. */
export const sampleError = {
  code: 'HTTP_ERROR',
  message: 'Not “now”.',
  retryable: true,
  status: 503,
  retryAfterMs: 0.5,
} as const

const stamp = {
  size: Number.MAX_SAFE_INTEGER,
  mtimeMs: 1_767_225_600_000.123,
  ino: 2 ** 52 + 1,
  sha256: digest,
}

/** Creates a record with a value in every field; returns a new object each time. */
export const fullRecord = (): DownloadRecord =>
  sampleRecord(7, {
    urls: ['https://mirror.example/7.gguf', 'https://other.example/7.gguf'],
    spread: true,
    filename: '模型 🦙.gguf',
    named: false,
    mode: 'embed',
    directory: '/srv/models/ü',
    layout: 'hf-cache',
    cache: { folder: 'models--owner--name', commit: 'c'.repeat(40), path: 'a/b.gguf', blob: digest },
    adopt: 'copy',
    state: 'failed',
    sha256: digest,
    size: Number.MAX_SAFE_INTEGER,
    headers: { authorization: 'Bearer "x"\\\n\t\u0000\u2028', 'x-empty': '' },
    priority: -3,
    connections: 8,
    maxBytesPerSecond: 1e-3,
    remote: { allowPrivateNetwork: false, allowedHosts: ['a.example', '*.b.example'] },
    force: true,
    downloaded: Number.MAX_SAFE_INTEGER - 1,
    total: Number.MAX_SAFE_INTEGER,
    error: sampleError,
    resultSha256: digest,
    verified: true,
    stamp,
    include: ['*.gguf', 'onnx/'],
    exclude: ['**/*.bin'],
    group: {
      revision: 'c'.repeat(40),
      pinned: true,
      files: [
        { path: 'a/b.gguf', size: 0, sha256: digest, done: true, stamp, fetched: true },
        { path: 'c', stale: true, downloaded: 17, blob: digest, error: sampleError },
        { path: 'd' },
      ],
    },
    startedAt: '2026-01-01T00:00:01.000Z',
    finishedAt: '2026-01-01T00:00:02.000Z',
  })
