import { stripVTControlCharacters } from 'node:util'
import type { DownloadState } from '../download/states.js'
import type { Verification } from '../util/digests.js'
import { formatBytes, formatDuration } from '../util/format.js'
import { texts } from './language.js'

const wide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\u30fb\u30fc\uff01-\uff60\uffe0-\uffe6]/u

const narrowKatakana = /[\uff61-\uffdc]/u

const zeroWidth = /[\p{Mark}\p{Cf}\p{Cc}]/u

/** Number of terminal cells that a character occupies: 0, 1 or 2 (East Asian wide characters and emoji). */
function cells(character: string): number {
  if (zeroWidth.test(character)) return 0
  if (narrowKatakana.test(character)) return 1
  return wide.test(character) ? 2 : 1
}

/**
 * Number of terminal cells that a text occupies. The text must not contain escape sequences; see {@link
 * plain}.
 */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of text) width += cells(character)
  return width
}

/**
 * Fits a text into exactly `width` cells: pads it with spaces, or shortens it in the middle, so that its
 * beginning and suffix stay visible.
 */
export function fit(text: string, width: number): string {
  const missing = width - displayWidth(text)
  if (missing >= 0) return text + ' '.repeat(missing)
  if (width <= 1) return '…'.slice(0, Math.max(0, width))
  const back = Math.floor((width - 1) / 2)
  const letters = lettersOf(text)
  const start = take(letters, width - 1 - back).join('')
  const end = take(letters.reverse(), back).reverse().join('')
  const cut = `${start}…${end}`
  return cut + ' '.repeat(Math.max(0, width - displayWidth(cut)))
}

/** The letters of a text as people see them, each with its marks. */
export function lettersOf(text: string): string[] {
  return Array.from(letterSegmenter().segment(text), ({ segment }) => segment)
}

let segmenter: Intl.Segmenter | undefined

/** Created on first use: the first segmenter takes 10 ms, a tenth of the startup time. */
function letterSegmenter(): Intl.Segmenter {
  segmenter ??= new Intl.Segmenter()
  return segmenter
}

/** Takes as many letters from the start as fit into `width` cells. */
export function take(letters: readonly string[], width: number): string[] {
  let used = 0
  const end = letters.findIndex((letter) => (used += displayWidth(letter)) > width)
  return end === -1 ? [...letters] : letters.slice(0, end)
}

/**
 * Makes a text that may come from a server safe for a terminal: one line, without escape sequences and
 * control characters.
 */
export function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\t-\r\p{Zl}\p{Zp}]/gu, ' ')
    .replace(hidden, '')
}

/** Control characters, C1 included, and those that reorder or hide text. Joiners are kept, which emoji consist of. */
const hidden =
  /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\u{e0000}-\u{e007f}]/gu

/**
 * JSON on one line, for `--json`. Characters that a terminal could act on are escaped, since the line may be shown
 * on one; their meaning stays the same.
 */
export function jsonLine(value: unknown): string {
  const json = JSON.stringify(value).replace(hidden, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
    }).join(''),
  )
  return `${json}\n`
}

/** State of a running download, as lines and bars show it. */
export interface LineState {
  /** File name, or the URL while the name is not known. */
  name: string
  phase: DownloadState
  downloaded: number
  total: number | null
  /** 0 to 100. */
  percent: number
  bytesPerSecond: number
  etaSeconds: number | null
  connections: number
  /** Set while the download waits for a retry. */
  retry: {
    code: string
    seconds: number
    /** How many retries there were since bytes last arrived. Default: 1. */
    attempt?: number
  } | null
}

/** `12.5 MB/40.0 MB`, or `12.5 MB` while the total size is unknown. */
function amount(state: LineState): string {
  const done = formatBytes(state.downloaded)
  return state.total === null ? done : `${done}/${formatBytes(state.total)}`
}

/** Text for a download in another phase than downloading; null while it is downloading. */
function special(state: LineState): string | null {
  const { retry, connecting, verifying, waiting } = texts()
  if (state.retry !== null) {
    const { seconds, code, attempt = 1 } = state.retry
    return retry(formatDuration(Math.ceil(seconds)), code, attempt)
  }
  if (state.phase === 'resolving') return connecting
  if (state.phase === 'verifying') return verifying
  if (state.phase === 'queued') return waiting
  return null
}

function percentText(state: LineState): string {
  return state.total === null ? '  --%' : `${state.percent.toFixed(1).padStart(4)}%`
}

