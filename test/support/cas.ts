/**
 * An imitation of the Xet store of the Hugging Face hub: an origin that answers with plans, and an edge that serves the
 * parts of xorbs that links were signed for. Chunks and hashes are those of the official library, and the official client
 * reads the same files from it.
 *
 * @example
 * await using cas = await startCas()
 * cas.add(randomContent(4_000_000))
 * hub.cas = cas
 */
import { createHmac } from 'node:crypto'
import { fileHash, getChunks, hashToHex, xorbHash } from '@huggingface/xetchunk-wasm'
import { bufferContent, type Content, textContent } from './content.js'
import { startOrigin, type Origin, type OriginRequest, type Resource } from './origin.js'
import { packChunk } from './xet-pack.js'

/** Chunks in the order in which they are stored together. */
interface Xorb {
  content: Content
  /** Where each chunk begins; the last entry is the end. */
  offsets: readonly number[]
  /** Length of each chunk, unpacked. */
  lengths: readonly number[]
}

/** Where a chunk of a file is. */
interface Place {
  xorb: string
  index: number
  length: number
}

/** A run of chunks. */
interface Run {
  start: number
  end: number
}

/** How a file is stored. */
export interface CasOptions {
  /** How the chunks are packed, in turn. Default: not at all, LZ4, and grouped. */
  schemes?: readonly number[]
  /** How many chunks a xorb has at most. Default: 1,000. */
  chunksPerXorb?: number
  /** Changes the packed chunk that is stored. */
  spoil?: (packed: Buffer, index: number) => Buffer
}

/** A token, and what it is for. */
interface Issued {
  secret: number
}

/** An imitation of the Xet store. */
export class Cas implements AsyncDisposable {
  /** Answers with plans. */
  readonly origin: Origin
  /** Serves parts of xorbs. */
  readonly edge: Origin
  /** Versions of plans that it knows. */
  versions: readonly ('v1' | 'v2')[] = ['v1', 'v2']
  /** Merged into all plans. */
  planBehaviour: Partial<Resource> = {}
  /** Merged into all parts of xorbs. */
  edgeBehaviour: Partial<Resource> = {}
  /** Changes what a plan says. */
  spoilPlan: (plan: Plan) => unknown = (plan) => plan
  /** How long tokens are valid, in seconds. */
  tokenSeconds = 600
  readonly #xorbs = new Map<string, Xorb>()
  readonly #files = new Map<string, readonly Place[]>()
  readonly #hashes = new Map<string, string>()
  readonly #chunks = new Map<string, Place>()
  readonly #tokens = new Map<string, Issued>()
  #tokenSecret = 1
  #linkSecret = 1
  #issued = 0

