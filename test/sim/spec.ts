/** What a world is made of, as plain data: drawn from a seed, shrunk, printed and replayed. */
import type { DiskModel, LengthModel } from './disk.js'
import type { FileCall } from './file-system.js'

/** How a file call fails. One that is short takes place, but with half of the bytes. */
export type Errno = 'EIO' | 'ENOSPC' | 'EACCES' | 'EROFS' | 'EMFILE' | 'EBUSY' | 'EDQUOT' | 'EINTR' | 'short'

/** A file call that fails. */
export interface DiskFault {
  readonly call: FileCall
  /** Which of these calls fails, counted over the world from 1. */
  readonly nth: number
  readonly errno: Errno
  /** It fails from then on, until the disk is repaired at the end. */
  readonly lasts: boolean
}

/** The end of a process. */
export interface Death {
  /** At which file call of the process, from 1. */
  readonly call: number
  /** Whether the call still takes place. */
  readonly after: boolean
  /** The machine goes down as well, and with it what was not synced. */
  readonly power: boolean
}

/** What goes wrong with one request to a server. */
export type RequestFault =
  | { readonly kind: 'cut'; readonly how: 'fin' | 'rst' | 'silence'; readonly percent: number }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds: number | null }
  | { readonly kind: 'words'; readonly type: 'application/json' | 'text/plain' | 'text/html' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'garbage' }
  /** The body comes so slowly that it is no use. */
  | { readonly kind: 'trickle'; readonly bytesPerSecond: number }
  | { readonly kind: 'encoded'; readonly as: 'gzip' | 'br' | 'identity' | 'aws-chunked' }
  /** The response is complete; then the connection ends, though it was to be kept. */
  | { readonly kind: 'hang-up'; readonly how: 'fin' | 'rst' }

/** How a server writes its responses, where others write them differently: lenient clients read all of these. */
export const wires = [
  'usual',
  'early-hints',
  'continue',
  'lf-only',
  'folded',
  'upper-case',
  'many-fields',
  'length-twice',
  'http-1.0',
  'many-chunks',
  'chunk-extensions',
  'trailers',
] as const

/** How it labels the range that it sends. */
export const labels = [
  'usual',
  'no-total',
  'equals',
  'no-unit',
  'spaces',
  'larger-total',
  'nothing-at-416',
] as const

/** One address of a file. */
export interface ServerSpec {
  readonly ranges:
    | 'served'
    | 'ignored'
    | 'ignored-at-resume'
    | 'refused-for-others'
    | 'refused'
    | 'bounded-only'
    | 'multipart'
    | 'unlabelled'
    | 'mislabelled'
  /** With which status requests are refused: any range for `refused`, further ones for `refused-for-others`. */
  readonly refusal: number
  readonly length: 'told' | 'chunked' | 'until-close'
  readonly validator: 'strong' | 'weak' | 'date' | 'none' | 'per-request' | 'per-node'
  readonly redirect: 'none' | 'relative' | 'other-host' | 'loop' | 'forbidden'
  readonly keepAlive: boolean
  /** By the number of the request, from 1. */
  readonly faults: readonly { readonly request: number; readonly fault: RequestFault }[]
  /** From this request on there is another version of the file; null for never. */
  readonly changesAt: number | null
  /**
   * What Content-Encoding says of every response. A real coding is that of the whole file, whatever range was asked for; `wrong`
   * says gzip of bytes that are the file as it is; the others are words without a meaning. Default: none.
   */
  readonly coding?:
    'none' | 'gzip' | 'br' | 'deflate' | 'wrong' | 'aws-chunked' | 'utf-8' | 'identity, identity'
  /** How long the head of each response to a request for the file takes. Default 0. */
  readonly headMs?: number
  /** Default: usual. */
  readonly wire?: (typeof wires)[number]
  /** Default: usual. */
  readonly label?: (typeof labels)[number]
  /** Redirects set a cookie, and one to the same host leads nowhere without it. Default false. */
  readonly cookie?: boolean
}

/** The hub that a group's source asks: for the list of files, and for a token without which no file is served. */
export interface HubSpec {
  /** By the number of the request, from 1. */
  readonly faults: readonly { readonly request: number; readonly fault: RequestFault }[]
  /** How long a token is good; null for as long as anybody wants. */
  readonly tokenMs: number | null
}

/** A file that a world's callers want. */
export interface FileSpec {
  readonly size: number
  readonly digest: 'known' | 'unknown' | 'wrong'
  readonly toldSize: 'right' | 'unknown' | 'wrong'
  /** Whether an older file has the name already. */
  readonly existing: boolean
  readonly force: boolean
  /** Asked for by a stranger: forbidden addresses must not be connected to. */
  readonly remote: boolean
  readonly spread: boolean
  readonly servers: readonly ServerSpec[]
  /** The URL has no name, and the servers send this Content-Disposition. Default: the URL has the name. */
  readonly disposition?: string | null
}

/** Something that a caller does. */
export interface CallSpec {
  readonly atMs: number
  readonly file: number
  readonly what: 'pause' | 'resume' | 'cancel' | 'remove' | 'retry' | 'download' | 'restart' | 'limit'
}

