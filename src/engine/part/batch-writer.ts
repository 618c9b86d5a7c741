/** Collects the bytes of one connection in batches, so that few writes are needed. */

/** Where a connection writes its bytes. */
export interface ByteSink {
  /** Writes the complete buffer, or rejects. The buffer must not be changed until then. */
  write(buffer: Buffer, position: number): Promise<void>
  /** Writes the complete buffer synchronously, or throws. */
  writeNow(buffer: Buffer, position: number): void
  /** Whether {@link writeNow} should be used instead of {@link write}. */
  readonly blocks: boolean
}

/** Callbacks of a {@link BatchWriter}. */
export interface BatchWriterHost {
  /** Too many writes are in progress: pass no data until {@link release}. Calls come in pairs. */
  hold(): void
  release(): void
  /** A write failed. Called once. */
  failed(error: unknown): void
}

/** Writes in progress before the socket has to wait. */
const maxWritesInFlight = 2

/**
 * A batch that is not full is written after this time, so that a kill loses little of a slow connection. In
 * milliseconds.
 */
const batchAgeMs = 15

/** Chunks of at least this size are written directly if writes are synchronous. In bytes. */
const directBytes = 64 * 1024

/** Writes a contiguous sequence of bytes from a given position. */
export class BatchWriter {
  readonly #sink: ByteSink
  readonly #pool: BufferPool
  readonly #host: BatchWriterHost
  #batch: Buffer | null = null
  #bytes = 0
  /** File position of the first byte of the batch. */
  #start: number
  #since = 0
  #writes = 0
  #error: { cause: unknown } | null = null
  #drained: (() => void) | null = null

  constructor(sink: ByteSink, pool: BufferPool, position: number, host: BatchWriterHost) {
    this.#sink = sink
    this.#pool = pool
    this.#start = position
    this.#host = host
  }

  /** The error of the first failed write, or null. */
  get error(): { cause: unknown } | null {
    return this.#error
  }

  /** Takes bytes. The caller may reuse the memory afterwards. `now` is in monotonic milliseconds. */
  take(data: Buffer, now: number): void {
    if (this.#sink.blocks && data.length >= directBytes) {
      this.flush()
      if (this.#error === null) this.#writeNow(data)
      return
    }
    let taken = 0
    while (taken < data.length && this.#error === null) {
      if (this.#bytes === 0) this.#since = now
      this.#batch ??= this.#pool.take()
      const count = data.copy(this.#batch, this.#bytes, taken)
      taken += count
      this.#bytes += count
      if (this.#bytes === this.#batch.length) this.flush()
    }
    this.flushOld(now)
  }

  /** Writes the batch if it has waited long enough. */
  flushOld(now: number): void {
    if (this.#bytes > 0 && now - this.#since >= batchAgeMs) this.flush()
  }

  /** Writes the collected bytes. Does nothing after a failure. */
  flush(): void {
    const batch = this.#batch
    if (batch === null || this.#bytes === 0 || this.#error !== null) return
    const data = batch.subarray(0, this.#bytes)
    if (this.#sink.blocks) {
      this.#bytes = 0
      this.#writeNow(data)
      return
    }
    this.#batch = null
    this.#bytes = 0
    const position = this.#start
    this.#start += data.length
    this.#writes += 1
    const full = this.#writes >= maxWritesInFlight
    if (full) this.#host.hold()
    this.#sink.write(data, position).then(
      () => this.#written(batch, full),
      (error: unknown) => {
        this.#fail(error)
        this.#written(batch, full)
      },
    )
  }

  /** Resolves when no write is in progress. Call it once, after the last data. */
  async drain(): Promise<void> {
    if (this.#writes > 0) await new Promise<void>((resolve) => (this.#drained = resolve))
    if (this.#batch !== null) this.#pool.give(this.#batch)
    this.#batch = null
  }

  #writeNow(data: Buffer): void {
    try {
      this.#sink.writeNow(data, this.#start)
      this.#start += data.length
    } catch (error) {
      this.#fail(error)
    }
  }

  #written(batch: Buffer, release: boolean): void {
    this.#pool.give(batch)
    this.#writes -= 1
    if (release) this.#host.release()
    if (this.#writes === 0) this.#drained?.()
  }

  #fail(cause: unknown): void {
    if (this.#error !== null) return
    this.#error = { cause }
    this.#host.failed(cause)
  }
}

// ---- Buffers.

/** Reuses buffers of one size, to keep them from the garbage collector. */
export class BufferPool {
  /** Size of each, in bytes. */
  readonly bytes: number
  readonly #spare: Buffer[] = []
  readonly #keep: number

  /**
   * @param bytes - size of each buffer.
   * @param keep - how many unused buffers are kept at most.
   */
  constructor(bytes: number, keep: number) {
    this.bytes = bytes
    this.#keep = keep
  }

  /** Takes a buffer. Its content is undefined. */
  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bytes)
  }

  /** Returns a buffer. It must not be used afterwards. */
  give(buffer: Buffer): void {
    if (this.#spare.length < this.#keep) this.#spare.push(buffer)
  }
}

/** Unused buffers of each size that are kept for all transfers, in bytes. */
const keptBytes = 16 << 20

/** What the connections of a transfer may have in their batches, all of them together, in bytes: a kill loses it. */
const batchedBytes = 512 * 1024

/** A batch is not smaller than this, so that writes stay few. In bytes. */
const leastBatchBytes = 16 * 1024

/** Size of a batch for a transfer with a number of connections, in bytes: a power of two. */
export function batchSize(connections: number): number {
  // Only a few sizes, so that transfers can share the buffers.
  return Math.max(leastBatchBytes, 2 ** Math.floor(Math.log2(batchedBytes / connections)))
}

/** Returns the pool for a number of connections. */
export function batchPools(): (connections: number) => BufferPool {
  const pools = new Map<number, BufferPool>()
  return (connections) => {
    const size = batchSize(connections)
    const pool = pools.get(size) ?? new BufferPool(size, keptBytes / size)
    pools.set(size, pool)
    return pool
  }
}
