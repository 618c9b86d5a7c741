/** The files of a world: their contents, their servers, and what may be found under their names. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import type { DownloadOptions } from '../../src/download/options.js'
import type { Disk } from './disk.js'
import { Random } from './random.js'
import { FileServer, type Version } from './server.js'
import type { FileSpec } from './spec.js'
import type { World } from './world.js'

/** Where all files of a world go to. */
export const directory = '/models'

/** What a download of several files is called. */
export const groupRef = 'sim:group'

const repository = 'models--owner--name'

const commit = 'c'.repeat(40)

/** The cache of another program. */
const hub = '/home/.cache/huggingface/hub'

/** What a source says of a file that is stored in a cache. */
export const cacheIdentity = {
  revision: commit,
  repository: { type: 'models', name: 'owner/name', revision: 'main' },
} as const

/** An address that strangers must not reach. */
export const forbiddenAddress = '10.0.0.5'

/** One file of a world, with all that is known of it from outside. */
export interface SimFile {
  readonly index: number
  readonly spec: FileSpec
  readonly name: string
  /** What the server tells decides it, where the caller does not; it is known when the file has got its name. */
  target: string
  /** The path that users open; the same, except in a cache. */
  shown: string
  readonly url: string
  readonly urls: readonly string[]
  readonly versions: Version[]
  readonly old: Buffer | null
  /** Bodies that were sent without a range and are not the file. */
  readonly aliens: Buffer[]
  readonly servers: FileServer[]
  /** The digest that the caller gives, and the content that has it. */
  readonly digest: string | null
}

/** Makes a file's contents, its servers, and the old file where there is one. */
export function prepareFile(world: World, spec: FileSpec, index: number): SimFile {
  const name = `file${index}.bin`
  const versions = [1, 2].map((number) => ({
    number,
    content: contentOf(world.spec.seed + index, number, spec.size),
  }))
  const old = spec.existing ? contentOf(world.spec.seed + index, 9, spec.size + 7) : null
  const { isGroup, inCache = false, adopts = false } = world.spec
  const digest =
    spec.digest === 'unknown'
      ? null
      : sha256(spec.digest === 'known' ? contentOfLast(spec, versions) : Buffer.from('x'))
  const shown = path.join(
    directory,
    ...(inCache ? [repository, 'snapshots', commit] : isGroup ? ['group'] : []),
    name,
  )
  const target = inCache ? path.join(directory, repository, 'blobs', digest ?? '') : shown
  const hosts = spec.servers.map((_, mirror) => `m${mirror}.file${index}.test`)
  const aliens: Buffer[] = []
  const servers = spec.servers.map((server, mirror) => {
    const host = hosts[mirror] ?? ''
    const other = server.redirect === 'forbidden' ? `inside.${host}` : `cdn.${host}`
    const made = new FileServer({
      host,
      address: `93.184.${index}.${mirror + 10}`,
      spec: server,
      world: {
        version: (number) => versions[number - 1] ?? { number, content: Buffer.alloc(0) },
        get isCalm() {
          return world.isCalm
        },
        serveAlien: (content) => aliens.push(content),
        admits: (request) =>
          world.hub === null || mirror > 0 || request.host !== host || world.hub.admits(request),
        violate: (sentence) => {
          world.violate(sentence)
        },
      },
      random: world.random.fork(),
      redirectTo: other,
      disposition: spec.disposition ?? null,
    })
    world.network.listen(host, made)
    world.network.listen(other, {
      address: server.redirect === 'forbidden' ? forbiddenAddress : `93.184.${index}.${mirror + 100}`,
      accept: (number) => made.accept(number),
      respond: (request) => made.respond(request),
      released: () => {
        made.released()
      },
    })
    return made
  })
  const isTold = (spec.disposition ?? null) !== null
  const urls = hosts.map((host) => `http://${host}/${isTold ? '' : name}`)
  if (old !== null) putOld(world.disk, target, old)
  if (adopts)
    putOld(world.disk, path.join(hub, repository, 'blobs', digest ?? ''), contentOfLast(spec, versions))
  return {
    index,
    spec,
    name,
    target,
    shown,
    url: isGroup ? groupRef : (urls[0] ?? ''),
    urls,
    versions,
    old,
    aliens,
    servers,
    digest,
  }
}

