/** Packs chunks of Xet: an LZ4 encoder of our own, with every option of the frame format that a decoder may meet. */

/** Options of {@link lz4Frame}. */
export interface FrameOptions {
  /** Size of the blocks that the data is cut into, in bytes. Default: 64 KiB. */
  blockBytes?: number
  /** Whether matches may reach into earlier blocks. Default: false. */
  linked?: boolean
  /** Whether blocks are stored as they are. Default: only those that would grow. */
  stored?: boolean
  /** Whether the frame states the size of its content. Default: false. */
  contentSize?: boolean
  /** Whether there is room for checksums, which are wrong. Default: false. */
  checksums?: boolean
}

const tableBits = 14

/** Encodes one block: greedy, with a table of four-byte sequences. */
function lz4Block(data: Buffer, from: number, end: number, start: number): Buffer {
  const out = Buffer.alloc(end - from + Math.ceil((end - from) / 255) + 16)
  const table = new Int32Array(1 << tableBits).fill(-1)
  const slotOf = (at: number) => Math.imul(data.readInt32LE(at), 0x9e3779b1) >>> (32 - tableBits)
  let to = 0
  const put = (value: number) => {
    out[to] = value
    to += 1
  }
  const length = (count: number) => {
    let left = count - 15
    while (left >= 255) {
      put(255)
      left -= 255
    }
    if (left >= 0) put(left)
  }
  const sequence = (first: number, last: number, match: { distance: number; count: number } | null) => {
    const literals = last - first
    put((Math.min(15, literals) << 4) | (match === null ? 0 : Math.min(15, match.count - 4)))
    length(literals)
    to += data.copy(out, to, first, last)
    if (match === null) return
    put(match.distance & 255)
    put(match.distance >> 8)
    length(match.count - 4)
  }
  for (let at = Math.max(start, from - 65_535); at + 4 <= from; at += 1) table[slotOf(at)] = at
  let anchor = from
  let at = from
  // The last five bytes are literals, and the last match begins at least twelve bytes before the end.
  while (at < end - 12) {
    const slot = slotOf(at)
    const candidate = table[slot] ?? -1
    table[slot] = at
    const fits = candidate >= 0 && at - candidate <= 65_535
    if (!fits || data.readInt32LE(candidate) !== data.readInt32LE(at)) {
      at += 1
      continue
    }
    let count = 4
    while (at + count < end - 5 && data[candidate + count] === data[at + count]) count += 1
    sequence(anchor, at, { distance: at - candidate, count })
    at += count
    anchor = at
  }
  sequence(anchor, end, null)
  return out.subarray(0, to)
}

/** Encodes data as one LZ4 frame. */
export function lz4Frame(data: Buffer, options: FrameOptions = {}): Buffer {
  const { blockBytes = 65_536, linked = false, stored, contentSize = false, checksums = false } = options
  const head = Buffer.from([
    ...[0x04, 0x22, 0x4d, 0x18],
    0x40 | (linked ? 0 : 32) | (checksums ? 16 + 4 : 0) | (contentSize ? 8 : 0),
    0x70,
  ])
  const size = Buffer.alloc(contentSize ? 8 : 0)
  if (contentSize) size.writeBigUInt64LE(BigInt(data.length))
  const parts: Buffer[] = [head, size, Buffer.from([0])]
  const checksum = checksums ? Buffer.from('none') : Buffer.alloc(0)
  for (let at = 0; at < data.length; at += blockBytes) {
    const end = Math.min(data.length, at + blockBytes)
    const block = lz4Block(data, at, end, linked ? 0 : at)
    const isStored = stored ?? block.length >= end - at
    const length = Buffer.alloc(4)
    length.writeUInt32LE(isStored ? (0x80000000 | (end - at)) >>> 0 : block.length)
    parts.push(length, isStored ? data.subarray(at, end) : block, checksum)
  }
  return Buffer.concat([...parts, Buffer.alloc(4), checksum])
}

/** Groups bytes by their position modulo 4. */
export function groupBytes(data: Buffer): Buffer {
  const grouped = Buffer.alloc(data.length)
  let to = 0
  for (let group = 0; group < 4; group += 1) {
    for (let at = group; at < data.length; at += 4) {
      grouped[to] = data[at] ?? 0
      to += 1
    }
  }
  return grouped
}

/** The head of a chunk; values that do not fit are cut off. */
export function chunkHead(scheme: number, packed: number, raw: number, version = 0): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt8(version, 0)
  head.writeUIntLE(packed & 0xffffff, 1, 3)
  head.writeUInt8(scheme, 4)
  head.writeUIntLE(raw & 0xffffff, 5, 3)
  return head
}

/** Packs one chunk. */
export function packChunk(scheme: number, data: Buffer): Buffer {
  const packed = scheme === 0 ? data : lz4Frame(scheme === 1 ? data : groupBytes(data))
  return Buffer.concat([chunkHead(scheme, packed.length, data.length), packed])
}