/**
 * One line for a terminal, at most `columns - 1` cells wide: name and percentage and, if there is enough
 * space, speed, ETA, connections, bytes and a bar. For a given width, every field has a fixed position, so
 * that consecutive lines align.
 */
export function barLine(state: LineState, columns: number): string {
  const room = Math.max(10, columns - 1)
  const right = rightOf(state, room)
  const left = room - displayWidth(right) - 2
  if (left < 8) return fit(right, room).trimEnd()
  const name = nameRoom(left)
  const bar = Math.min(40, left - name - 2)
  const middle = bar < 8 ? '' : `  ${drawBar(state, bar)}`
  return fit(`${fit(state.name, name)}${middle}  ${right}`, room).trimEnd()
}

/** The cells that {@link barLine} has for the name; 0 if it shows none. */
export function nameWidth(state: LineState, columns: number): number {
  const room = Math.max(10, columns - 1)
  const left = room - displayWidth(rightOf(state, room)) - 2
  return left < 8 ? 0 : nameRoom(left)
}

function rightOf(state: LineState, room: number): string {
  const fields: string[] = [percentText(state)]
  if (room >= 91) fields.push(amount(state).padStart(15))
  else if (room >= 55) fields.push(formatBytes(state.downloaded).padStart(7))
  const motion = motionText(state, room)
  const busy = special(state)
  fields.push(busy === null ? motion : fit(busy, displayWidth(motion)))
  return fields.join('  ')
}

/** The cells for the name, of those that it shares with the bar. */
function nameRoom(left: number): number {
  return left < 22 ? left : Math.max(12, Math.min(40, Math.floor(left * 0.6)))
}

/** Speed and, if there is enough space, ETA and connections; equally wide for all downloads. */
function motionText(state: LineState, room: number): string {
  const parts = [`${formatBytes(state.bytesPerSecond)}/s`.padStart(9)]
  const eta = state.etaSeconds === null ? '--' : formatDuration(state.etaSeconds)
  if (room >= 44) parts.push(fit(`ETA ${eta}`, 10))
  if (room >= 50) parts.push(`×${state.connections}`.padEnd(3))
  return parts.join('  ')
}

function drawBar(state: LineState, width: number): string {
  const full = state.total === null ? 0 : Math.floor((state.percent / 100) * width)
  return '█'.repeat(full) + '░'.repeat(width - full)
}

/** One line for a log: every known value, without padding. */
export function progressLine(state: LineState): string {
  const busy = special(state)
  const { colon, comma, connections } = texts()
  const head = `${state.name}${colon}${amount(state)}${state.total === null ? '' : ` (${state.percent.toFixed(1)}%)`}`
  if (busy !== null) return `${head}${comma}${busy}`
  const parts = [head, `${formatBytes(state.bytesPerSecond)}/s`]
  if (state.etaSeconds !== null) parts.push(`ETA ${formatDuration(state.etaSeconds)}`)
  return [...parts, connections(state.connections)].join(comma)
}

/** State of a finished download, as its line shows it. */
export interface FinishedState {
  path: string
  size: number
  /** Whether the file matched an expected digest. */
  verified: boolean
  /** What it matched. Default: a SHA-256 that was known before. */
  verification?: Pick<Verification, 'algorithm' | 'from'> | null
  existed: boolean
  fetchedBytes: number
  /** Set if the file was taken from another program's cache. */
  adoptedFrom?: string | null
  /** Duration of the transfer. */
  seconds: number
  /** How often it was retried. Default: 0. */
  retries?: number
}

/** One line for a finished file, without its check mark. */
export function finishedLine(state: FinishedState): string {
  const { colon, comma, adopted, existed, digestVerified, fetched, kept, retried } = texts()
  const size = formatBytes(state.size)
  const parts: string[] = []
  if ((state.adoptedFrom ?? null) !== null) parts.push(size, adopted)
  else if (state.existed) parts.push(size, existed)
  else {
    const seconds = Math.max(state.seconds, 0.001)
    const time = seconds < 10 ? `${seconds.toFixed(1)}s` : formatDuration(seconds)
    parts.push(fetched(size, time, formatBytes(state.fetchedBytes / seconds)))
    if (state.fetchedBytes < state.size) parts.push(kept(formatBytes(state.size - state.fetchedBytes)))
  }
  const { algorithm, from } = state.verification ?? ({ algorithm: 'sha256', from: 'source' } as const)
  if (state.verified) parts.push(digestVerified(algorithm, from))
  const { retries = 0 } = state
  if (retries > 0) parts.push(retried(retries))
  return `${state.path}${colon}${parts.join(comma)}`
}
