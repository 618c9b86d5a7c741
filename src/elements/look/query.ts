/** What somebody means by a text, and what can be downloaded of what was found. Pure. */
import type { WireInspection } from '../../client/index.js'

/** What to ask the server. */
export type LookQuery = { kind: 'search'; text: string } | { kind: 'inspect'; url: string }

/** A text with a scheme is looked at, and so is the name of a repository; everything else is searched for. */
export function queryFor(text: string): LookQuery {
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return { kind: 'inspect', url: text }
  if (/^[\w.-]+\/[\w.-]+$/.test(text)) return { kind: 'inspect', url: `hf:${text}` }
  return { kind: 'search', text }
}

/** The ref of one quantisation; null if it can't be named alone. */
export function quantisationRef({ url }: Pick<WireInspection, 'url'>, quantisation: string): string | null {
  return /^hf:[\w.-]+\/[\w.-]+$/i.test(url) ? `${url}:${quantisation}` : null
}
