/** Which version of a file it is: size and validators. Pure. */

/** What tells one version of a file from another. */
export interface Identity {
  /** Bytes in all; null while unknown. */
  total: number | null
  /** Entity tag as sent, quotes and `W/` included; null when there is none. */
  etag: string | null
  /** `Last-Modified` as sent; null when there is none. */
  lastModified: string | null
  /** Whether `lastModified` is a strong validator (RFC 9110 section 8.8.2.2). */
  lastModifiedStrong: boolean
}

/** The strong entity tag, or null. */
export function strongEtag(identity: Identity): string | null {
  return identity.etag !== null && !identity.etag.startsWith('W/') ? identity.etag : null
}

/** Whether two ranges of such a file can be told to be of one version by the validators alone. */
export function hasStrongValidator(identity: Identity): boolean {
  return strongEtag(identity) !== null || (identity.lastModified !== null && identity.lastModifiedStrong)
}

/** What goes into `If-Range`, or null when there is no strong validator. */
export function ifRangeOf(identity: Identity): string | null {
  return strongEtag(identity) ?? (identity.lastModifiedStrong ? identity.lastModified : null)
}

/**
 * Whether a response is of the known version.
 *
 * `unsure`: nothing speaks against it, but no strong validator speaks for it either.
 */
export function compareIdentity(
  known: Identity,
  seen: Identity,
  digestKnown: boolean,
): 'same' | 'changed' | 'unsure' {
  if (known.total !== null && seen.total !== null && known.total !== seen.total) return 'changed'
  if (digestKnown) return 'same'
  const knownTag = strongEtag(known)
  const seenTag = strongEtag(seen)
  if (knownTag !== null && seenTag !== null) return knownTag === seenTag ? 'same' : 'changed'
  if (known.lastModified !== null && seen.lastModified !== null) {
    if (known.lastModified !== seen.lastModified) return 'changed'
    if (known.lastModifiedStrong && seen.lastModifiedStrong) return 'same'
  }
  return 'unsure'
}

/** What of an identity holds at every address of a file: validators are each server's own. */
export function sizeOnly({ total }: Pick<Identity, 'total'>): Identity {
  return { total, etag: null, lastModified: null, lastModifiedStrong: false }
}
