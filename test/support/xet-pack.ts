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

/** Encodes one block: greedy, with a table of four-byte sequences. */
function lz4Block(data: Buffer, from: number, end: number, start: number): Buffer {
  const out: number[] = []
  const seen = new Map<number, number>()
  const length = (count: number) => {
    let left = count - 15
    while (left >= 255) {
      out.push(255)
      left -= 255
    }
    if (left >= 0) out.push(left)
  }
  const sequence = (literals: Buffer, match: { distance: number; count: number } | null) => {
    const code = match === null ? 0 : Math.min(15, match.count - 4)
    out.push((Math.min(15, literals.length) << 4) | code)
    if (literals.length >= 15) length(literals.length)
    out.push(...literals)
    if (match === null) return
    out.push(match.distance & 255, match.distance >> 8)
    if (match.count - 4 >= 15) length(match.count - 4)
  }
  for (let at = Math.max(start, from - 65_535); at + 4 <= from; at += 1) seen.set(data.readUInt32LE(at), at)
  let anchor = from
  let at = from
  // The last five bytes are literals, and the last match begins at least twelve bytes before the end.
  while (at < end - 12) {
    const key = data.readUInt32LE(at)
    const candidate = seen.get(key)
    seen.set(key, at)
    if (candidate === undefined || at - candidate > 65_535) {
      at += 1
      continue
    }
    let count = 4
    while (at + count < end - 5 && data[candidate + count] === data[at + count]) count += 1
    sequence(data.subarray(anchor, at), { distance: at - candidate, count })
    at += count
    anchor = at
  }
  sequence(data.subarray(anchor, end), null)
  return Buffer.from(out)
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
  const groups = [0, 1, 2, 3].map((group) => data.filter((_, index) => index % 4 === group))
  return Buffer.concat(groups)
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
