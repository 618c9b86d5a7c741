/** Worlds that once broke a promise, each as small as it could be made. A mended fault leaves its world here. */
import type { FileSpec, ServerSpec, WorldSpec } from './spec.js'

const server: ServerSpec = {
  ranges: 'served',
  refusal: 403,
  length: 'told',
  validator: 'strong',
  redirect: 'none',
  keepAlive: true,
  faults: [],
  changesAt: null,
}

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
    seed: 6,
    disk: 'ordered',
    freeBytes: null,
    diskFaults: [{ call: 'write', errno: 'EIO', nth: 3, lasts: true }],
    deaths: [],
    outage: null,
    rivalAtMs: 1,
    listenersThrow: false,
    slowness: 1,
    connections: 4,
    concurrency: 3,
    minSegmentBytes: 16384,
    isGroup: false,
    files: [
      {
        size: 65536,
        digest: 'known',
        toldSize: 'unknown',
        existing: false,
        force: false,
        remote: true,
        spread: true,
        servers: [
          {
            ranges: 'refused-for-others',
            refusal: 403,
            length: 'told',
            validator: 'strong',
            redirect: 'none',
            keepAlive: false,
            faults: [],
            changesAt: null,
          },
        ],
      },
      {
        size: 1,
        digest: 'known',
        toldSize: 'unknown',
        existing: false,
        force: false,
        remote: false,
        spread: false,
        servers: [
          {
            ranges: 'ignored',
            refusal: 403,
            length: 'chunked',
            validator: 'strong',
            redirect: 'relative',
            keepAlive: false,
            faults: [{ request: 2, fault: { kind: 'cut', how: 'fin', percent: 100 } }],
            changesAt: 1,
          },
        ],
      },
    ],
    calls: [],
  },
  'a file of a group starts over with fewer bytes, and its progress passes the total': {
    seed: 0,
    disk: 'ordered',
    freeBytes: null,
    diskFaults: [],
    deaths: [{ call: 1, after: false, power: false }],
    outage: null,
    rivalAtMs: null,
    listenersThrow: true,
    slowness: 1,
    connections: 1,
    concurrency: 3,
    minSegmentBytes: 16384,
    isGroup: true,
    files: [
      {
        size: 1,
        digest: 'known',
        toldSize: 'unknown',
        existing: true,
        force: false,
        remote: false,
        spread: true,
        servers: [
          {
            ranges: 'served',
            refusal: 403,
            length: 'told',
            validator: 'strong',
            redirect: 'none',
            keepAlive: false,
            faults: [{ request: 1, fault: { kind: 'cut', how: 'fin', percent: 0 } }],
            changesAt: null,
          },
        ],
      },
      {
        size: 12999,
        digest: 'known',
        toldSize: 'unknown',
        existing: true,
        force: false,
        remote: false,
        spread: false,
        servers: [
          {
            ranges: 'ignored',
            refusal: 403,
            length: 'chunked',
            validator: 'strong',
            redirect: 'none',
            keepAlive: true,
            faults: [
              { request: 3, fault: { kind: 'words', type: 'text/plain' } },
              { request: 1, fault: { kind: 'cut', how: 'fin', percent: 1 } },
            ],
            changesAt: null,
          },
        ],
      },
    ],
    calls: [],
  },
  'a canceled group whose files can not be deleted stays downloading for ever': {
    seed: 0,
    disk: 'ordered',
    freeBytes: 100000,
    diskFaults: [{ call: 'unlink', errno: 'EACCES', nth: 4, lasts: false }],
    deaths: [],
    outage: null,
    rivalAtMs: null,
    listenersThrow: false,
    slowness: 4,
    connections: 1,
    concurrency: 3,
    minSegmentBytes: 16384,
    isGroup: true,
    files: [
      {
        size: 1,
        digest: 'known',
        toldSize: 'right',
        existing: false,
        force: false,
        remote: false,
        spread: false,
        servers: [
          {
            ranges: 'served',
            refusal: 403,
            length: 'chunked',
            validator: 'weak',
            redirect: 'relative',
            keepAlive: true,
            faults: [],
            changesAt: 1,
          },
        ],
      },
      {
        size: 1,
        digest: 'known',
        toldSize: 'right',
        existing: false,
        force: true,
        remote: false,
        spread: false,
        servers: [
          {
            ranges: 'served',
            refusal: 403,
            length: 'chunked',
            validator: 'strong',
            redirect: 'relative',
            keepAlive: true,
            faults: [],
            changesAt: null,
          },
          {
            ranges: 'ignored',
            refusal: 403,
            length: 'told',
            validator: 'strong',
            redirect: 'none',
            keepAlive: false,
            faults: [],
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
        size: 149_797,
        existing: true,
        spread: true,
        servers: [
          {
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
}
