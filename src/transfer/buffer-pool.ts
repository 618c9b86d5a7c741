/** Buffers of one size that are used again and again, so that the garbage collector has nothing to do with them. */
export class BufferPool {
  /** Size of each, in bytes. */
  readonly bytes: number
  readonly #spare: Buffer[] = []
  readonly #keep: number

  /**
   * @param bytes - size of each buffer.
   * @param keep - how many are kept that nobody uses.
   */
  constructor(bytes: number, keep: number) {
    this.bytes = bytes
    this.#keep = keep
  }

  /** A buffer with anything in it. */
  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bytes)
  }

  /** Gives one back. Nobody may touch it afterwards. */
  give(buffer: Buffer): void {
    if (this.#spare.length < this.#keep) this.#spare.push(buffer)
  }
}

/** Kept over all transfers, in bytes, for each size of buffer. */
const keptBytes = 16 << 20

/** Pools by the number of connections: the more of them, the smaller the buffers, so that memory stays flat. */
export function batchPools(): (connections: number) => BufferPool {
  const pools = new Map<number, BufferPool>()
  return (connections) => {
    // Powers of two, so that transfers share them.
    const size = connections <= 4 ? 1 << 20 : connections <= 8 ? 1 << 19 : 1 << 18
    const pool = pools.get(size) ?? new BufferPool(size, keptBytes / size)
    pools.set(size, pool)
    return pool
  }
}
