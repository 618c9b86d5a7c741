/**
 * What two versions of a file have in common, by their plans: chunks of the same xorb. The one on disk need not be fetched
 * again. Pure.
 */
import type { Term } from './plan.js'

/** Bytes `[start, end)` of the new version that the old one has from `from` on. */
export interface SharedPart {
  start: number
  end: number
  from: number
}

interface PlacedTerm extends Term {
  /** Where its bytes begin in the file. */
  at: number
}

/**
 * Finds what two versions share. Where chunks lie inside of a term is not known, so only terms that begin or end with the
 * same chunk are compared; an edit leaves such terms before and behind itself.
 *
 * @param old - the terms of the complete old version.
 * @param fresh - those of the complete new one.
 * @returns parts in the order of the new version.
 */
export function sharedParts(old: readonly Term[], fresh: readonly Term[]): SharedPart[] {
  const byXorb = new Map<string, PlacedTerm[]>()
  for (const term of placed(old)) byXorb.set(term.xorb, [...(byXorb.get(term.xorb) ?? []), term])
  return placed(fresh).flatMap((term) => {
    let best: SharedPart | null = null
    for (const known of byXorb.get(term.xorb) ?? []) {
      const part = partOf(known, term)
      if (part !== null && (best === null || part.end - part.start > best.end - best.start)) best = part
    }
    return best ?? []
  })
}

function partOf(known: PlacedTerm, term: PlacedTerm): SharedPart | null {
  const isShorter = term.end - term.start <= known.end - known.start
  const length = isShorter ? term.length : known.length
  if (known.start === term.start) return { start: term.at, end: term.at + length, from: known.at }
  if (known.end !== term.end) return null
  const end = term.at + term.length
  return { start: end - length, end, from: known.at + known.length - length }
}

function placed(terms: readonly Term[]): PlacedTerm[] {
  let at = 0
  return terms.map((term) => {
    const from = at
    at += term.length
    return { ...term, at: from }
  })
}

/**
 * What comes next at a position: bytes to copy from `from` on, or, with null, bytes to fetch.
 *
 * @param end - where the range ends that is asked for.
 */
export function pieceAt(
  parts: readonly SharedPart[],
  position: number,
  end: number,
): { from: number | null; end: number } {
  for (const part of parts) {
    if (part.end <= position) continue
    if (part.start > position) return { from: null, end: Math.min(end, part.start) }
    return { from: part.from + position - part.start, end: Math.min(end, part.end) }
  }
  return { from: null, end }
}