/** A whole world. */
export interface WorldSpec {
  readonly seed: number
  readonly disk: DiskModel
  /** What the disk does when a length is set, in the calm too. Default: `holes`. */
  readonly lengths?: LengthModel
  readonly freeBytes: number | null
  /** The manager has a disk budget until the calm. Default: none. */
  readonly budget?: { readonly bytes: number; readonly whenFull: 'fail' | 'evict' } | null
  readonly diskFaults: readonly DiskFault[]
  /** Of the first process, the second one, and so on; who has none lives to the end. */
  readonly deaths: readonly Death[]
  readonly outage: { readonly fromMs: number; readonly forMs: number } | null
  /** Another process that downloads the same files into the same folder, from this time on; null for none. */
  readonly rivalAtMs: number | null
  /** Listeners of the manager's events throw. */
  readonly listenersThrow: boolean
  /** How many times slower than usual the network is. */
  readonly slowness: number
  readonly connections: number
  readonly concurrency: number
  readonly minSegmentBytes: number
  /** Who reads the bodies of responses. */
  readonly bodyReader: 'fast' | 'standard'
  /** The files are one download, by a ref of a source. */
  readonly isGroup: boolean
  /** Another program's cache has the files, and the manager may take them from there. Default false. */
  readonly adopts?: boolean
  /** The group is stored as in the cache of the Hugging Face libraries. Default false. */
  readonly inCache?: boolean
  /** Where the group's source gets its list from. Default: it knows it. */
  readonly hub?: HubSpec | null
  readonly files: readonly FileSpec[]
  readonly calls: readonly CallSpec[]
}

const transient = new Set([408, 425, 429, 500, 502, 503, 504])

/** Whether a fault passes: asking again is the right answer to it. */
function passes(fault: RequestFault): boolean {
  return fault.kind !== 'status' || (transient.has(fault.status) && (fault.retryAfterSeconds ?? 0) < 60)
}

/** Whether a word names a coding that the whole file has. */
export function isReal(coding: ServerSpec['coding']): boolean {
  return coding === 'gzip' || coding === 'br' || coding === 'deflate'
}

/** How the length of a body is told. Chunks are of HTTP/1.1. */
export function framingOf({ length, wire }: ServerSpec): ServerSpec['length'] {
  return wire === 'http-1.0' && length === 'chunked' ? 'until-close' : length
}

/** Few enough faults for any retry budget, and no trait that makes the file unobtainable or ambiguous. */
function isFairServer(world: WorldSpec, server: ServerSpec): boolean {
  const { redirect, faults, changesAt, coding = 'none', headMs = 0 } = server
  const length = framingOf(server)
  return (
    coding !== 'wrong' &&
    // Each attempt waits longer, so that there is none left for anything else.
    (headMs < 10_000 || faults.length === 0) &&
    // What is decoded can't be resumed, and what is cut is no whole stream.
    (!isReal(coding) || (faults.length === 0 && length !== 'until-close')) &&
    (redirect === 'none' || redirect === 'relative' || redirect === 'other-host') &&
    faults.length <= 3 &&
    faults.every(({ fault }) => passes(fault)) &&
    (isKnownBeforeWords(world, server) || faults.every(({ fault }) => fault.kind !== 'words')) &&
    changesAt === null &&
    // A body that ends with the connection can't be told from one that was cut.
    (length !== 'until-close' || faults.length === 0)
  )
}

/** Whether the first response said enough of the file to tell words that come later from it, to one process. */
function isKnownBeforeWords(world: WorldSpec, { redirect, faults, length, ranges }: ServerSpec): boolean {
  return (
    redirect === 'none' &&
    ranges === 'served' &&
    length === 'told' &&
    faults.every(({ request }) => request > 1) &&
    world.deaths.length === 0 &&
    world.calls.every(({ what }) => what !== 'restart')
  )
}

/** Few enough faults for the requests of a source, which are repeated less often. */
function isFairHub(hub: HubSpec | null): boolean {
  return hub === null || (hub.faults.length <= 2 && hub.faults.every(({ fault }) => passes(fault)))
}

/** Whether a server's name for a file is one that only a caller may choose: hidden, read by programs, or elsewhere. */
export function isRefusedName(disposition: string | null = null): boolean {
  return disposition !== null && /\.\.|"\.|package\.json|Makefile/.test(disposition)
}

/** Whether a file must be completed in the end, whatever happens on the way. */
export function isFair(world: WorldSpec, index: number): boolean {
  const file = world.files[index]
  return (
    file?.digest !== 'wrong' &&
    !isRefusedName(file?.disposition) &&
    file?.toldSize !== 'wrong' &&
    file?.servers.length === 1 &&
    file.servers.every((server) => isFairServer(world, server)) &&
    !file.servers.some(({ redirect }) => file.remote && redirect === 'forbidden') &&
    world.diskFaults.length === 0 &&
    world.rivalAtMs === null &&
    world.freeBytes === null &&
    (world.budget ?? null) === null &&
    isFairHub(world.hub ?? null) &&
    (world.outage === null || world.outage.forMs < 20_000) &&
    !world.calls.some(
      (call) => (world.isGroup || call.file === index) && call.what !== 'restart' && call.what !== 'limit',
    )
  )
}

/** Whether nothing at all goes wrong with the servers of a file, so that no byte is fetched twice for their sake. */
export function isFlawless(world: WorldSpec, index: number): boolean {
  return (
    isFair(world, index) &&
    world.outage === null &&
    world.calls.length === 0 &&
    world.files[index]?.servers.every(
      ({ faults, ranges, validator, length, coding = 'none', headMs = 0, label = 'usual' }) =>
        label === 'usual' &&
        faults.length === 0 &&
        ranges === 'served' &&
        validator === 'strong' &&
        length === 'told' &&
        coding === 'none' &&
        headMs === 0,
    ) === true
  )
}
