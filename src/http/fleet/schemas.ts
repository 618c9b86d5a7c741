/** What `GET /api/v1/models/fleet/status` and its events answer. */
import * as z from 'zod'

const time = z.iso.datetime()

const cell = z.object({
  state: z
    .enum(['ready', 'queued', 'downloading', 'waiting', 'failed', 'missing', 'absent'])
    .describe('`waiting`: other nodes fetch it first; `absent`: nothing is heard of the node.'),
  percent: z.number(),
  speed: z.number().describe('Bytes per second.'),
  error: z.string().nullable(),
  last_seen: time,
})

/** See `FleetStatus` in `catalog/fleet/view.ts`. */
export const fleetStatusSchema = z.object({
  success: z.literal(true),
  nodes: z.array(
    z.object({
      name: z.string(),
      labels: z.array(z.string()),
      absent: z.boolean().describe('Nothing has been heard of it for a while.'),
      ready: z.boolean().describe('It is there, and has every model that it is to have.'),
      last_seen: time,
    }),
  ),
  models: z.record(z.string(), z.record(z.string(), cell)).describe('By key of the model, then by node.'),
  timestamp: time,
})

/** See {@link fleetStatusSchema}. */
export type WireFleetStatus = z.infer<typeof fleetStatusSchema>
