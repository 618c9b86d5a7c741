/** What tests of live stores share. */
import type { ServerResponse } from 'node:http'
import { createClient, type Client, type PreloadStatus, type WireDownload } from '../../src/client/index.js'
import type { Followed, LiveStore } from '../../src/live/index.js'
import { event, startServer, stream, type Answer, type ScriptedServer } from '../client/server.js'
import { waitFor } from '../support/wait.js'

/** A subscriber that records each snapshot. */
export interface Watcher<S> extends Disposable {
  /** Oldest first. */
  readonly seen: S[]
  /** Waits until a snapshot matches. */
  until(is: (snapshot: S) => boolean, what?: string): Promise<S>
}

/** Subscribes as a part of a page does; ends with `using`. */
export function watch<S extends Followed>(store: LiveStore<S, unknown>): Watcher<S> {
  const seen: S[] = []
  const end = store.subscribe(() => seen.push(store.getSnapshot()))
  return {
    seen,
    async until(is, what = 'a snapshot') {
      await waitFor(() => is(store.getSnapshot()), { what, timeoutMs: 15_000 })
      return store.getSnapshot()
    },
    [Symbol.dispose]: end,
  }
}

/** A server that answers as it is told, and a client of it. */
export async function serve(
  answers: Record<string, Answer>,
): Promise<{ server: ScriptedServer; client: Client }> {
  const server = await startServer(answers)
  return { server, client: createClient({ baseUrl: server.url, timeoutMs: 2_000 }) }
}

/** A `snapshot` event of these downloads. */
export const snapshotOf = (...downloads: WireDownload[]) =>
  event('snapshot', { downloads: Object.fromEntries(downloads.map((each) => [each.url, each])) })

/** Streams that begin with this, and that the test writes to. */
export function faucet(begin: string): { answer: Answer; write: (text: string) => void } {
  const open = new Set<ServerResponse>()
  return {
    answer: (req, res, asked) => {
      open.add(res)
      res.once('close', () => open.delete(res))
      stream([begin])(req, res, asked)
    },
    write: (text) => {
      for (const res of open) res.write(text)
    },
  }
}

/** A preload that never ran. */
export const idle: PreloadStatus = {
  success: true,
  running: false,
  started_at: null,
  finished_at: null,
  success_flag: null,
  return_code: null,
  error: null,
  output_dir: null,
  logs: [],
  current: null,
  completed: null,
  total: null,
  progress: null,
  downloads: null,
}
