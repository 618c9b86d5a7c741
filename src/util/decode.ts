/** Text of a file that a person or a program has written, in whatever encoding that program uses, and text of servers. */
import { Slices } from './slices.js'

/** The text of a file, or where it stops being text. */
export type Decoded = { text: string } | { badLine: number }

const encodings = { utf8: 'utf-8', little: 'utf-16le', big: 'utf-16be' } as const

/**
 * Decodes a file: UTF-8, with or without a byte order mark, or UTF-16, which `>` of Windows PowerShell writes.
 *
 * @returns the text without its mark, or the number of the first line that is not valid.
 */
export function decodeText(bytes: Uint8Array): Decoded {
  const encoding = encodingOf(bytes)
  try {
    return { text: new TextDecoder(encoding, { fatal: true }).decode(bytes) }
  } catch {
    return { badLine: encoding === 'utf-8' ? badLineOf(bytes) : 1 }
  }
}

function encodingOf([first, second]: Uint8Array): (typeof encodings)[keyof typeof encodings] {
  if (first === 0xff && second === 0xfe) return encodings.little
  if (first === 0xfe && second === 0xff) return encodings.big
  // Without a mark, the zero byte of an ASCII character tells. Neither URLs nor JSON contain NUL.
  if (second === 0 && first !== undefined && first !== 0) return encodings.little
  return first === 0 && second !== undefined && second !== 0 ? encodings.big : encodings.utf8
}

/** Number of the first line that is not UTF-8. A line feed is never a part of a longer sequence. */
function badLineOf(bytes: Uint8Array): number {
  let line = 1
  for (let start = 0; start < bytes.length; line += 1) {
    const end = bytes.indexOf(0x0a, start)
    const next = end === -1 ? bytes.length : end + 1
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, next))
    } catch {
      return line
    }
    start = next
  }
  return line
}

/** How much is decoded at once, in bytes. */
const defaultPieceBytes = 256 * 1024

/**
 * Decodes text that may be long, in slices: characters that are not ASCII take long. It is UTF-8, or what {@link decodeText}
 * takes for UTF-16. What is not valid becomes U+FFFD, and a byte order mark is kept.
 *
 * @param pieceBytes - how much to decode at once. Default 256 KiB.
 */
export async function decodeInTurn(bytes: Uint8Array, pieceBytes = defaultPieceBytes): Promise<string> {
  const decoder = new TextDecoder(encodingOf(bytes), { ignoreBOM: true })
  const slices = new Slices()
  let text = ''
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    const piece = bytes.subarray(start, start + pieceBytes)
    text += decoder.decode(piece, { stream: true })
    slices.spend(piece.length)
    await slices.rest()
  }
  return text + decoder.decode()
}
