/** What the view of a fleet shows. Pure. */
import type { FleetStatus } from '../../client/index.js'

/** A node of a fleet. */
export type FleetViewNode = FleetStatus['nodes'][number]

/** A model on a node. */
export type FleetViewCell = FleetStatus['models'][string][string]

/** A model, and how it is on each node. */
export interface FleetRow {
  readonly key: string
  /** In the order of the nodes; null on a node that is not to have it. */
  readonly cells: readonly (FleetViewCell | null)[]
}

/** What the view shows. */
export interface FleetView {
  readonly nodes: readonly FleetViewNode[]
  readonly rows: readonly FleetRow[]
  /** How many of the nodes that are there have all that they are to have. */
  readonly ready: number
  /** How many nodes are there. */
  readonly present: number
  readonly absent: number
  /** All labels, in order. */
  readonly labels: readonly string[]
}

/** Nodes that are there come first, each group by name. */
export function fleetViewOf({ nodes, models }: FleetStatus): FleetView {
  const sorted = [...nodes].sort(
    (one, other) =>
      Number(one.absent) - Number(other.absent) ||
      one.name.localeCompare(other.name, 'en-US', { numeric: true }),
  )
  const present = sorted.filter(({ absent }) => !absent)
  return {
    nodes: sorted,
    rows: Object.entries(models).map(([key, row]) => ({
      key,
      cells: sorted.map(({ name }) => row[name] ?? null),
    })),
    ready: present.filter(({ ready }) => ready).length,
    present: present.length,
    absent: sorted.length - present.length,
    labels: [...new Set(sorted.flatMap(({ labels }) => labels))].sort(),
  }
}

/** The terms of a selector of nodes, such as `node-1, label:gpu`. */
export function termsOf(selector: string): string[] {
  return selector
    .split(',')
    .map((term) => term.trim())
    .filter((term) => term !== '')
}

/** The selector with a node added, or without it if it was in it. `all` is replaced by the node. */
export function toggledIn(selector: string, node: string): string {
  const terms = termsOf(selector).filter((term) => term !== 'all')
  const left = terms.filter((term) => term !== node)
  return left.length < terms.length ? left.join(', ') : [...terms, node].join(', ')
}