function putOld(disk: Disk, target: string, content: Buffer): void {
  disk.mkdir(path.dirname(target), true, 0o755)
  const inode = disk.open(target, 0o101, 0o644)
  disk.write(inode, content, 0)
  disk.sync(inode)
  for (let folder = path.dirname(target); ; folder = path.dirname(folder)) {
    disk.sync(disk.lookup(folder, 'open'))
    if (folder === '/') break
  }
}

/** What the caller of a file asks for. */
export function optionsOf(world: World, file: SimFile): DownloadOptions {
  const { spec } = file
  const { isGroup } = world.spec
  const stranger = isGroup ? world.files.some((each) => each.spec.remote) : spec.remote
  const remote = stranger ? { remote: { allowPrivateNetwork: false, allowedHosts: [] } } : {}
  const force = spec.force && !world.isCalm
  const layout = world.spec.inCache === true ? ({ layout: 'hf-cache' } as const) : { mode: null }
  if (isGroup) return { url: groupRef, force, ...layout, ...remote }
  return {
    url: file.url,
    urls: file.urls,
    spread: spec.spread,
    mode: null,
    force,
    ...(file.digest === null ? {} : { sha256: file.digest }),
    ...(spec.toldSize === 'unknown' ? {} : { size: toldSizeOf(spec) }),
    ...remote,
  }
}

/** Names that programs look for where they are started, or that a listing hides. */
const harmful =
  /^\.|^(?:package\.json|makefile|dockerfile|sitecustomize\.py)$|[\p{Cc}\p{Bidi_C}/\\:*?"<>|]|[. ]$|\.part$|^con$/iu

/** A file whose name a server has told has got it: the name must lead nowhere else, and mean nothing to anybody. */
export function takeTold(world: World, file: SimFile, to: string): void {
  // Records, and what a part has beside it.
  if (
    to.startsWith(path.join(directory, '.model-downloader/')) ||
    /\.part(?:\.adopt|\.(?:json|live|lock))?$/.test(to)
  )
    return
  world.note(`named ${to}`)
  const name = path.basename(to)
  if (path.dirname(to) !== directory) world.violate(`a server has put its file into ${path.dirname(to)}`)
  if (harmful.test(name) || Buffer.byteLength(name) > 255)
    world.violate(`a server has called its file ${JSON.stringify(name)}`)
  file.target = to
  file.shown = to
}

/** Checks what a final name has: nothing, the old file, or one whole version. */
export function checkTarget(world: World, file: SimFile, when: string, mustExist: boolean): void {
  const inode = world.disk.find(file.target)
  if (inode === null) {
    if (mustExist) world.violate(`${when} ${file.name} does not exist`)
    return
  }
  const content = inode.data.subarray(0, inode.size)
  if (file.old?.equals(content) === true && when !== 'at its rename') return
  if (file.digest !== null) {
    if (sha256(content) !== file.digest) world.violate(`${when} ${file.name} does not have its digest`)
    return
  }
  const known = file.spec.toldSize === 'right'
  const whole = [...file.versions.map((version) => version.content), ...(known ? [] : file.aliens)]
  if (!whole.some((version) => version.equals(content)))
    world.violate(
      `${when} ${file.name} is not one whole version: ${content.length} of ${file.spec.size} bytes`,
    )
}

const pageBytes = 4096

/** Bytes that are the same nowhere else: random ones, and in each page its number. */
function contentOf(seed: number, version: number, size: number): Buffer {
  const page = new Random(seed * 31 + version).bytes(pageBytes)
  const content = Buffer.alloc(size, page)
  for (let at = 0; at + 4 <= size; at += pageBytes) content.writeUInt32LE(at / pageBytes, at)
  return content
}

/** The size that a caller or a source states. */
export function toldSizeOf({ toldSize, size }: FileSpec): number {
  return toldSize === 'right' ? size : size + 1
}

/** The version that the servers have in the end. */
function contentOfLast(spec: FileSpec, versions: readonly Version[]): Buffer {
  const last = spec.servers.some(({ changesAt }) => changesAt !== null) ? 2 : 1
  return versions[last - 1]?.content ?? Buffer.alloc(0)
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
