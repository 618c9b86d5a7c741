/**
 * What the JavaScript runtime can do, decided in one place from a few facts. Everything else asks {@link runtime} for an
 * ability, and never for a name.
 */
import { DownloadError } from '../errors.js'

/** What is known about a runtime before anything is tried. */
export interface RuntimeFacts {
  /** `process.versions`, which names every runtime that imitates Node, too. */
  versions: Readonly<Record<string, string | undefined>>
  /** `navigator.userAgent`, by which platforms without a disk identify themselves. */
  userAgent?: string | undefined
  /** Whether the global `EdgeRuntime` exists. */
  isEdge?: boolean | undefined
}

/** What runs this code. */
export interface Runtime {
  readonly name: 'Node' | 'Bun' | 'Deno' | 'Electron' | 'an edge runtime' | 'an unknown runtime'
  /** Version of {@link name}; empty when it has none. */
  readonly version: string
  /** Why nothing can be downloaded here, with what to do about it; null when it can. */
  readonly refusal: string | null
  /** Whether a descriptor that one thread opened may be used by another one. */
  readonly sharesDescriptors: boolean
  /** Whether sockets read into buffers of ours, and call `onread.callback` as Node documents it. */
  readonly readsIntoBuffers: boolean
  /** Whether such a socket can also be paused and resumed. */
  readonly pausesReads: boolean
  /** Whether files of the package may be in an archive that programs see as a folder. */
  readonly hasArchives: boolean
  /** How often a response that has nothing to say sends something all the same, so that no server ends it, in milliseconds. */
  readonly aliveMs: number
}

/** Proxies give up on a connection after half a minute at the earliest. */
const usualAliveMs = 15_000

/** `Bun.serve` ends responses after ten seconds of silence, unless its `idleTimeout` is set. */
const bunAliveMs = 6_000

/** The oldest versions that can run this package. That of Node is also in `package.json`. */
export const oldestVersions = { Node: '20.19.0', Bun: '1.4.0', Deno: '2.8.0' } as const

/** Decides what a runtime can do. Pure. */
export function runtimeOf({ versions, userAgent, isEdge }: RuntimeFacts): Runtime {
  const { bun, deno, electron, node } = versions
  if (isEdge === true || userAgent === 'Cloudflare-Workers')
    return withoutDisk('an edge runtime', 'which has no disk. Run it on a server with Node, Bun or Deno')
  if (bun !== undefined)
    return {
      ...imitation('Bun', bun),
      sharesDescriptors: true,
      readsIntoBuffers: false,
      pausesReads: false,
      aliveMs: bunAliveMs,
    }
  if (deno !== undefined)
    return {
      ...imitation('Deno', deno),
      sharesDescriptors: false,
      readsIntoBuffers: true,
      pausesReads: false,
      aliveMs: usualAliveMs,
    }
  if (node === undefined)
    return withoutDisk('an unknown runtime', 'which may have no files. Run it with Node, Bun or Deno')
  const oldNode = isOlder(node, oldestVersions.Node)
    ? tooOld(electron === undefined ? `Node ${node}` : `Electron ${electron} with Node ${node}`, 'Node')
    : null
  return {
    name: electron === undefined ? 'Node' : 'Electron',
    version: electron ?? node,
    refusal: oldNode,
    sharesDescriptors: true,
    readsIntoBuffers: true,
    pausesReads: true,
    hasArchives: electron !== undefined,
    aliveMs: usualAliveMs,
  }
}

function imitation(
  name: 'Bun' | 'Deno',
  version: string,
): Pick<Runtime, 'name' | 'version' | 'refusal' | 'hasArchives'> {
  const isOld = isOlder(version, oldestVersions[name])
  return { name, version, refusal: isOld ? tooOld(`${name} ${version}`, name) : null, hasArchives: false }
}

function tooOld(found: string, name: keyof typeof oldestVersions): string {
  return `model-downloader needs ${name} ${oldestVersions[name]} or newer, and this is ${found}. Update it.`
}

function withoutDisk(name: Runtime['name'], why: string): Runtime {
  return {
    name,
    version: '',
    refusal: `model-downloader can't run in ${name}, ${why}; model-downloader/client works everywhere.`,
    sharesDescriptors: false,
    readsIntoBuffers: false,
    pausesReads: false,
    hasArchives: false,
    aliveMs: usualAliveMs,
  }
}

/**
 * Refuses a runtime in which nothing can work.
 *
 * @throws DownloadError `UNSUPPORTED_RUNTIME`.
 */
export function requireRuntime({ refusal }: Runtime): void {
  if (refusal !== null) throw new DownloadError('UNSUPPORTED_RUNTIME', refusal)
}

/**
 * The error for what Deno does not permit, since the program was started without a flag; null for any other failure. Its
 * own message may name a path, which remote callers must not see.
 */
export function deniedByRuntime(error: unknown): DownloadError | null {
  if (!(error instanceof Error) || error.name !== 'NotCapable') return null
  const flag = /--allow-[a-z-]+/.exec(error.message)?.[0] ?? '--allow-all'
  const message = `The program was started without a permission that this takes; start it with ${flag}.`
  return new DownloadError('PERMISSION', message, { cause: error })
}

/** Compares versions by their numbers. A preview counts as the version that it precedes. */
function isOlder(version: string, oldest: string): boolean {
  const found = numbersOf(version)
  for (const [index, wanted] of numbersOf(oldest).entries()) {
    const number = found[index] ?? 0
    if (number !== wanted) return number < wanted
  }
  return false
}

function numbersOf(version: string): number[] {
  return (version.split(/[-+]/)[0] ?? '').split('.').map((part) => Number.parseInt(part, 10) || 0)
}

/** What runs this process. */
export const runtime: Runtime = runtimeOf(factsOf(globalThis))

function factsOf(globals: object): RuntimeFacts {
  // Any of them may be missing where this package was bundled for something else than a server.
  const { process, navigator, EdgeRuntime } = globals as {
    process?: { versions?: RuntimeFacts['versions'] }
    navigator?: { userAgent?: string }
    EdgeRuntime?: unknown
  }
  return {
    versions: process?.versions ?? {},
    userAgent: navigator?.userAgent,
    isEdge: EdgeRuntime !== undefined,
  }
}
