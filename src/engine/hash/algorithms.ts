/** The hash functions, each as something that bytes are added to. */
import { createHash } from 'node:crypto'
import { DownloadError } from '../../errors.js'
import type { DigestAlgorithm } from '../../util/digests.js'
import type { Hasher } from './hash-function.js'

/** Digests in lower-case hex. */
export type Digests = Readonly<Partial<Record<DigestAlgorithm, string>>>

/** The algorithms that Node has. */
const native: ReadonlySet<DigestAlgorithm> = new Set(['sha512', 'sha384', 'sha256', 'sha1', 'md5'])

/** Hashers for the algorithms; null if one of them has to be loaded first, see {@link loadHashers}. */
export function hashersOf(algorithms: readonly DigestAlgorithm[]): Hasher[] | null {
  return algorithms.every((algorithm) => native.has(algorithm)) ? algorithms.map(nativeHasher) : null
}

/**
 * Hashers for any algorithms. Loads what Node does not have, which most downloads never need.
 *
 * @throws DownloadError `INTERNAL` if that can't be loaded.
 */
export async function loadHashers(algorithms: readonly DigestAlgorithm[]): Promise<Hasher[]> {
  try {
    const { wasmHasher } = await import('./wasm-hashers.js')
    return await Promise.all(
      algorithms.map(async (algorithm) =>
        native.has(algorithm) ? nativeHasher(algorithm) : await wasmHasher(algorithm),
      ),
    )
  } catch (cause) {
    const message = `The hash functions for ${algorithms.join(', ')} can't be loaded. Reinstall the package.`
    throw new DownloadError('INTERNAL', message, { cause })
  }
}

function nativeHasher(algorithm: DigestAlgorithm): Hasher {
  let hash = createHash(algorithm)
  return {
    update: (chunk) => {
      hash.update(chunk)
    },
    // Of a copy, because a hash that has told its digest takes no more.
    hex: () => hash.copy().digest('hex'),
    reset: () => {
      hash = createHash(algorithm)
    },
  }
}
