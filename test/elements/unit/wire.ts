/** Downloads for tests of what is shown of them. */
import type { WireDownload } from '../../../src/client/index.js'

/** A download that waits, but for what is given. */
export function downloadOf(url: string, of: Partial<WireDownload> = {}): WireDownload {
  return {
    ...{ url, filename: url, mode: 'llm', status: 'downloading', downloaded: 0, total: 0, progress: 0 },
    ...{ error: null, state: 'queued', code: null, bytes_per_second: 0, eta_seconds: null, connections: 0 },
    ...{
      sha256: null,
      verified: false,
      verification: null,
      created_at: '',
      started_at: null,
      finished_at: null,
    },
    ...{ file_count: null, files_completed: null, files: null },
    ...of,
  }
}
