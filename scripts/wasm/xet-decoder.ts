/**
 * The decoder for chunks of Xet, in AssemblyScript: `node scripts/wasm.mjs` builds it into
 * `src/engine/xet/decoder-wasm.ts`. It does what `src/engine/xet/lz4.ts` does, which is used where WebAssembly is not
 * available; a property test compares the two.
 *
 * The memory has no heap: JavaScript writes the packed chunk to `input`, calls a function, and reads the result from
 * `raw`. Copies are made in blocks of 16 bytes and may exceed their end by 15, which is what the gaps are for.
 */

/** Where the packed chunk is, of at most 256 KiB. */
const input: usize = 0

/** Where the result is written, at most 128 KiB. */
const raw: usize = 0x48000

/** Where bytes are that have yet to be regrouped. */
const grouped: usize = 0x70000

/** Copies in blocks of 16 bytes. The areas must not overlap within 16 bytes. */
function copy(target: usize, source: usize, count: usize): void {
  const end = target + count
  do {
    v128.store(target, v128.load(source))
    target += 16
    source += 16
  } while (target < end)
}

/** Copies a match, whose source may overlap what is written. */
function copyMatch(target: usize, distance: usize, count: usize): void {
  if (distance >= 16) {
    copy(target, target - distance, count)
    return
  }
  if (distance === 1) {
    const value = i8x16.splat(load<i8>(target - 1))
    const end = target + count
    do {
      v128.store(target, value)
      target += 16
    } while (target < end)
    return
  }
  // After the first repetitions the pattern is also found at a distance of at least 16 bytes.
  let wide = distance
  while (wide < 16) wide += distance
  const byByte = min<usize>(count, wide)
  for (let at: usize = 0; at < byByte; at++) store<u8>(target + at, load<u8>(target + at - distance))
  if (count > byByte) copy(target + byByte, target + byByte - wide, count - byByte)
}

/**
 * Decodes one block of LZ4.
 *
 * @returns one past the last byte written, or 0 if the block is not valid.
 */
function block(from: usize, end: usize, first: usize, to: usize, limit: usize): usize {
  while (from < end) {
    const token = load<u8>(from++) as u32
    let literals = (token >> 4) as usize
    if (literals === 15) {
      let more: usize = 255
      while (more === 255) {
        if (from >= end) return 0
        more = load<u8>(from++) as usize
        literals += more
      }
    }
    if (literals > 0) {
      if (literals > end - from || literals > limit - to) return 0
      copy(to, from, literals)
      from += literals
      to += literals
    }
    // The last sequence of a block has no match.
    if (from === end) return to
    if (end - from < 2) return 0
    const distance = load<u16>(from) as usize
    from += 2
    if (distance === 0 || distance > to - first) return 0
    let count = (token & 15) as usize
    if (count === 15) {
      let more: usize = 255
      while (more === 255) {
        if (from >= end) return 0
        more = load<u8>(from++) as usize
        count += more
      }
    }
    count += 4
    if (count > limit - to) return 0
    copyMatch(to, distance, count)
    to += count
  }
  return 0
}

/**
 * Decodes one LZ4 frame.
 *
 * @returns how many bytes it has; -1 if it is not valid, is longer than `capacity`, or does not end at `length`.
 */
function frame(length: usize, first: usize, capacity: usize): i32 {
  const end = input + length
  if (length < 11 || load<u32>(input) !== 0x184d2204) return -1
  const flags = load<u8>(input + 4) as u32
  // Version 1; no dictionary, and the reserved bit is not set.
  if (flags >> 6 !== 1 || (flags & 3) !== 0) return -1
  let from: usize = input + 7 + ((flags & 8) !== 0 ? 8 : 0)
  const blockChecksum: usize = (flags & 16) !== 0 ? 4 : 0
  const contentChecksum: usize = (flags & 4) !== 0 ? 4 : 0
  const limit = first + capacity
  let to = first
  let start = first
  for (;;) {
    if (from + 4 > end) return -1
    const head = load<u32>(from)
    from += 4
    if (head === 0) break
    const size = (head & 0x7fffffff) as usize
    if (size > end - from || blockChecksum > end - from - size) return -1
    // Without the flag of independent blocks, matches may reach back into earlier ones.
    if ((flags & 32) !== 0) start = to
    if (head >>> 31 !== 0) {
      if (size > limit - to) return -1
      if (size > 0) copy(to, from, size)
      to += size
    } else {
      to = block(from, from + size, start, to, limit)
      if (to === 0) return -1
    }
    from += size + blockChecksum
  }
  return from + contentChecksum === end ? ((to - first) as i32) : -1
}

/** Decodes a frame into `raw`; see {@link frame}. */
export function lz4(length: usize, capacity: usize): i32 {
  return frame(length, raw, capacity)
}

/** Decodes a frame of bytes that are grouped by their position modulo 4, and puts them back into their order. */
export function groupedLz4(length: usize, capacity: usize): i32 {
  const count = frame(length, grouped, capacity)
  if (count < 0) return -1
  const total = count as usize
  const a = grouped
  const b = a + (total + 3) / 4
  const c = b + (total + 2) / 4
  const d = c + (total + 1) / 4
  const whole = total / 4
  const wide = whole & ~15
  let at: usize = 0
  let to = raw
  for (; at < wide; at += 16, to += 64) {
    const va = v128.load(a + at)
    const vb = v128.load(b + at)
    const vc = v128.load(c + at)
    const vd = v128.load(d + at)
    const abLow = i8x16.shuffle(va, vb, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    const abHigh = i8x16.shuffle(va, vb, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    const cdLow = i8x16.shuffle(vc, vd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    const cdHigh = i8x16.shuffle(vc, vd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    v128.store(to, i16x8.shuffle(abLow, cdLow, 0, 8, 1, 9, 2, 10, 3, 11))
    v128.store(to + 16, i16x8.shuffle(abLow, cdLow, 4, 12, 5, 13, 6, 14, 7, 15))
    v128.store(to + 32, i16x8.shuffle(abHigh, cdHigh, 0, 8, 1, 9, 2, 10, 3, 11))
    v128.store(to + 48, i16x8.shuffle(abHigh, cdHigh, 4, 12, 5, 13, 6, 14, 7, 15))
  }
  for (; at < whole; at++, to += 4) {
    store<u8>(to, load<u8>(a + at))
    store<u8>(to + 1, load<u8>(b + at))
    store<u8>(to + 2, load<u8>(c + at))
    store<u8>(to + 3, load<u8>(d + at))
  }
  const rest = total & 3
  if (rest > 0) store<u8>(to, load<u8>(a + whole))
  if (rest > 1) store<u8>(to + 1, load<u8>(b + whole))
  if (rest > 2) store<u8>(to + 2, load<u8>(c + whole))
  return count
}
