/** The figures of one scenario, and what follows from them. */

/**
 * @typedef {{ wall: number, cpu: number, peak: number }} Run seconds, seconds, bytes
 * @typedef {{ min: number, median: number, max: number }} Spread
 */

/** What the tools did in one scenario, round by round. */
export class ScenarioResults {
  /** @type {Map<string, { label: string, runs: Map<number, Run>, fault: string | null }>} */
  #tools = new Map()

  /** @param {import('./scenarios.mjs').Scenario} scenario */
  constructor(scenario) {
    this.scenario = scenario
  }

  /** @param {import('./tools.mjs').Tool} tool */
  add(tool) {
    this.#tools.set(tool.id, { label: tool.label, runs: new Map(), fault: null })
  }

  record(id, round, run) {
    this.#tools.get(id)?.runs.set(round, run)
  }

  /** From here on the tool counts as failed: a figure for work not done would mislead. */
  fail(id, why) {
    const entry = this.#tools.get(id)
    if (entry !== undefined) entry.fault = why
  }

  has(id) {
    return this.#tools.has(id)
  }

  label(id) {
    return this.#tools.get(id)?.label ?? id
  }

  fault(id) {
    return this.#tools.get(id)?.fault ?? null
  }

  ids() {
    return [...this.#tools.keys()]
  }

  /**
   * @param {string} id
   * @param {keyof Run} figure
   * @returns {Spread | null} null when the tool did not do its work
   */
  spread(id, figure) {
    const entry = this.#tools.get(id)
    if (entry === undefined || entry.fault !== null || entry.runs.size === 0) return null
    return spread([...entry.runs.values()].map((run) => run[figure]))
  }

  /**
   * How long `id` took in units of `base`: the median of the ratios within each round. Both ran close to each
   * other in a round, so what else the machine did weighs on both.
   * @returns {number | null}
   */
  ratio(id, base) {
    const a = this.#tools.get(id)
    const b = this.#tools.get(base)
    if (a === undefined || b === undefined || a.fault !== null || b.fault !== null) return null
    const ratios = []
    for (const [round, run] of a.runs) {
      const other = b.runs.get(round)
      if (other !== undefined) ratios.push(run.wall / other.wall)
    }
    return ratios.length === 0 ? null : spread(ratios).median
  }
}

/** @returns {Spread} */
export function spread(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  return { min: sorted[0], median, max: sorted.at(-1) }
}
