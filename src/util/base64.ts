/** Base64 without Node's `Buffer`, which ignores what is wrong with a text. Pure. */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/**
 * Decodes base64 (RFC 4648 section 4), with or without its padding.
 *
 * @returns the bytes in lower-case hex; null if the text is not base64, or not the one that these bytes have.
 */
export function base64ToHex(text: string): string | null {
  const digits = text.replace(/={1,2}$/, '')
  const isPadded = digits.length < text.length
  if (digits.length % 4 === 1 || (isPadded && text.length % 4 !== 0)) return null
  let hex = ''
  let [bits, held] = [0, 0]
  for (const digit of digits) {
    const value = alphabet.indexOf(digit)
    if (value === -1) return null
    held = (held << 6) | value
    bits += 6
    if (bits < 8) continue
    bits -= 8
    hex += (held >> bits).toString(16).padStart(2, '0')
    held &= (1 << bits) - 1
  }
  // What is left over of the last digit must be 0.
  return held === 0 ? hex : null
}
