/** Which digests a file is compared with. Pure. */
import type { ServerDigest } from '../../net/server-digests.js'
import {
  type DigestAlgorithm,
  digestAlgorithms,
  type ExpectedDigest,
  isStrong,
  strongest,
  type Verification,
} from '../../util/digests.js'
import type { TransferSpec } from '../protocol.js'
import { usualAlgorithms } from './hash-job.js'

/** What is known of the digests of a file before it is fetched. */
export type GivenDigests = Pick<TransferSpec, 'sha256' | 'sha256From' | 'digests' | 'gitOid'>

/** The digests that the file must have, whatever its server says. */
export function givenDigests({
  sha256,
  sha256From = 'caller',
  digests = [],
  gitOid = null,
}: GivenDigests): ExpectedDigest[] {
  return [
    ...(sha256 === null ? [] : [{ algorithm: 'sha256', value: sha256, from: sha256From } as const]),
    ...digests,
    // It is that of a file in Git, which is small, and proves less than SHA-256 does.
    ...(sha256 !== null || gitOid === null
      ? []
      : [{ algorithm: 'git', value: gitOid, from: 'source' } as const]),
  ]
}

/**
 * The digests that a complete file is compared with: all that were given, and otherwise the one of its server that proves
 * most. Whoever gave a digest knows which file is meant; the server only says which file it has.
 *
 * @param stated - what the server says.
 */
export function checksOf(given: GivenDigests, stated: readonly ServerDigest[] = []): ExpectedDigest[] {
  const checks = givenDigests(given)
  if (checks.length > 0) return checks
  const best = strongest(stated)
  return best === null ? [] : [{ ...best, from: 'server' }]
}

/** What a file that matches its digests was verified with: the one of them that proves most; null if there is none. */
export function verificationOf(checks: readonly ExpectedDigest[]): Verification | null {
  const best = strongest(checks)
  if (best === null) return null
  const { algorithm, value, from } = best
  return { algorithm, value, from }
}

/**
 * Whether a digest will tell at the end that every byte is right, so that nothing else has to. What a server says of itself
 * does not, since it may say the same of a page for logging in; nor does a CRC.
 */
export function isDecided(given: GivenDigests): boolean {
  return givenDigests({ ...given, gitOid: null }).some(({ algorithm }) => isStrong(algorithm))
}

/** The digests to compute while the file is fetched: SHA-256, and those that others are compared with. */
export function algorithmsOf(checks: readonly ExpectedDigest[]): readonly DigestAlgorithm[] {
  const others = computed(checks).filter((algorithm) => !usualAlgorithms.includes(algorithm))
  return others.length === 0 ? usualAlgorithms : [...usualAlgorithms, ...others]
}

/** The algorithms of the checks that are computed from the bytes alone, each once. */
export function computed(checks: readonly ExpectedDigest[]): DigestAlgorithm[] {
  return digestAlgorithms.filter((known) => checks.some(({ algorithm }) => algorithm === known))
}
