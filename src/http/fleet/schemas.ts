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

const stopModels = 'Keys, separated by commas; none or `all`: every model that any node is to have.'

const stopNodes =
  'Names of nodes and `label:…`, separated by commas, as they were given at the start; none or `all`: everything.'

/** Query of `POST /api/v1/models/fleet/stop`. */
export const fleetStopQuery = z.object({
  models: z.string().optional().describe(stopModels),
  nodes: z.string().optional().describe(stopNodes),
})

/** Body of `POST /api/v1/models/fleet/stop`; may be `null` or omitted. */
export const fleetStopRequest = z
  .object({
    models: z
      .union([z.string(), z.array(z.string())])
      .nullish()
      .describe(stopModels),
    nodes: z.string().nullish().describe(stopNodes),
  })
  .nullable()

/** Response of `POST /api/v1/models/fleet/stop`. */
export const fleetStoppedSchema = z.object({
  success: z.literal(true),
  models: z.array(z.string()).describe('Keys of the models of which something was taken back.'),
  wishes: z
    .array(z.object({ key: z.string(), nodes: z.string() }))
    .describe('What nodes are still to have of the given models.'),
})

/** See {@link fleetStoppedSchema}. */
export type FleetStopped = z.infer<typeof fleetStoppedSchema>

/** See {@link fleetStatusSchema}. */
export type WireFleetStatus = z.infer<typeof fleetStatusSchema>
