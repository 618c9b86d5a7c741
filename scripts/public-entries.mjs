/** The sources of what the package exports besides its adapters: they are documented, and checked for it. */
export const publicEntries = [
  'src/index.ts',
  'src/client/index.ts',
  'src/elements/types.ts',
  'src/store/conformance.ts',
  'src/observe/metrics.ts',
  'src/observe/tracing.ts',
  'src/cluster/redis/redis.ts',
  'src/cluster/bullmq/bullmq.ts',
]
