/** What a fleet looks like, and what one node has to do about it. Pure. */
import { decideSeed, type SeedDecision } from '../../manager/peers/seeds.js'
import { type NodeIdentity, selectsNode, selectorTerms } from './selector.js'
import type { FleetContent, FleetWish, NodeModel, NodeModelState, SeenReport } from './store.js'

/** A cell of {@link FleetStatus}: a model on a node. A node that is gone is `absent`. */
export interface FleetCell extends Omit<NodeModel, 'state'> {
  /** What the node does about it; `absent` if nothing is heard of the node. */
  state: NodeModelState | 'absent'
  /** When the node was last heard of, ISO 8601 in UTC. */
  last_seen: string
}

/** A node in {@link FleetStatus}. */
export interface FleetNode {
  /** Name, unique in the fleet. */
  name: string
  /** Labels, by which it can be selected. */
  labels: readonly string[]
  /** Nothing has been heard of it for a while. */
  absent: boolean
  /** It is there, and has every model that it is to have. */
  ready: boolean
  /** When it was last heard of, ISO 8601 in UTC. */
  last_seen: string
}

/** The body of `GET /api/v1/models/fleet/status`. */
export interface FleetStatus {
  /** Always true, because failures are thrown. */
  success: true
  /** All nodes that have ever been heard of, by name. */
  nodes: FleetNode[]
  /** By key of the model, then by name of the node. */
  models: Record<string, Record<string, FleetCell>>
  /** When it was read, ISO 8601 in UTC. */
  timestamp: string
}

/** Keys of the models that a node is to have. */
export function wantedBy(wishes: readonly FleetWish[], node: NodeIdentity): string[] {
  return [...new Set(wishes.filter(({ nodes }) => selectsNode(nodes, node)).map(({ key }) => key))].sort()
}

/**
 * Which wishes end when nodes are not to have models any more: those that name exactly these nodes or labels, and with `all`
 * every one. A node that is selected in another way as well is still to have the model.
 *
 * @param selector - as `parseSelector` returns it.
 */
export function endedWishes(
  wishes: readonly FleetWish[],
  keys: ReadonlySet<string>,
  selector: string,
): FleetWish[] {
  const ended = new Set(selectorTerms(selector))
  return wishes.filter(
    ({ key, nodes }) =>
      keys.has(key) && (selector === 'all' || selectorTerms(nodes).every((term) => ended.has(term))),
  )
}

const missing: NodeModel = { state: 'missing', percent: 0, speed: 0, error: null }

const iso = (ms: number) => new Date(ms).toISOString()

/** @param absentMs - after which silence a node is gone, in milliseconds. */
export function fleetStatus({ now, wishes, reports }: FleetContent, absentMs: number): FleetStatus {
  const sorted = [...reports].sort((a, b) => (a.name < b.name ? -1 : 1))
  const nodes: FleetNode[] = []
  const cells = new Map<string, [string, FleetCell][]>(wishes.map(({ key }) => [key, []]))
  for (const report of sorted) {
    const { name, labels, models, seenAt } = report
    const absent = isAbsent(report, now, absentMs)
    const last_seen = iso(seenAt)
    const wanted = wantedBy(wishes, report)
    const ready = !absent && wanted.every((key) => models[key]?.state === 'ready')
    nodes.push({ name, labels, absent, ready, last_seen })
    for (const key of new Set([...wanted, ...Object.keys(models)])) {
      const model = models[key] ?? missing
      const cell: FleetCell = absent
        ? { ...model, state: 'absent', speed: 0, last_seen }
        : { ...model, last_seen }
      cells.set(key, [...(cells.get(key) ?? []), [name, cell]])
    }
  }
  const models = Object.fromEntries(
    [...cells].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, row]) => [key, Object.fromEntries(row)]),
  )
  return { success: true, nodes, models, timestamp: iso(now) }
}

function isAbsent({ seenAt }: SeenReport, now: number, absentMs: number): boolean {
  return now - seenAt > absentMs
}

/** What a node needs to know to decide. */
export interface FleetSelf extends NodeIdentity {
  /** Models of its catalog that it has. */
  ready: ReadonlySet<string>
}

/**
 * From where a node gets each model that it is to have and has not.
 *
 * @param keys - models of the node's catalog; it can't get any other.
 */
export function decisionsOf(
  content: FleetContent,
  { name, ready }: FleetSelf,
  { keys, seeds, absentMs }: { keys: readonly string[]; seeds: number; absentMs: number },
): Map<string, SeedDecision> {
  const alive = content.reports.filter((report) => !isAbsent(report, content.now, absentMs))
  const isAlive = new Set([name, ...alive.map((report) => report.name)])
  return new Map(
    keys
      .filter((key) => !ready.has(key))
      .map((key) => {
        const holders = alive
          // Nobody can be asked without an address.
          .filter((report) => report.name !== name && report.url !== null)
          .filter(({ models }) => models[key]?.state === 'ready')
          .map((report) => report.name)
          .sort()
        const claims = (content.claims[key] ?? []).filter((node) => isAlive.has(node))
        return [key, decideSeed(name, { holders, claims }, seeds)]
      }),
  )
}

/** Addresses of the nodes that have a file with a digest, other than the node itself. */
export function holdersOf(
  { now, reports }: FleetContent,
  { self, sha256, absentMs }: { self: string; sha256: string; absentMs: number },
): string[] {
  return reports
    .filter((report) => report.name !== self && !isAbsent(report, now, absentMs))
    .flatMap(({ url, digests }) => (url !== null && digests.includes(sha256) ? [url] : []))
}
