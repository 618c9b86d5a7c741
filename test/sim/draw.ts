/** Draws worlds. Most of what is drawn is harmless, so that one thing that goes wrong is not hidden by ten others. */
import fc from '../support/properties.js'
import {
  type CallSpec,
  type Death,
  type DiskFault,
  type FileSpec,
  type HubSpec,
  type RequestFault,
  type ServerSpec,
  type WorldSpec,
  labels,
  wires,
} from './spec.js'

/** A choice in which the first value is the usual one. */
function mostly<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 5, arbitrary: fc.constant(usual) },
    { weight: 3, arbitrary: fc.constantFrom(...others) },
  )
}

/** The same, for what must not hide the rest. */
function rarely<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  )
}

const fault: fc.Arbitrary<RequestFault> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('cut' as const),
      how: fc.constantFrom('fin' as const, 'rst' as const, 'silence' as const),
      percent: fc.oneof(fc.constantFrom(0, 1, 50, 99, 100), fc.integer({ min: 0, max: 100 })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('status' as const),
      status: fc.constantFrom(500, 503, 429, 408, 502, 504, 425, 400, 401, 403, 404, 405, 410, 416, 206, 204),
      retryAfterSeconds: mostly<number | null>(null, 0, 1, 5, 100_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('words' as const),
      type: fc.constantFrom('application/json' as const, 'text/plain' as const, 'text/html' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'refused' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'garbage' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('trickle' as const),
      bytesPerSecond: fc.constantFrom(1, 500, 1_000, 2_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('encoded' as const),
      as: fc.constantFrom('gzip' as const, 'br' as const, 'identity' as const, 'aws-chunked' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('hang-up' as const),
      how: fc.constantFrom('fin' as const, 'rst' as const),
    }),
  },
)

const server: fc.Arbitrary<ServerSpec> = fc.record({
  ranges: mostly<ServerSpec['ranges']>(
    'served',
    ...([
      'ignored',
      'ignored-at-resume',
      'refused-for-others',
      'refused',
      'bounded-only',
      'multipart',
      'unlabelled',
      'mislabelled',
    ] as const),
  ),
  refusal: fc.constantFrom(403, 404, 405, 410, 401, 402, 416, 429, 503, 400, 406, 501),
  length: mostly<ServerSpec['length']>('told', 'chunked', 'until-close'),
  validator: mostly<ServerSpec['validator']>('strong', 'weak', 'date', 'none', 'per-request', 'per-node'),
  redirect: mostly<ServerSpec['redirect']>('none', 'relative', 'other-host', 'loop', 'forbidden'),
  keepAlive: mostly(true, false),
  faults: fc.array(fc.record({ request: fc.integer({ min: 1, max: 8 }), fault }), { maxLength: 4 }),
  changesAt: mostly<number | null>(null, 1, 2, 3, 6),
  coding: rarely<NonNullable<ServerSpec['coding']>>(
    'none',
    ...(['gzip', 'br', 'deflate', 'wrong', 'aws-chunked', 'utf-8', 'identity, identity'] as const),
  ),
  headMs: rarely(0, 3_000, 20_000, 45_000, 100_000),
  cookie: fc.boolean(),
  wire: rarely<NonNullable<ServerSpec['wire']>>(...wires),
  label: rarely<NonNullable<ServerSpec['label']>>(...labels),
})

/** What servers say of the name of a file, mostly to somebody's harm. */
const dispositions = [
  'attachment; filename="model.bin"',
  'attachment; filename="../../etc/passwd"',
  'attachment; filename=".npmrc"',
  'attachment; filename="package.json"',
  'attachment; filename="Makefile"',
  'attachment; filename=".model-downloader"',
  'attachment; filename="a:b?.bin"',
  'attachment; filename="CON"',
  'attachment; filename=""',
  'attachment; filename="sub\\\\folder\\\\x.bin"',
  'attachment; filename="x.bin.part"',
  'attachment; filename="x.bin.part.json"',
  'attachment; filename="trailing. "',
  `attachment; filename="${'x'.repeat(300)}.bin"`,
  'attachment; filename="m\u00f6del.bin"',
  "attachment; filename*=UTF-8''sub%2Ffolder%00%1b%5b2J.bin",
  'attachment; filename*=UTF-8\'\'%e2%80%aegpj.bin; filename="a.bin"',
  'inline',
  'attachment; filename=;;="',
]

const file: fc.Arbitrary<FileSpec> = fc.record({
  size: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 1, max: 400_000 }) },
    { weight: 5, arbitrary: fc.constantFrom(0, 1, 4096, 65_536, 262_144, 262_145) },
    // So large that a part gets longer at a trial first.
    { weight: 1, arbitrary: fc.integer({ min: 1_050_000, max: 1_500_000 }) },
  ),
  digest: fc.constantFrom('known', 'known', 'known', 'unknown', 'unknown', 'wrong'),
  toldSize: mostly<FileSpec['toldSize']>('unknown', 'right', 'wrong'),
  existing: mostly(false, true),
  force: mostly(false, true),
  remote: mostly(false, true),
  spread: mostly(false, true),
  servers: fc.oneof(
    { weight: 4, arbitrary: fc.tuple(server) },
    { weight: 1, arbitrary: fc.array(server, { minLength: 2, maxLength: 3 }) },
  ),
  disposition: rarely<string | null>(null, ...dispositions),
})

