/** Unpacks chunks of Xet: with WebAssembly, or without it where that is forbidden. */
import { decoderWasm } from './decoder-wasm.js'
import { maxPackedBytes, maxRawBytes, type Scheme } from './chunk.js'
import { decodeFrame, regroup } from './lz4.js'

/** Unpacks one chunk after another. */
export interface ChunkDecoder {
  /**
   * Unpacks a chunk.
   *
   * @param packed - at most {@link maxPackedBytes}.
   * @param rawLength - how many bytes it must have, at most {@link maxRawBytes}.
   * @returns the bytes, which are valid only until the next call; null if the chunk is not valid or has another length.
   */
  unpack(scheme: Scheme, packed: Uint8Array, rawLength: number): Uint8Array | null
}

/** What we use of WebAssembly, which only the types of browsers declare. */
interface Wasm {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { exports: unknown }
}

/**
 * The decoder in WebAssembly, with SIMD. Its memory is used by one chunk at a time.
 *
 * @throws Error where WebAssembly is missing or forbidden.
 */
export function wasmDecoder(): ChunkDecoder {
  const { WebAssembly: wasm } = globalThis as { WebAssembly?: Wasm }
  if (wasm === undefined) throw new Error('There is no WebAssembly.')
  const { exports } = new wasm.Instance(new wasm.Module(Buffer.from(decoderWasm, 'base64')))
  // The module is our own; see `scripts/wasm/xet-decoder.ts`.
  const { memory, lz4, groupedLz4 } = exports as {
    memory: { buffer: ArrayBuffer }
    lz4: (length: number, capacity: number) => number
    groupedLz4: (length: number, capacity: number) => number
  }
  const input = new Uint8Array(memory.buffer, 0, maxPackedBytes)
  const raw = new Uint8Array(memory.buffer, 0x48000, maxRawBytes)
  return {
    unpack: (scheme, packed, rawLength) => {
      if (scheme === 0) return packed.length === rawLength ? packed : null
      if (packed.length > maxPackedBytes || rawLength > maxRawBytes) return null
      input.set(packed)
      const count = scheme === 1 ? lz4(packed.length, rawLength) : groupedLz4(packed.length, rawLength)
      return count === rawLength ? raw.subarray(0, count) : null
    },
  }
}

/** The decoder without WebAssembly, which is several times slower. */
export function plainDecoder(): ChunkDecoder {
  const raw = new Uint8Array(maxRawBytes)
  const grouped = new Uint8Array(maxRawBytes)
  return {
    unpack: (scheme, packed, rawLength) => {
      if (scheme === 0) return packed.length === rawLength ? packed : null
      if (packed.length > maxPackedBytes || rawLength > maxRawBytes) return null
      const target = (scheme === 1 ? raw : grouped).subarray(0, rawLength)
      if (decodeFrame(packed, target) !== rawLength) return null
      const result = raw.subarray(0, rawLength)
      if (scheme === 2) regroup(target, result)
      return result
    },
  }
}

let shared: ChunkDecoder | null = null

/** The decoder of this thread. */
export function chunkDecoder(): ChunkDecoder {
  shared ??= makeDecoder()
  return shared
}

function makeDecoder(): ChunkDecoder {
  try {
    return wasmDecoder()
  } catch {
    // `--jitless`, or a policy of the host.
    return plainDecoder()
  }
}
