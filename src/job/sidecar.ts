/** A file of checksums that the caller named: it is read before the transfer of its file begins. */
import { asDownloadError } from '../disk/errors.js'
import { readRegularFile } from '../disk/atomic.js'
import type { DownloadRecord } from '../download/record.js'
import type { StopMode, TransferSpec } from '../engine/protocol.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { digestOfEntry, findChecksum, maxChecksumChars, parseChecksums } from '../sources/checksums.js'
import type { ChecksumEntry } from '../sources/metalink.js'
import type { Resolver } from '../sources/resolver.js'
import { decodeInTurn } from '../util/decode.js'
import { algorithmName, type ExpectedDigest } from '../util/digests.js'
import { FileJob } from './file-job.js'
import type { Refresh } from './fresh-address.js'
import type { Job, JobHost } from './job.js'

/** Starts the job of a download of one file, with the checksums that its caller named. */
export function startFileJob(host: JobHost, resolver: Resolver, spec: TransferSpec, refresh: Refresh): Job {
  const { checksums } = host.download.record
  if (checksums === undefined) return new FileJob(host, spec, refresh)
  return new SidecarJob({ host, resolver, spec, refresh }, checksums)
}

/** What a {@link SidecarJob} needs. */
interface SidecarInit {
  host: JobHost
  resolver: Resolver
  spec: TransferSpec
  refresh: Refresh
}

/** Reads the checksums, and then is the job of the file. */
class SidecarJob implements Job {
  readonly #aborted = new AbortController()
  #stopMode: StopMode | null = null
  #job: Job | null = null
  /** The limit, if it was changed before the job began. */
  #limit: { maxBytesPerSecond: number | null } | null = null

  constructor(init: SidecarInit, checksums: string) {
    void this.#run(init, checksums)
  }

  stop(mode: StopMode): void {
    this.#stopMode = mode
    this.#aborted.abort()
    this.#job?.stop(mode)
  }

  limit(maxBytesPerSecond: number | null): void {
    this.#limit = { maxBytesPerSecond }
    this.#job?.limit(maxBytesPerSecond)
  }

  async #run({ host, resolver, spec, refresh }: SidecarInit, checksums: string): Promise<void> {
    const { record } = host.download
    try {
      const isUrl = /^https?:/i.test(checksums)
      const given =
        spec.offline === true && isUrl
          ? remembered(spec)
          : withChecksum(
              spec,
              await this.#read(resolver, record, checksums),
              namesOf(spec, record),
              checksums,
            )
      if (this.#stopMode !== null) throw new DownloadError('CANCELED', 'The download was stopped.')
      this.#job = new FileJob(host, given, refresh)
      if (this.#limit !== null) this.#job.limit(this.#limit.maxBytesPerSecond)
    } catch (error) {
      const mode = this.#stopMode
      host.emit(
        mode === null
          ? { type: 'failed', error: asDownloadError(error).toJSON() }
          : { type: 'stopped', mode },
      )
    }
  }

  /** Reads the file of checksums. */
  async #read(
    resolver: Resolver,
    { remote }: Pick<DownloadRecord, 'remote'>,
    checksums: string,
  ): Promise<string> {
    try {
      if (/^https?:/i.test(checksums))
        return await resolver.fetchText(
          new URL(checksums),
          { remote, signal: this.#aborted.signal },
          maxChecksumChars,
        )
      const { data } = await readRegularFile(checksums, maxChecksumChars)
      return await decodeInTurn(data)
    } catch (error) {
      const { code, message, retryable, status } = asDownloadError(error)
      if (isDownloadError(error, 'CANCELED')) throw error
      const text = `The checksum file can't be read: ${message}`
      throw new DownloadError(code, text, {
        cause: error,
        retryable,
        ...(status === undefined ? {} : { status }),
      })
    }
  }
}

/** Names by which a file of checksums may list the file, the ones that say most first. */
function namesOf(
  { url, filename }: Pick<TransferSpec, 'url' | 'filename'>,
  record: Pick<DownloadRecord, 'url'>,
): string[] {
  const paths = [url, record.url].flatMap((address) => {
    try {
      const { pathname } = new URL(address)
      return [decodeURIComponent(pathname).replace(/^\/+/, '')]
    } catch {
      return []
    }
  })
  return [...paths, ...(filename === null ? [] : [filename])].filter((name) => /[^/]$/.test(name))
}

/** While the network must not be used, what the file of checksums said before still holds. */
function remembered(spec: TransferSpec): TransferSpec {
  const known = spec.known?.verification
  return known?.from === 'sidecar' ? withDigest(spec, known) : spec
}

/**
 * Adds what a file of checksums says about a file to the spec of its transfer. Pure.
 *
 * @throws DownloadError `CHECKSUM_MISSING` if it says nothing, or several things; `CHECKSUM_MISMATCH` if it contradicts
 * what is known already; `CONTENT_MISMATCH` if the size does.
 */
export function withChecksum(
  spec: TransferSpec,
  text: string,
  names: readonly string[],
  checksums: string,
): TransferSpec {
  const sidecar = lastSegment(checksums)
  const entries = parseChecksums(text, sidecar)
  const found = findChecksum(entries, { names, sidecar })
  const shown = lastSegment(names[0] ?? 'the file')
  if (found === 'contradictory')
    throw missing(`The checksum file has several different digests for ${shown}.`)
  if (entries.length === 0) throw missing('The checksum file has no digest in a form that is known.')
  const digest = found === null ? null : digestOfEntry(found)
  if (found === null || digest === null)
    throw missing(`The checksum file has no digest for ${shown}; it lists ${entries.length} other files.`)
  if (spec.size !== null && found.size !== null && spec.size !== found.size) {
    const message = `The checksum file names a file of ${found.size} bytes, but ${spec.size} are expected.`
    throw new DownloadError('CONTENT_MISMATCH', message)
  }
  return { ...withDigest(withAddresses(spec, found), { ...digest, from: 'sidecar' }), pieces: found.pieces }
}

/** Adds size and mirrors. Bytes of mirrors that an untrusted caller's file names are of no use to a trusted one. */
function withAddresses(spec: TransferSpec, { urls, size }: ChecksumEntry): TransferSpec {
  const usable = urls.filter((url) => URL.canParse(url))
  const all = [...new Set([...(spec.urls ?? []), ...usable])].slice(0, 32)
  const untrusted = spec.untrusted === true || (spec.remote !== null && usable.length > 0)
  return { ...spec, size: spec.size ?? size, urls: all, untrusted }
}

/** Adds a digest, unless it is known already. */
function withDigest(spec: TransferSpec, digest: ExpectedDigest): TransferSpec {
  const { sha256, digests = [] } = spec
  const known =
    digest.algorithm === 'sha256'
      ? sha256
      : digests.find(({ algorithm }) => algorithm === digest.algorithm)?.value
  if (known !== null && known !== undefined) {
    if (known === digest.value) return spec
    const message = `The checksum file says that the ${algorithmName(digest.algorithm)} is ${digest.value}, but ${known} is expected.`
    throw new DownloadError('CHECKSUM_MISMATCH', message)
  }
  if (digest.algorithm === 'sha256') return { ...spec, sha256: digest.value, sha256From: 'sidecar' }
  return { ...spec, digests: [...digests, digest] }
}

function missing(message: string): DownloadError {
  return new DownloadError('CHECKSUM_MISSING', message)
}

/** The last segment of a URL or of a path, without the query. */
function lastSegment(text: string): string {
  const path = /^https?:/i.test(text) ? text.replace(/[?#].*$/s, '') : text
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
}
