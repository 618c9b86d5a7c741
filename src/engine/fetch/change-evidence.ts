/**
 * Weighs what suggests that a file has changed on the server. Bytes on disk are dropped only when a second look
 * confirms it: a single response may come from a gate, a login page or a bad node. Pure, apart from what it remembers.
 */
import { type Identity, isSameVersion } from '../part/identity.js'

/** What one address has said about the version of a file. */
export class ChangeEvidence {
  #doubt: Identity | null = null
  #differences = 0
  #unsureWholes = 0
  #validatorChanged = false

  /** A response had another validator, so that only the bytes show whether the file is the same. */
  get validatorChanged(): boolean {
    return this.#validatorChanged
  }

  /** Notes a response of the known version. */
  noteAccepted(): void {
    this.#doubt = null
  }

  /**
   * Weighs a response that appears to belong to another version.
   *
   * @param by - what differs. The nodes of one server may have validators of their own, so the bytes decide then.
   * @param alone - no other connection is open: with others, a single bad node is no reason to drop their bytes.
   * @returns `look-again`: request at once what shows more; `refuse`: the response counts as a failure.
   */
  weigh(by: 'total' | 'validator', seen: Identity, alone: boolean): 'look-again' | 'refuse' | 'changed' {
    if (by === 'validator') {
      this.#validatorChanged = true
      return 'look-again'
    }
    const doubt = this.#doubt
    this.#doubt = seen
    if (!alone) return 'refuse'
    if (doubt === null) return 'look-again'
    return isSameVersion(doubt, seen) ? 'changed' : 'refuse'
  }

  /**
   * Weighs a body whose bytes differ from those on disk.
   *
   * @param whole - the body is a complete one, which may be anything unless a validator has changed as well.
   */
  weighBytes(whole: boolean): 'look-again' | 'refuse' | 'changed' {
    this.#differences += 1
    if (this.#validatorChanged) return 'changed'
    if (whole) return 'refuse'
    return this.#differences > 1 ? 'changed' : 'look-again'
  }

  /**
   * Weighs a complete body in response to a range, for which bytes on disk would be dropped.
   *
   * @param sure - its size or validator is that of the known version.
   */
  weighWhole(sure: boolean, alone: boolean): 'look-again' | 'refuse' | 'ranges-lost' {
    if (!sure) this.#unsureWholes += 1
    if (!alone) return 'refuse'
    return sure || this.#unsureWholes > 1 ? 'ranges-lost' : 'look-again'
  }
}
