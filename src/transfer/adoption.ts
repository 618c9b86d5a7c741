/** Whether the file is there already: under its name, or in another program's cache. */
import { adoptFile, type AdoptedBy } from '../layouts/adopt.js'
import { defaultFileMode } from '../files/umask.js'
import type { HashService } from './hasher.js'
import type { TransferEvent, TransferSpec } from './protocol.js'
import type { Share } from './shares.js'
import { checkExisting, hashFile, stampOf, type ExistingVerdict, type Target } from './target.js'

const ways: Readonly<Record<AdoptedBy, string>> = {
  reflink: 'its blocks are shared until one of them changes',
  link: 'as a hard link',
  copy: 'as a copy',
}

/** What lies under the name is looked at first; then the caches, when the digest is known and the caller allows it. */
export async function findFile(
  target: Target,
  spec: TransferSpec,
  { hashes, share: common }: { hashes: HashService; share: Pick<Share, 'index'> },
  aborted: AbortSignal,
  emit: (event: TransferEvent) => void,
): Promise<ExistingVerdict> {
  const existing = await checkExisting(target, spec, hashes, aborted)
  const { adopt = null, sha256, size, force } = spec
  if (existing.kind === 'right' || adopt === null || sha256 === null || force || !target.isWritable)
    return existing
  const { filename, repository, caches, share } = adopt
  const adopted = await adoptFile({
    wanted: { sha256, size, filename, repository },
    caches: common.index(caches),
    target: target.paths.target,
    temporary: target.paths.adopted,
    mode: target.existing === null ? defaultFileMode() : target.existing.mode & 0o777,
    share,
    hash: (path, bytes) => hashFile(path, bytes, hashes, aborted),
    signal: aborted,
    onRefused: ({ cache }, reason) => {
      emit({ type: 'log', level: 'warn', message: `A file of the ${cache} cache ${reason}; not using it.` })
    },
  })
  if (adopted === null) return existing
  const { from, cache, by, stats } = adopted
  emit({
    type: 'log',
    level: 'info',
    message: `Taken from the ${cache} cache, ${ways[by]}; nothing to fetch.`,
  })
  return {
    kind: 'right',
    size: stats.size,
    sha256,
    verified: true,
    stamp: stampOf(stats, sha256),
    adoptedFrom: from,
  }
}
