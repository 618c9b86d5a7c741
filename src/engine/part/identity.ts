/** Identifies a version of a file by its size and validators. Pure. */

import type { ServerDigest } from '../../net/server-digests.js'

/** Distinguishes one version of a file from another. */
export interface Identity {
  /** Size in bytes; null while unknown. */
  total: number | null
  /** Entity tag as sent, quotes and `W/` included; null when there is none. */
  etag: string | null
  /** `Last-Modified` as sent; null when there is none. */
  lastModified: string | null
  /** Whether `lastModified` is a strong validator (RFC 9110 section 8.8.2.2). */
  lastModifiedStrong: boolean
  /** What the server says about the digest of this version; missing if nothing. It is compared at the end. */
  digests?: readonly ServerDigest[] | undefined
}

/** The strong entity tag, or null. */
export function strongEtag(identity: Identity): string | null {
  return identity.etag !== null && !identity.etag.startsWith('W/') ? identity.etag : null
}

/** Whether the validators alone show that two ranges belong to the same version. */
export function hasStrongValidator(identity: Identity): boolean {
  return strongEtag(identity) !== null || (identity.lastModified !== null && identity.lastModifiedStrong)
}

/** Visible ASCII, obs-text, space and tab (RFC 9110 section 5.5); real validators are far shorter. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]{1,8192}$/

/**
 * Value for `If-Range`; null if there is no strong validator, or one that can't be sent: an identity may come from a
 * journal that somebody else has written.
 */
export function ifRangeOf(identity: Identity): string | null {
  const value = strongEtag(identity) ?? (identity.lastModifiedStrong ? identity.lastModified : null)
  return value !== null && fieldValue.test(value) ? value : null
}

/**
 * Whether a response belongs to the known version.
 *
 * @returns `unsure` if nothing contradicts it, but no strong validator confirms it either.
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

/** What tells a version apart from a newer one; nothing if several servers have sent it, or if they say nothing. */
export function validatorOf(
  { urls = [] }: { urls?: readonly string[] },
  { etag, lastModified }: Identity,
): { validator?: { etag: string | null; lastModified: string | null } } {
  return urls.length > 0 || (etag ?? lastModified) === null ? {} : { validator: { etag, lastModified } }
}

/** Whether two responses describe the same version, as far as they say. */
export function isSameVersion(one: Identity, other: Identity): boolean {
  return one.total === other.total && (one.etag === other.etag || one.lastModified === other.lastModified)
}

/** The part of an identity that applies to every address of a file: validators are specific to one server. */
export function sizeOnly({ total }: Pick<Identity, 'total'>): Identity {
  return { total, etag: null, lastModified: null, lastModifiedStrong: false }
}