const changing = ['open', 'rename', 'unlink', 'mkdir', 'rmdir', 'ftruncate', 'fchmod'] as const

const diskFault: fc.Arbitrary<DiskFault> = fc
  .oneof(
    fc.record({
      call: fc.constantFrom(...changing),
      errno: fc.constantFrom('EIO', 'ENOSPC', 'EACCES', 'EROFS', 'EMFILE', 'EBUSY'),
    }),
    fc.record({
      call: fc.constantFrom('write', 'writeFile', 'fsync', 'fdatasync'),
      errno: fc.constantFrom('EIO', 'ENOSPC', 'EDQUOT'),
    }),
    fc.record({
      call: fc.constantFrom('read', 'fstat', 'lstat', 'readdir', 'statfs', 'close'),
      errno: fc.constant('EIO'),
    }),
  )
  .chain((given) =>
    fc.record({
      call: fc.constant(given.call as DiskFault['call']),
      errno: fc.constant(given.errno),
      nth: fc.integer({ min: 1, max: 40 }),
      lasts: mostly(false, true),
    }),
  )

const death: fc.Arbitrary<Death> = fc.record({
  call: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 400 })),
  after: fc.boolean(),
  power: fc.boolean(),
})

const callSpec: fc.Arbitrary<CallSpec> = fc.record({
  atMs: fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 20_000 })),
  file: fc.integer({ min: 0, max: 2 }),
  what: fc.constantFrom(
    ...(['pause', 'resume', 'cancel', 'remove', 'retry', 'download', 'restart', 'limit'] as const),
  ),
})

/** A hub answers with lists, so it has no faults of bodies that are taken for files. */
const hub: fc.Arbitrary<HubSpec> = fc.record({
  faults: fc.array(
    fc.record({
      request: fc.integer({ min: 1, max: 4 }),
      fault: fault.filter(({ kind }) => kind !== 'words' && kind !== 'encoded'),
    }),
    { maxLength: 3 },
  ),
  tokenMs: fc.constantFrom(null, 2_000, 60_000),
})

const lengths = ['zeros', 'ignored', 'half', 'EPERM', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP'] as const

const anyWorld: fc.Arbitrary<WorldSpec> = fc.record({
  seed: fc.nat(2 ** 31 - 1),
  disk: fc.constantFrom('ordered' as const, 'posix' as const),
  lengths: fc.oneof(
    { weight: 4, arbitrary: fc.constant('holes' as const) },
    { weight: 1, arbitrary: fc.constantFrom(...lengths) },
  ),
  freeBytes: mostly<number | null>(null, 0, 100_000, 500_000),
  diskFaults: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(diskFault, { minLength: 1, maxLength: 2 }) },
  ),
  deaths: fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(death, { minLength: 1, maxLength: 3 }) },
  ),
  outage: fc.oneof(
    { weight: 6, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.record({ fromMs: fc.nat(3_000), forMs: fc.nat(200_000) }) },
  ),
  rivalAtMs: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(300) }),
  listenersThrow: mostly(false, true),
  slowness: mostly(1, 4),
  connections: fc.constantFrom(1, 2, 4, 8, 16),
  concurrency: fc.constantFrom(3, 1),
  minSegmentBytes: fc.constantFrom(16_384, 65_536, 1_048_576),
  bodyReader: fc.constantFrom('fast' as const, 'standard' as const),
  isGroup: mostly(false, true),
  hub: fc.oneof(fc.constant(null), hub),
  files: fc.oneof(
    { weight: 4, arbitrary: fc.tuple(file) },
    { weight: 1, arbitrary: fc.array(file, { minLength: 2, maxLength: 3 }) },
  ),
  calls: fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(callSpec, { minLength: 1, maxLength: 6 }) },
  ),
  budget: fc.oneof(
    { weight: 5, arbitrary: fc.constant(null) },
    {
      weight: 1,
      arbitrary: fc.record({
        bytes: fc.constantFrom(1_000, 100_000, 500_000, 3_000_000),
        whenFull: fc.constantFrom('fail' as const, 'evict' as const),
      }),
    },
  ),
})

/** Whole worlds. A group has several files. */
export const worlds = anyWorld.map((world) => ({
  ...world,
  ...partsOf(world),
}))

/** A group has several files, which its source names; only one file at a time can be told by what its server calls it. */
function partsOf({ isGroup, files, hub: asked, rivalAtMs }: WorldSpec): Partial<WorldSpec> {
  const isReally = isGroup && files.length > 1
  const mayBeNamed = files.length === 1 && rivalAtMs === null
  return {
    isGroup: isReally,
    hub: isReally ? (asked ?? null) : null,
    files: files.map((one) => {
      const isNamed = mayBeNamed && (one.disposition ?? null) !== null
      return isNamed ? { ...one, existing: false } : { ...one, disposition: null }
    }),
  }
}