  constructor(origin: Origin, edge: Origin) {
    this.origin = origin
    this.edge = edge
    origin.serve('*', (request) => this.#plan(request))
    edge.serve('*', (request) => this.#part(request))
  }

  /** The address of the store, without a trailing slash. */
  get url(): string {
    return this.origin.origin
  }

  /** Stores a file, with chunks that it shares with others only once, and returns its hash. */
  add(content: Content, { schemes = [0, 1, 2], chunksPerXorb = 1_000, spoil }: CasOptions = {}): string {
    const data = content.slice(0, content.size)
    const places: (Place | { hash: Uint8Array; data: Buffer })[] = []
    let at = 0
    const chunks = getChunks(data)
    const pending = new Map<string, number[]>()
    for (const { hash, length } of chunks) {
      const key = hashToHex(hash)
      const known = this.#chunks.get(key)
      if (known === undefined) {
        pending.set(key, [...(pending.get(key) ?? []), places.length])
        places.push({ hash, data: data.subarray(at, at + length) })
      } else places.push(known)
      at += length
    }
    const fresh = [...pending]
    for (let from = 0; from < fresh.length; from += chunksPerXorb) {
      const group = fresh.slice(from, from + chunksPerXorb).flatMap(([key, indexes]) => {
        const place = places[indexes[0] ?? 0]
        return place !== undefined && 'data' in place
          ? [{ key, indexes, hash: place.hash, data: place.data }]
          : []
      })
      const packed = group.map((chunk, index) => {
        const bytes = packChunk(schemes[index % schemes.length] ?? 0, chunk.data)
        return spoil?.(bytes, from + index) ?? bytes
      })
      const xorb = hashToHex(
        xorbHash(group.map((chunk) => ({ hash: chunk.hash, length: chunk.data.length }))),
      )
      const offsets = [0]
      for (const { length } of packed) offsets.push((offsets.at(-1) ?? 0) + length)
      const lengths = group.map((chunk) => chunk.data.length)
      this.#xorbs.set(xorb, { content: bufferContent(Buffer.concat(packed)), offsets, lengths })
      for (const [index, { key, indexes, data: raw }] of group.entries()) {
        const place = { xorb, index, length: raw.length }
        this.#chunks.set(key, place)
        for (const each of indexes) places[each] = place
      }
    }
    const hash = hashToHex(fileHash(chunks))
    this.#files.set(
      hash,
      places.flatMap((place) => ('xorb' in place ? [place] : [])),
    )
    this.#hashes.set(content.label, hash)
    return hash
  }

  /** Size of all that is stored, in bytes; what files have in common counts once. */
  get storedBytes(): number {
    return [...this.#xorbs.values()].reduce((sum, { content }) => sum + content.size, 0)
  }

  /** The hash of a stored file; undefined for others. */
  hashOf(content: Content): string | undefined {
    return this.#hashes.get(content.label)
  }

  /** Issues a token, as the hub does. */
  token(): { accessToken: string; exp: number; casUrl: string } {
    this.#issued += 1
    const accessToken = `xet-token-${this.#issued}`
    this.#tokens.set(accessToken, { secret: this.#tokenSecret })
    return { accessToken, exp: Math.floor(Date.now() / 1_000) + this.tokenSeconds, casUrl: this.url }
  }

  /** How many tokens have been issued. */
  get issued(): number {
    return this.#issued
  }

  /** Expires all tokens. The store refuses them with 401. */
  expireTokens(): void {
    this.#tokenSecret += 1
  }

  /** Expires all links that were signed so far. The edge refuses them with 403. */
  expireLinks(): void {
    this.#linkSecret += 1
  }

  /** Stops both origins. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.origin.close(), this.edge.close()])
  }

  // ---- plans

  #plan(request: OriginRequest): Resource {
    const [, version = '', , hash = ''] = request.path.split('/')
    const places = this.#files.get(hash)
    const isKnown = (this.versions as readonly string[]).includes(version)
    if (!isKnown || places === undefined)
      return { status: 404, content: textContent('{"error":"not found"}') }
    const token = request.headers['authorization']?.replace(/^Bearer /, '')
    if (this.#tokens.get(token ?? '')?.secret !== this.#tokenSecret)
      return { status: 401, content: textContent('{"error":"unauthorized"}') }
    const size = places.reduce((sum, { length }) => sum + length, 0)
    const start = request.range?.start ?? 0
    const end = Math.min(size, (request.range?.end ?? size - 1) + 1)
    if (start >= size) return { status: 416, content: textContent('{"error":"range"}') }
    const plan = this.#planOf(places, start, end, version === 'v2')
    return {
      content: textContent(JSON.stringify(this.spoilPlan(plan))),
      contentType: 'application/json',
      ranges: false,
      etag: null,
      ...this.planBehaviour,
    }
  }

  #planOf(places: readonly Place[], start: number, end: number, isModern: boolean): Plan {
    const terms: PlanTerm[] = []
    let at = 0
    let skip = 0
    for (const { xorb, index, length } of places) {
      const from = at
      at += length
      if (at <= start || from >= end) continue
      if (terms.length === 0) skip = start - from
      const last = terms.at(-1)
      if (last?.hash === xorb && last.range.end === index) {
        last.range.end += 1
        last.unpacked_length += length
      } else terms.push({ hash: xorb, unpacked_length: length, range: { start: index, end: index + 1 } })
    }
    const runs = new Map<string, Run[]>()
    for (const { hash, range } of terms) runs.set(hash, merged([...(runs.get(hash) ?? []), { ...range }]))
    const plan: Plan = { offset_into_first_range: skip, terms }
    if (isModern) {
      plan.xorbs = Object.fromEntries(
        [...runs].map(([hash, list]) => {
          const ranges = list.map((chunks) => ({ chunks, bytes: this.#bytesOf(hash, chunks) }))
          return [
            hash,
            [
              {
                url: this.#sign(
                  hash,
                  ranges.map(({ bytes }) => bytes),
                ),
                ranges,
              },
            ],
          ]
        }),
      )
    } else {
      plan.fetch_info = Object.fromEntries(
        [...runs].map(([hash, list]) => [
          hash,
          list.map((range) => {
            const bytes = this.#bytesOf(hash, range)
            return { range, url: this.#sign(hash, [bytes]), url_range: bytes }
          }),
        ]),
      )
    }
    return plan
  }

  #bytesOf(hash: string, { start, end }: Run): Run {
    const offsets = this.#xorbs.get(hash)?.offsets ?? []
    return { start: offsets[start] ?? 0, end: (offsets[end] ?? 1) - 1 }
  }

  // ---- parts of xorbs

  #sign(hash: string, ranges: readonly Run[]): string {
    const signed = ranges.map(({ start, end }) => `${start}-${end}`).join(',')
    const signature = this.#signature(hash, signed)
    return `${this.edge.url(`/xorbs/${hash}`)}?X-Xet-Signed-Range=${signed}&Signature=${signature}`
  }

  #signature(hash: string, signed: string): string {
    return createHmac('sha256', String(this.#linkSecret)).update(`${hash} ${signed}`).digest('hex')
  }

  #isSigned({ path, query, range }: OriginRequest): boolean {
    const signed = query.get('X-Xet-Signed-Range') ?? ''
    const asked = `${range?.start ?? ''}-${range?.end ?? ''}`
    return (
      query.get('Signature') === this.#signature(path.slice('/xorbs/'.length), signed) &&
      signed.split(',').includes(asked)
    )
  }

  #part(request: OriginRequest): Resource {
    const xorb = this.#xorbs.get(request.path.slice('/xorbs/'.length))
    if (xorb === undefined || !this.#isSigned(request))
      return { status: 403, content: textContent('<Error><Code>AccessDenied</Code></Error>\nsecond line') }
    return { content: xorb.content, lastModified: null, ...this.edgeBehaviour }
  }
}

/** A term as a plan writes it. */
export interface PlanTerm {
  hash: string
  unpacked_length: number
  range: Run
}

/** A plan as it is sent. */
export interface Plan {
  offset_into_first_range: number
  terms: PlanTerm[]
  xorbs?: Record<string, { url: string; ranges: { chunks: Run; bytes: Run }[] }[]>
  fetch_info?: Record<string, { range: Run; url: string; url_range: Run }[]>
}

/** Joins runs that overlap or touch. */
function merged(runs: Run[]): Run[] {
  const result: Run[] = []
  for (const run of runs.sort((a, b) => a.start - b.start)) {
    const last = result.at(-1)
    if (last !== undefined && run.start <= last.end) last.end = Math.max(last.end, run.end)
    else result.push({ ...run })
  }
  return result
}

/** Starts a {@link Cas}. */
export async function startCas(): Promise<Cas> {
  const [origin, edge] = await Promise.all([startOrigin(), startOrigin()])
  return new Cas(origin, edge)
}
