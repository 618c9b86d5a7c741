/**
 * Decodes LZ4 frames (the LZ4 frame format, version 1.6), and regroups bytes, where WebAssembly is not available. Pure.
 *
 * Checksums in a frame are skipped: the SHA-256 of the file decides.
 */

/**
 * Decodes one block.
 *
 * @param start - the first byte of `target` that matches may refer to.
 * @returns one past the last byte written, or -1 if the block is not valid or does not fit.
 */
function decodeBlock(
  source: Uint8Array,
  { from, end }: { from: number; end: number },
  target: Uint8Array,
  { start, to, limit }: { start: number; to: number; limit: number },
): number {
  let at = from
  let out = to
  const extended = (nibble: number): number => {
    if (nibble < 15) return nibble
    let length = nibble
    for (;;) {
      const more = source[at]
      if (at >= end || more === undefined) return Infinity
      at += 1
      length += more
      if (more < 255) return length
    }
  }
  while (at < end) {
    const token = source[at] ?? 0
    at += 1
    const literals = extended(token >> 4)
    if (literals > end - at || literals > limit - out) return -1
    if (literals > 16) target.set(source.subarray(at, at + literals), out)
    else for (let index = 0; index < literals; index += 1) target[out + index] = source[at + index] ?? 0
    at += literals
    out += literals
    // The last sequence of a block has no match.
    if (at === end) return out
    if (end - at < 2) return -1
    const distance = (source[at] ?? 0) | ((source[at + 1] ?? 0) << 8)
    at += 2
    if (distance === 0 || distance > out - start) return -1
    const count = extended(token & 15) + 4
    if (count > limit - out) return -1
    if (distance >= count && count > 32) target.copyWithin(out, out - distance, out - distance + count)
    else if (distance === 1) target.fill(target[out - 1] ?? 0, out, out + count)
    else for (let index = out; index < out + count; index += 1) target[index] = target[index - distance] ?? 0
    out += count
  }
  return -1
}

/**
 * Decodes one frame.
 *
 * @param target - receives the bytes; what does not fit into it is not valid.
 * @returns how many bytes there are, or -1 if the frame is not valid, does not fit, or does not end with `source`.
 */
export function decodeFrame(source: Uint8Array, target: Uint8Array): number {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength)
  if (source.length < 11 || view.getUint32(0, true) !== 0x184d2204) return -1
  const flags = view.getUint8(4)
  // Version 1; no dictionary, and the reserved bit is not set.
  if (flags >> 6 !== 1 || (flags & 3) !== 0) return -1
  let at = 7 + ((flags & 8) === 0 ? 0 : 8)
  const blockChecksum = (flags & 16) === 0 ? 0 : 4
  const contentChecksum = (flags & 4) === 0 ? 0 : 4
  const isIndependent = (flags & 32) !== 0
  let to = 0
  for (;;) {
    if (at + 4 > source.length) return -1
    const head = view.getUint32(at, true)
    at += 4
    if (head === 0) break
    const size = head & 0x7fffffff
    if (size + blockChecksum > source.length - at) return -1
    if (head >>> 31 === 1) {
      if (size > target.length - to) return -1
      target.set(source.subarray(at, at + size), to)
      to += size
    } else {
      const start = isIndependent ? to : 0
      to = decodeBlock(source, { from: at, end: at + size }, target, { start, to, limit: target.length })
      if (to < 0) return -1
    }
    at += size + blockChecksum
  }
  return at + contentChecksum === source.length ? to : -1
}

/** Puts bytes that are grouped by their position modulo 4 back into their order. */
export function regroup(grouped: Uint8Array, target: Uint8Array): void {
  const { length } = grouped
  let from = 0
  for (let group = 0; group < 4; group += 1) {
    for (let at = group; at < length; at += 4) {
      target[at] = grouped[from] ?? 0
      from += 1
    }
  }
}
