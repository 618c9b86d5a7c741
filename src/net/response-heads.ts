/**
 * Mends heads of responses that curl and browsers understand, but the strict parser below us does not: lines that end
 * with LF alone, folded lines, a Content-Length that is stated several times with the same value, and the transfer coding
 * `identity`. Pure.
 */

/** Larger heads are refused (FAULTS row 19); curl accepts 300 kB. */
export const maxHeaderBytes = 256 * 1024

const httpPrefix = Buffer.from('HTTP/')

/**
 * Returns a head with lines as the HTTP specification has them (RFC 9112 sections 2.2, 5.1, 5.2 and 6.3). Conflicting
 * lengths remain, since they would make the end of the body ambiguous, and so does a length beside chunks.
 *
 * @param head - from the status line to the empty line.
 * @returns the same buffer when there is nothing to mend.
 */
export function mendHead(head: Buffer): Buffer {
  const text = head.toString('latin1')
  const lines = unfold(text)
  const lengths = valuesOf(lines, /^content-length[ \t]*:(.*)$/i)
  const codings = valuesOf(lines, /^transfer-encoding[ \t]*:(.*)$/i).map((value) => value.toLowerCase())
  const repeated = lengths.length > 1 && new Set(lengths).size === 1
  const isIdentity = codings.length > 0 && codings.every((coding) => ['', 'identity'].includes(coding))
  const isOdd = /[^\r]\n|\n[ \t]|^[!-9;-~]+[ \t]+:/m.test(text)
  if (!repeated && !isIdentity && !isOdd) return head
  let hasLength = false
  const mended = lines.flatMap((line, index) => {
    if (index === 0) return [line]
    if (isIdentity && /^transfer-encoding[ \t]*:/i.test(line)) return []
    if (!repeated || !/^content-length[ \t]*:/i.test(line))
      return [line.replace(/^([!-9;-~]+)[ \t]+:/, '$1:')]
    if (hasLength) return []
    hasLength = true
    return [`Content-Length: ${lengths[0] ?? ''}`]
  })
  return Buffer.from(mended.join('\r\n'), 'latin1')
}

/** The members of all lists that a field has, see RFC 9110 section 5.6.1. */
function valuesOf(lines: readonly string[], field: RegExp): string[] {
  return lines.flatMap(
    (line) =>
      field
        .exec(line)?.[1]
        ?.split(',')
        .map((value) => value.trim()) ?? [],
  )
}

/** Splits a head into lines, and puts folded ones together. */
function unfold(text: string): string[] {
  const lines: string[] = []
  for (const line of text.split(/\r?\n/)) {
    const last = lines.length - 1
    if (/^[ \t]/.test(line) && last > 0) lines[last] = `${lines[last] ?? ''} ${line.trim()}`
    else lines.push(line)
  }
  return lines
}

/** Collects the bytes of a connection until the head of the response is complete. */
export class HeadReader {
  #bytes = Buffer.alloc(1024)
  #length = 0
  #isLineEmpty = true
  #hasBegun = false

  /** Gets ready for the next response. */
  reset(): void {
    this.#length = 0
    this.#isLineEmpty = true
    this.#hasBegun = false
  }

  /** What has been collected so far, as it came. */
  get collected(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length))
  }

  /**
   * Takes the next bytes.
   *
   * @returns null while the head is incomplete; otherwise the mended head, the bytes behind it, and whether another head
   * follows because this one is provisional (1xx) and says nothing (RFC 9110 section 15.2). What is not HTTP, or has too long a head, is returned as it came.
   */
  take(chunk: Buffer): { head: Buffer; rest: Buffer; isFinal: boolean } | null {
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at]
      if (byte === 0x0a) {
        if (this.#isLineEmpty && this.#hasBegun) {
          this.#add(chunk.subarray(0, at + 1))
          return this.#complete(chunk.subarray(at + 1))
        }
        this.#isLineEmpty = true
      } else if (byte !== 0x0d) {
        this.#isLineEmpty = false
        this.#hasBegun = true
      }
    }
    this.#add(chunk)
    const isHttp = this.#mayBeHttp()
    return isHttp && this.#length <= maxHeaderBytes
      ? null
      : { head: this.collected, rest: Buffer.alloc(0), isFinal: true }
  }

  #complete(rest: Buffer): { head: Buffer; rest: Buffer; isFinal: boolean } {
    const { collected } = this
    if (!this.#mayBeHttp()) return { head: collected, rest, isFinal: true }
    const isProvisional = /^[\r\n]*HTTP\/\d\.\d 1(?!01)\d\d\b/.test(collected.toString('latin1', 0, 40))
    return { head: mendHead(collected), rest, isFinal: !isProvisional }
  }

  /** Some servers send an empty line before the status line. */
  #mayBeHttp(): boolean {
    let start = 0
    while (start < this.#length && (this.#bytes[start] === 0x0d || this.#bytes[start] === 0x0a)) start += 1
    const seen = this.#bytes.subarray(start, Math.min(this.#length, start + httpPrefix.length))
    return seen.equals(httpPrefix.subarray(0, seen.length))
  }

  #add(chunk: Buffer): void {
    const length = this.#length + chunk.length
    if (length > this.#bytes.length) {
      const larger = Buffer.alloc(2 * length)
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    chunk.copy(this.#bytes, this.#length)
    this.#length = length
  }
}
