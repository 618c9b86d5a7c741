/** Whether what was downloaded is still what its source has. Pure. */

/** A file as it was downloaded. */
export interface KnownFile {
  /** Path in the group, with slashes. */
  filename: string
  size: number | null
  sha256: string | null
  gitOid: string | null
}

/** What is known of a finished download. */
export interface KnownFiles {
  revision: string | null
  files: readonly KnownFile[]
}

/** A file that is different at the source. */
export interface UpstreamChange {
  /** Path in the group, with slashes; of a single file, its name at the source. */
  filename: string
  /** What has happened to it at the source. */
  change: 'added' | 'changed' | 'removed'
  /** Size at the source in bytes; null if unknown, or if it is there no more. */
  size: number | null
}

/** What a comparison tells. */
export interface Comparison {
  /**
   * - `current`: the source has the same files, though it may have another revision.
   * - `outdated`: the source has other files.
   * - `unknown`: nothing tells.
   */
  status: 'current' | 'outdated' | 'unknown'
  /** What tells it; null if nothing does. */
  by: 'revision' | 'digest' | 'validator' | 'size' | null
  /** What is different, in the order of the source. */
  changes: UpstreamChange[]
}

/** Compares a finished download with what its source lists now. */
export function compareFiles(known: KnownFiles, listed: KnownFiles): Comparison {
  const isSameRevision = known.revision !== null && known.revision === listed.revision
  const [only, ...more] = known.files
  const [newOnly, ...newMore] = listed.files
  // A single file may have another name on disk than at its source.
  const isSingle = more.length === 0 && newMore.length === 0 && only !== undefined && newOnly !== undefined
  const rest = new Map(known.files.map((file) => [file.filename, file]))
  const verdicts = listed.files.map((file) => {
    const old = isSingle ? only : rest.get(file.filename)
    rest.delete(old?.filename ?? '')
    return { file, verdict: old === undefined ? null : compareFile(old, file, isSameRevision) }
  })
  const changes = verdicts.flatMap(({ file: { filename, size }, verdict }): UpstreamChange[] => {
    if (verdict === null) return [{ filename, change: 'added', size }]
    return verdict.isSame === false ? [{ filename, change: 'changed', size }] : []
  })
  for (const { filename } of rest.values()) changes.push({ filename, change: 'removed', size: null })
  if (changes.length > 0) {
    const reasons = verdicts.flatMap(({ verdict }) => (verdict?.isSame === false ? [verdict.by] : []))
    return { status: 'outdated', by: reasons[0] ?? 'digest', changes }
  }
  if (isSameRevision) return { status: 'current', by: 'revision', changes }
  const isClear = verdicts.every(({ verdict }) => verdict?.isSame === true)
  return isClear ? { status: 'current', by: 'digest', changes } : { status: 'unknown', by: null, changes }
}

function compareFile(
  old: KnownFile,
  now: KnownFile,
  isSameRevision: boolean,
): { isSame: boolean | null; by: 'digest' | 'size' } {
  if (isSameRevision) return { isSame: true, by: 'digest' }
  if (old.sha256 !== null && now.sha256 !== null) return { isSame: old.sha256 === now.sha256, by: 'digest' }
  if (old.gitOid !== null && now.gitOid !== null) return { isSame: old.gitOid === now.gitOid, by: 'digest' }
  const differs = old.size !== null && now.size !== null && old.size !== now.size
  return { isSame: differs ? false : null, by: 'size' }
}

/** What a server says of a file. */
export interface StatedVersion {
  etag: string | null
  lastModified: string | null
  size: number | null
}

/** Compares a finished download of a plain URL with what its server says now. */
export function compareVersion(
  known: { validator: { etag: string | null; lastModified: string | null } | null; size: number | null },
  now: StatedVersion,
  filename: string,
): Comparison {
  const same = (by: Comparison['by']): Comparison => ({ status: 'current', by, changes: [] })
  const differs = (by: Comparison['by']): Comparison => ({
    status: 'outdated',
    by,
    changes: [{ filename, change: 'changed', size: now.size }],
  })
  if (known.size !== null && now.size !== null && known.size !== now.size) return differs('size')
  const { etag = null, lastModified = null } = known.validator ?? {}
  // Whether a tag is weak does not matter here (RFC 9110 section 8.8.3.2).
  if (etag !== null && now.etag !== null)
    return opaque(etag) === opaque(now.etag) ? same('validator') : differs('validator')
  if (lastModified !== null && now.lastModified !== null)
    return lastModified === now.lastModified ? same('validator') : differs('validator')
  return { status: 'unknown', by: null, changes: [] }
}

function opaque(etag: string): string {
  return etag.replace(/^W\//, '')
}
