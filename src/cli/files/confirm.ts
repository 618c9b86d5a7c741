import { createInterface } from 'node:readline/promises'
import { surroundings } from '../process/surroundings.js'

/** Options of commands that delete. */
export interface DeleteOptions {
  dryRun?: boolean | undefined
  yes?: boolean | undefined
  json?: boolean | undefined
}

/**
 * Asks before something is deleted, if there is somebody to answer. Scripts are not asked.
 *
 * @returns whether to go on.
 */
export async function confirm(question: string, { dryRun, yes, json }: DeleteOptions): Promise<boolean> {
  const isAsked =
    surroundings().stdin.isTTY &&
    surroundings().stderr.isTTY &&
    dryRun !== true &&
    yes !== true &&
    json !== true
  if (!isAsked) return true
  const terminal = createInterface({ input: surroundings().stdin, output: surroundings().stderr })
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')))
  try {
    const answer = await Promise.race([terminal.question(question), closed])
    return /^(?:y|yes|是)$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}
