/** Which nodes of a fleet are meant. Pure. */
import { DownloadError } from '../../errors.js'

/** A node as selectors see it. */
export interface NodeIdentity {
  /** Name, unique in the fleet. */
  readonly name: string
  /** Labels, such as `gpu`. */
  readonly labels: readonly string[]
}

const word = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/

/** Whether a text can be the name of a node, or a label: letters, digits, dots, dashes and underscores, at most 64. */
export function isNodeWord(text: string): boolean {
  return word.test(text)
}

/** Longest list of names and labels. */
const maxTerms = 1_000

/**
 * Reads a selector: `all`, or names and `label:…`, separated by commas; a node is meant if one of them fits.
 *
 * @returns the same selector in one form, so that equal ones are equal texts.
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function parseSelector(text: string): string {
  const terms = text
    .split(',')
    .map((term) => term.trim())
    .filter((term) => term !== '')
  const wrong = terms.find((term) => !isNodeWord(term.replace(/^label:/, '')))
  if (terms.length === 0 || terms.length > maxTerms || wrong !== undefined) {
    const message = `nodes: must be all, or names of nodes and label:… separated by commas${wrong === undefined ? '' : `, not ${JSON.stringify(wrong)}`}.`
    throw new DownloadError('INVALID_OPTIONS', message, { issues: [{ path: 'nodes', message }] })
  }
  return terms.includes('all') ? 'all' : [...new Set(terms)].sort().join(',')
}

/** The parts of a selector that was read by {@link parseSelector}: a node is meant if one of them means it. */
export function selectorTerms(selector: string): string[] {
  return selector.split(',')
}

/** Whether a selector that was read by {@link parseSelector} means a node. */
export function selectsNode(selector: string, { name, labels }: NodeIdentity): boolean {
  if (selector === 'all') return true
  return selectorTerms(selector).some((term) =>
    term.startsWith('label:') ? labels.includes(term.slice('label:'.length)) : term === name,
  )
}
