/** How the part file of a transfer is opened, and how it gets its name. */
import { stampOf } from '../disk/stamp.js'
import { defaultFileMode } from '../disk/system.js'
import type { PartPaths } from '../disk/part-paths.js'
import type { DownloadError } from '../errors.js'
import { type Identity, validatorOf } from './part/identity.js'
import type { Lease } from './part/lease.js'
import type { PartFile } from './part/part-file.js'
import type { PartInit } from './part/part-init.js'
import { journalUrl, type TransferResult, type TransferSpec } from './protocol.js'
import type { Target } from './target.js'
import type { Verified } from './verify.js'

/** What the part file of a transfer is opened with. */
export function partInitOf(
  spec: TransferSpec,
  paths: PartPaths,
  identity: Identity,
  lease: Lease | null,
): Omit<PartInit, 'resume'> {
  const { sha256, remote, untrusted = false } = spec
  return { paths, url: journalUrl(spec), sha256, identity, remote, untrusted, lease }
}

/** The published file, and the first refusal of the file system that did not matter. */
type Published = Omit<TransferResult, 'filename' | 'fetchedBytes'> & { refusal: DownloadError | null }

/** Gives a part that has been verified its name. See {@link PartFile.publish} for the errors. */
export async function publish(
  part: PartFile,
  { paths, existing }: Target,
  { size, spec, verified }: { size: number; spec: TransferSpec; verified: Verified },
): Promise<Published> {
  const { sha256, verification } = verified
  const mode = existing === null ? defaultFileMode() : existing.mode & 0o777
  const { refusal, ...stat } = await part.publish({ size, sha256, mode, replaces: existing !== null })
  return {
    path: paths.target,
    size,
    sha256,
    verification,
    existed: false,
    adoptedFrom: null,
    stamp: stampOf({ size, ...stat }, sha256, verification),
    ...validatorOf(spec, part.identity),
    refusal,
  }
}
