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
  'a kill between making a lock and writing it locks everybody out for a minute': {
    ...plain,
    deaths: [{ call: 14, after: false, power: false }],
  },
}
