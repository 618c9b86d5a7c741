/** Decides from where a node of a fleet gets a file, so that only a few of them fetch it from its origin. Pure. */

/** What is known of a file in the fleet. Nodes that are gone are not in it. */
export interface SeedView {
  /** Nodes that have the file, complete and checked. */
  holders: readonly string[]
  /** Nodes that have said that they want it, in the order in which they did, the same for all who look. */
  claims: readonly string[]
}

/** From where a node gets a file. */
export type SeedDecision =
  | { from: 'disk' }
  /** From these other nodes. */
  | { from: 'peers'; nodes: readonly string[] }
  /** From its origin. */
  | { from: 'origin' }
  /** Enough others fetch it from its origin; one of them will have it. */
  | { from: 'wait' }

/**
 * Decides for one node. All nodes that see the same come to decisions that fit together: no more than `seeds` of them go to
 * the origin at the same time, and if one of those is gone, the next one in the order of claims takes its place.
 *
 * @param self - the node; it must have said that it wants the file, or it waits.
 * @param seeds - how many may fetch from the origin; at least one.
 */
export function decideSeed(self: string, { holders, claims }: SeedView, seeds: number): SeedDecision {
  if (holders.includes(self)) return { from: 'disk' }
  if (holders.length > 0) return { from: 'peers', nodes: rotated(holders, claims.indexOf(self)) }
  const rank = [...new Set(claims)].indexOf(self)
  return rank !== -1 && rank < Math.max(1, seeds) ? { from: 'origin' } : { from: 'wait' }
}

/** Each node asks another one first, so that the load is spread. */
function rotated(nodes: readonly string[], by: number): readonly string[] {
  const at = Math.max(0, by) % nodes.length
  return [...nodes.slice(at), ...nodes.slice(0, at)]
}
