import type { TransferEngine } from './protocol.js'

/** The same engine, which starts transfers in another way. */
export function withStart(engine: TransferEngine, start: TransferEngine['start']): TransferEngine {
  return {
    start,
    prepare: () => engine.prepare?.(),
    report: async (measure) => (await engine.report?.(measure)) ?? null,
    setMaxBytesPerSecond: (limit) => {
      engine.setMaxBytesPerSecond(limit)
    },
    close: () => engine.close(),
  }
}
