/** What `GET /api/models/cluster` answers. */
import * as z from 'zod'
import { downloadStates } from '../../download/states.js'
import { byteCount, isoTime, succeeded } from '../wire-fields.js'

/** An instance of the cluster. */
const instance = z.object({
  id: z.string().describe('Another start of the same server is another instance.'),
  node: z.string().describe('Name of its machine or pod.'),
  self: z.boolean().describe('Whether it is the one that has answered.'),
  absent: z.boolean().describe('Whether nothing has been heard of it for a few seconds.'),
  last_seen: isoTime.nullable().describe('Null if only its leases are known.'),
  running: byteCount.describe('Number of downloads that it runs.'),
  bytes_per_second: byteCount,
})

/** The right to run or change a download. */
const lease = z.object({
  url: z.string(),
  filename: z.string(),
  state: z.enum(downloadStates),
  instance: z.string().describe('`id` of the instance that holds it.'),
  node: z.string(),
  epoch: z.number().describe('Grows each time the lease is taken.'),
})

/** Response of `GET /api/models/cluster`. */
export const clusterStatusSchema = z.object({
  success: succeeded,
  away: z.boolean().describe('Whether Redis can not be reached, so that all of this may be out of date.'),
  instances: z.array(instance).describe('The one that has answered first, the others by `id`.'),
  leases: z.array(lease).describe('At most 1,000.'),
  lease_count: byteCount,
  waiting: byteCount.describe('Number of downloads that wait, of the whole cluster.'),
  running: byteCount.describe('Number of downloads that all instances run.'),
  bytes_per_second: byteCount.describe('Speed of all instances together.'),
  limits: z.object({
    concurrency: byteCount
      .nullable()
      .describe('How many downloads may run in the cluster; null for any number.'),
    max_bytes_per_second: z.number().nullable().describe('For all instances together; null for no limit.'),
    share_bytes_per_second: z
      .number()
      .nullable()
      .describe('What of this is left to the one that has answered.'),
    lease_ms: byteCount.describe('How long a lease lasts without being renewed, in milliseconds.'),
  }),
  timestamp: isoTime,
})

/** See {@link clusterStatusSchema}. */
export type ClusterStatus = z.infer<typeof clusterStatusSchema>
