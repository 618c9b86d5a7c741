/** Records of finished downloads, as a store keeps them. */
import { createHash } from 'node:crypto'

export function knownUrl(sequence) {
  return `https://models.example/${String(sequence)}.gguf`
}

/** A finished download, with everything that one has. */
export function knownRecord(sequence) {
  const url = knownUrl(sequence)
  const sha256 = createHash('sha256').update(url).digest('hex')
  const at = '2026-01-01T00:00:00.000Z'
  return {
    ...{ version: 1, id: sha256, url, filename: `${String(sequence)}.gguf`, named: true, mode: 'llm' },
    ...{ state: 'completed', sha256, size: null, headers: { authorization: 'Bearer token' }, priority: 0 },
    ...{ connections: null, maxBytesPerSecond: null, remote: null, force: false, sequence },
    ...{ downloaded: 4_000_000_000, total: 4_000_000_000, error: null, resultSha256: sha256, verified: true },
    ...{ stamp: { size: 4_000_000_000, mtimeMs: 1.5, ino: sequence, sha256 } },
    ...{ createdAt: at, startedAt: at, finishedAt: at },
  }
}
