/** A hash function as the hasher uses it, whatever computes it. */

/** Computes one digest. */
export interface Hasher {
  update(chunk: Uint8Array): void
  /** The digest of all bytes so far, in lower-case hex. More may follow. */
  hex(): string
  /** Starts again without a byte. */
  reset(): void
}
