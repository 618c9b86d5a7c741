/** Worlds that once broke a promise, each as small as it could be made. A mended fault leaves its world here. */
import { plainServer as server } from './plain.js'
import type { FileSpec, WorldSpec } from './spec.js'

const file: FileSpec = {
  size: 1_000,
  digest: 'known',
  toldSize: 'unknown',
  existing: false,
  force: false,
  remote: false,
  spread: false,
  servers: [server],
}

const plain: WorldSpec = {
  seed: 0,
  disk: 'ordered',
  freeBytes: null,
  diskFaults: [],
  deaths: [],
  outage: null,
  rivalAtMs: null,
  listenersThrow: false,
  slowness: 1,
  connections: 1,
  concurrency: 3,
  minSegmentBytes: 16_384,
  bodyReader: 'fast',
  isGroup: false,
  files: [file],
  calls: [],
}

/** By what went wrong in them. */
export const regressions: Readonly<Record<string, WorldSpec>> = {
  'a connection that is being opened outlives close()': {
    ...plain,
    files: [
      {
        ...file,
        servers: [
          {
            ...server,
            faults: [{ request: 1, fault: { kind: 'status', status: 404, retryAfterSeconds: null } }],
          },
        ],
      },
    ],
  },
  'a socket is being opened after close(), in a pool whose other connections have ended': {
    ...plain,
    seed: 6,
    diskFaults: [{ call: 'write', errno: 'EIO', nth: 3, lasts: true }],
    rivalAtMs: 1,
    connections: 4,
    files: [
      {
        ...file,
        size: 65536,
        remote: true,
        spread: true,
        servers: [
          {
            ...server,
            ranges: 'refused-for-others',
            keepAlive: false,
          },
        ],
      },
      {
        ...file,
        size: 1,
        servers: [
          {
            ...server,
            ranges: 'ignored',
            length: 'chunked',
            redirect: 'relative',
            keepAlive: false,
            faults: [{ request: 2, fault: { kind: 'cut', how: 'fin', percent: 100 } }],
            changesAt: 1,
          },
        ],
      },
    ],
  },
  'an empty body without a length is requested again and again': {
    ...plain,
    seed: 11,
    disk: 'posix',
    diskFaults: [
      { call: 'write', errno: 'ENOSPC', nth: 38, lasts: false },
      { call: 'mkdir', errno: 'EBUSY', nth: 29, lasts: false },
    ],
    files: [
      {
        ...file,
        size: 123344,
        toldSize: 'wrong',
        remote: true,
        servers: [
          {
            ...server,
            refusal: 404,
            length: 'chunked',
            keepAlive: false,
            faults: [{ request: 3, fault: { kind: 'refused' } }],
            changesAt: 2,
          },
        ],
      },
      {
        ...file,
        size: 0,
        digest: 'unknown',
        remote: true,
        spread: true,
        servers: [
          {
            ...server,
            refusal: 400,
            length: 'until-close',
            validator: 'per-request',
            redirect: 'relative',
            keepAlive: false,
            faults: [
              { request: 1, fault: { kind: 'cut', how: 'fin', percent: 6 } },
              { request: 1, fault: { kind: 'garbage' } },
            ],
          },
        ],
      },
    ],
  },
  'the journal of a part that is no longer used is torn': {
    ...plain,
    seed: 1058910236,
    deaths: [{ call: 159, after: false, power: true }],
    slowness: 4,
    connections: 8,
    minSegmentBytes: 65536,
    files: [
      {
        ...file,
        size: 262145,
        toldSize: 'right',
        remote: true,
        servers: [
          {
            ...server,
            faults: [{ request: 2, fault: { kind: 'cut', how: 'silence', percent: 14 } }],
            changesAt: 2,
          },
        ],
      },
    ],
  },
  'a file of a group starts over with fewer bytes, and its progress passes the total': {
    ...plain,
    deaths: [{ call: 1, after: false, power: false }],
    listenersThrow: true,
    isGroup: true,
    files: [
      {
        ...file,
        size: 1,
        existing: true,
        spread: true,
        servers: [
          {
            ...server,
            keepAlive: false,
            faults: [{ request: 1, fault: { kind: 'cut', how: 'fin', percent: 0 } }],
          },
        ],
      },
      {
        ...file,
        size: 12999,
        existing: true,
        servers: [
          {
            ...server,
            ranges: 'ignored',
            length: 'chunked',
            faults: [
              { request: 3, fault: { kind: 'words', type: 'text/plain' } },
              { request: 1, fault: { kind: 'cut', how: 'fin', percent: 1 } },
            ],
          },
        ],
      },
    ],
  },
  'a canceled group whose files can not be deleted stays downloading for ever': {
    ...plain,
    freeBytes: 100000,
    diskFaults: [{ call: 'unlink', errno: 'EACCES', nth: 4, lasts: false }],
    slowness: 4,
    isGroup: true,
    files: [
      {
        ...file,
        size: 1,
        toldSize: 'right',
        servers: [
          {
            ...server,
            length: 'chunked',
            validator: 'weak',
            redirect: 'relative',
            changesAt: 1,
          },
        ],
      },
      {
        ...file,
        size: 1,
        toldSize: 'right',
        force: true,
        servers: [
          {
            ...server,
            length: 'chunked',
            redirect: 'relative',
          },
          {
            ...server,
            ranges: 'ignored',
            keepAlive: false,
            changesAt: 1,
          },
        ],
      },
    ],
    calls: [{ atMs: 183, file: 0, what: 'cancel' }],
  },
  'a server that allows one connection counts as gone when it refuses further ones': {
    ...plain,
    slowness: 4,
    listenersThrow: true,
    connections: 8,
    files: [
      {
        ...file,
        ...file,
        size: 149_797,
        existing: true,
        spread: true,
        servers: [
          {
            ...server,
            ...server,
            ranges: 'refused-for-others',
            refusal: 410,
            length: 'chunked',
            redirect: 'relative',
          },
        ],
      },
    ],
  },
  'it still counts a connection that was closed a moment before': {
    ...plain,
    deaths: [{ call: 1, after: false, power: false }],
    slowness: 4,
    connections: 16,
    concurrency: 1,
    minSegmentBytes: 65_536,
    files: [
      {
        ...file,
        ...file,
        size: 262_145,
        force: true,
        servers: [{ ...server, ranges: 'refused-for-others', refusal: 410, validator: 'weak' }],
      },
    ],
  },
  'bytes are kept, and a server that allows one connection refuses further ones': {
    ...plain,
    deaths: [{ call: 25, after: false, power: false }],
    connections: 16,
    files: [
      {
        ...file,
        ...file,
        size: 262_145,
        servers: [{ ...server, ranges: 'refused-for-others', redirect: 'relative' }],
      },
    ],
  },
  'the end of an empty stream is confirmed, and its part is opened twice': {
    ...plain,
    files: [{ ...file, size: 0, servers: [{ ...server, length: 'until-close', validator: 'weak' }] }],
  },
  'a complete file is asked for once only, from a server with odd ranges': {
    ...plain,
    connections: 8,
    files: [
      {
        ...file,
        servers: [
          {
            ...server,
            ...server,
            ranges: 'unlabelled',
            faults: [{ request: 3, fault: { kind: 'encoded', as: 'gzip' } }],
          },
        ],
      },
    ],
  },
  'a few words with 200 pass for a new version': {
    ...plain,
    connections: 4,
    files: [
      {
        ...file,
        ...file,
        size: 200_000,
        digest: 'unknown',
        servers: [
          {
            ...server,
            faults: [
              { request: 1, fault: { kind: 'cut', how: 'fin', percent: 50 } },
              { request: 2, fault: { kind: 'words', type: 'application/json' } },
              { request: 3, fault: { kind: 'words', type: 'text/plain' } },
              { request: 4, fault: { kind: 'words', type: 'application/json' } },
            ],
          },
        ],
      },
    ],
  },
  'the nodes of a server have ETags of their own': {
    ...plain,
    connections: 4,
    files: [
      {
        ...file,
        ...file,
        size: 200_000,
        digest: 'unknown',
        servers: [
          {
            ...server,
            validator: 'per-request',
            faults: [
              { request: 1, fault: { kind: 'cut', how: 'rst', percent: 50 } },
              { request: 4, fault: { kind: 'cut', how: 'fin', percent: 50 } },
            ],
          },
        ],
      },
    ],
  },
  'a kill between making a lock and writing it locks everybody out for a minute': {
    ...plain,
    deaths: [{ call: 14, after: false, power: false }],
  },
  'a journal that cannot be closed leaves its part open': {
    seed: 0,
    disk: 'ordered',
    freeBytes: 500000,
    diskFaults: [{ call: 'close', errno: 'EIO', nth: 15, lasts: false }],
    deaths: [{ call: 37, after: false, power: false }],
    outage: null,
    rivalAtMs: null,
    listenersThrow: false,
    slowness: 4,
    connections: 1,
    concurrency: 3,
    minSegmentBytes: 16384,
    bodyReader: 'fast',
    isGroup: false,
    hub: null,
    files: [
      {
        size: 399989,
        digest: 'known',
        toldSize: 'unknown',
        existing: false,
        force: true,
        remote: false,
        spread: false,
        disposition: 'attachment; filename="trailing. "',
        servers: [
          {
            ranges: 'served',
            refusal: 429,
            length: 'told',
            validator: 'strong',
            redirect: 'relative',
            keepAlive: false,
            faults: [
              { request: 2, fault: { kind: 'cut', how: 'fin', percent: 78 } },
              { request: 5, fault: { kind: 'cut', how: 'fin', percent: 0 } },
              { request: 8, fault: { kind: 'status', status: 429, retryAfterSeconds: null } },
            ],
            changesAt: 3,
            coding: 'none',
            headMs: 0,
            cookie: true,
          },
        ],
      },
    ],
    calls: [],
    budget: null,
  },
  'a disk that only says that it makes a file longer makes its part seem truncated': {
    ...plain,
    lengths: 'ignored',
    connections: 4,
    files: [{ ...file, size: 300_000 }],
  },
  'the same with a disk that makes it longer by half': {
    ...plain,
    lengths: 'half',
    files: [{ ...file, size: 1_200_000 }],
  },
  'a heartbeat opens a lock that somebody else has, and close() does not wait for it': {
    ...plain,
    seed: 1,
    lengths: 'zeros',
    rivalAtMs: 4,
    files: [
      {
        ...file,
        size: 0,
        existing: true,
        force: true,
        spread: true,
        servers: [
          {
            ...server,
            ranges: 'ignored',
            faults: [{ request: 1, fault: { kind: 'cut', how: 'silence', percent: 0 } }],
          },
        ],
      },
      { ...file, size: 1, existing: true, force: true, remote: true },
    ],
    calls: [{ atMs: 19_999, file: 0, what: 'cancel' }],
    budget: { bytes: 1_000, whenFull: 'fail' },
  },
  'a token expires again while a server takes long for its first answer': {
    ...plain,
    lengths: 'holes',
    isGroup: true,
    hub: { faults: [], tokenMs: 2_000 },
    files: [
      {
        ...file,
        size: 1,
        force: true,
        remote: true,
        spread: true,
        servers: [{ ...server, keepAlive: false, headMs: 100_000 }],
      },
      { ...file, size: 1, remote: true, spread: true },
    ],
  },
}
