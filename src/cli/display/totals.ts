/** The sum of all downloads of a run. Pure. */

/** What is known of one download. */
export interface PartOfSum {
  /** 1, or how many files the ref stands for. */
  readonly files: number
  readonly filesDone: number
  readonly downloaded: number
  /** Size in bytes; null if it is not known. */
  readonly total: number | null
  readonly bytesPerSecond: number
}

/** The sum. */
export interface Sum {
  readonly files: number
  readonly filesDone: number
  readonly downloaded: number
  /** Sum of the sizes that are known. */
  readonly total: number
  /** Whether that is the size of everything. */
  readonly isWhole: boolean
  readonly bytesPerSecond: number
  /** Null while it can't be told. */
  readonly etaSeconds: number | null
}

/**
 * Adds up what is known.
 *
 * @param others - how many downloads nothing is known of yet.
 */
export function sumOf(shares: Iterable<PartOfSum>, others: number): Sum {
  let files = others
  let [filesDone, downloaded, total, bytesPerSecond] = [0, 0, 0, 0]
  let isWhole = others === 0
  for (const share of shares) {
    files += share.files
    filesDone += share.filesDone
    downloaded += share.downloaded
    total += share.total ?? share.downloaded
    bytesPerSecond += share.bytesPerSecond
    if (share.total === null) isWhole = false
  }
  const rest = Math.max(0, total - downloaded)
  const etaSeconds = isWhole && bytesPerSecond > 0 ? rest / bytesPerSecond : null
  return { files, filesDone, downloaded, total, isWhole, bytesPerSecond, etaSeconds }
}
