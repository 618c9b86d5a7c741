/** What tests of following share. */
import { createClient } from '../../src/client/index.js'
import type { WireDownload } from '../../src/http/schemas.js'
import { withTimeout } from '../support/wait.js'
import { at, completed, event, startServer, type Answer } from './server.js'

/** All that comes, and how it ends. */
export async function collect<T>(
  values: AsyncIterable<T>,
  ms = 10_000,
): Promise<{ values: T[]; error: unknown }> {
  const got: T[] = []
  const all = async (): Promise<unknown> => {
    try {
      for await (const value of values) got.push(value)
      return null
    } catch (error) {
      return error
    }
  }
  return { error: await withTimeout(all(), ms, 'the end of following'), values: got }
}

export const progressOf = (values: readonly WireDownload[]) => values.map(({ progress }) => progress)
export const snapshot = (progress: number, id?: string) => event('snapshot', at(progress), id)
export const progress = (percent: number, id?: string) => event('progress', at(percent), id)
export const end = event('state', completed)

export async function serve(answers: Record<string, Answer>) {
  const server = await startServer(answers)
  return { server, client: createClient({ baseUrl: server.url, timeoutMs: 2_000 }) }
}
