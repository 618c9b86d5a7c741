/** The log of a preload. Pure. */
import { redactUrls } from '../redact.js'

/** Lines that are kept. */
export const maxLogLines = 500
/** A line is for people; what is longer is cut. */
const maxLineLength = 1_000

/**
 * One line: `2026-02-15T02:00:01Z [llm] downloading …`, without line breaks, terminal codes and secrets in URLs.
 *
 * @param at - when.
 * @param about - the key of a model, or `preload` for the run.
 * @param message - what happened.
 */
export function logLine(at: Date, about: string, message: string): string {
  const text = redactUrls(message).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
  const cut = text.length > maxLineLength ? `${text.slice(0, maxLineLength)}…` : text
  return `${at.toISOString().slice(0, 19)}Z [${about}] ${cut}`
}

/** The lines with one more; the oldest go when there are too many. */
export function appendLine(lines: readonly string[], line: string): string[] {
  return [...lines.slice(-(maxLogLines - 1)), line]
}
