/** Does the same with many downloads. */

/** Number of requests at a time; browsers open six connections to a server that speaks HTTP/1.1. */
const parallel = 5

/** The result of {@link runBulk}. */
export interface BulkResult {
  readonly failed: number
  /** The first failure; null when there is none. */
  readonly error: unknown
}

/**
 * Does something with each of many downloads, a few at a time and in their order. A failure does not keep it from the
 * others.
 */
export async function runBulk(
  urls: readonly string[],
  work: (url: string) => Promise<unknown>,
): Promise<BulkResult> {
  let next = 0
  let failed = 0
  let error: unknown = null
  const worker = async () => {
    for (let url = urls[next++]; url !== undefined; url = urls[next++]) {
      try {
        await work(url)
      } catch (cause) {
        failed++
        error ??= cause
      }
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  return { failed, error }
}
