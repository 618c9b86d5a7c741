/** What is left of an earlier run of a group when its source has been asked again. Pure. */
import type { ResolvedFile } from '../sources/source.js'
import type { GroupFileRecord, GroupRecord } from '../store/store.js'
import type { GroupFileInit } from './files.js'
import type { PlannedFile } from './plan.js'

/** What a group begins with. */
export interface Merged {
  revision: string | null
  files: GroupFileInit[]
  /** Files of the earlier run that the source has no more, or has in another version. */
  outdated: GroupFileRecord[]
}

/** The revision that all files are bound to; null when there is none, or more than one. */
export function commonRevision(files: readonly ResolvedFile[]): string | null {
  const first = files[0]?.revision ?? null
  return files.every(({ revision }) => (revision ?? null) === first) ? first : null
}

/**
 * Lays what is remembered beside what the source says now. A file that is there stays so only when it is of the same
 * revision, or has the same digest: files of two revisions are never mixed.
 */
export function merge(planned: readonly PlannedFile[], known: GroupRecord | null): Merged {
  const revision = commonRevision(planned.map(({ file }) => file))
  const same = known !== null && revision === known.revision
  const byPath = new Map(known?.files.map((file) => [file.path, file]))
  const outdated: GroupFileRecord[] = []
  const files = planned.map(({ path, file }) => {
    const { size, sha256 } = file
    const fresh: GroupFileInit = { path, size, sha256 }
    const old = byPath.get(path)
    byPath.delete(path)
    // Nothing but the revision tells whether what may lie there is another file.
    const doubtful = { ...fresh, stale: true as const }
    if (old === undefined) return sha256 === undefined && file.revision !== undefined ? doubtful : fresh
    if (isSame(old, file, same)) {
      const { done, stamp, fetched, stale, downloaded } = old
      return { ...fresh, done, stamp, fetched, stale, downloaded }
    }
    outdated.push(old)
    return { ...(sha256 === undefined ? doubtful : fresh), fetched: old.fetched }
  })
  return { revision, files, outdated: [...outdated, ...byPath.values()] }
}

/** Whether a remembered file is still what the source means. */
function isSame(old: GroupFileRecord, { size, sha256 }: ResolvedFile, sameRevision: boolean): boolean {
  if (old.sha256 !== undefined && sha256 !== undefined) return old.sha256 === sha256
  const sameSize = old.size === undefined || size === undefined || old.size === size
  return sameSize && sameRevision
}
