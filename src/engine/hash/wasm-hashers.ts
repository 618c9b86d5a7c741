/** Hash functions that Node does not have, in WebAssembly. Loaded when one of them is needed. */
import { createBLAKE3, createCRC32, createCRC64 } from 'hash-wasm'
import type { DigestAlgorithm } from '../../util/digests.js'
import type { Hasher } from './hash-function.js'

/** The polynomial of RFC 3720 section 12.1 (Castagnoli), with its bits reversed. */
const castagnoli = 0x82f63b78

/** The polynomial of the NVM Express specification, with its bits reversed. */
const nvme = '9a6c9329ac4bc9b5'

/** Creates a hasher for one of the algorithms that Node does not have. */
export async function wasmHasher(algorithm: DigestAlgorithm): Promise<Hasher> {
  const hash = await create(algorithm)
  hash.init()
  return {
    update: (chunk) => {
      hash.update(chunk)
    },
    hex: () => {
      // Telling the digest ends the computation, so it goes on from where it was.
      const state = hash.save()
      const hex = hash.digest('hex')
      hash.load(state)
      return hex
    },
    reset: () => {
      hash.init()
    },
  }
}

function create(algorithm: DigestAlgorithm): ReturnType<typeof createBLAKE3> {
  switch (algorithm) {
    case 'blake3':
      return createBLAKE3()
    case 'crc32c':
      return createCRC32(castagnoli)
    case 'crc64nvme':
      return createCRC64(nvme)
    case 'crc32':
      return createCRC32()
    default:
      throw new Error(`${algorithm} is a hash function of Node`)
  }
}
