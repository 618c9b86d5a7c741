/**
 * The file beside a journal that says what has been written since. It is never synced and counts only within the boot,
 * so that a record costs one small write in place, and there can be one for every few hundred kilobytes.
 */

/** How much may have been written without being recorded, in bytes. */
const recordBytes = 256 * 1024

/** The same before the first record of a part, which is a journal. Smaller files need none in that way. */
const firstRecordBytes = 512 * 1024

/** A record may cost this share of what it records. */
const recordShare = 64

/**
 * Whether a record is to be written at once. The others are written after a while, whatever there is to record.
 *
 * @param unrecorded - how many bytes the newest record does not know.
 * @param newest - length of the newest record in bytes; null if there is none.
 */
export function isRecordDue(unrecorded: number, newest: number | null): boolean {
  return unrecorded >= (newest === null ? firstRecordBytes : Math.max(recordBytes, newest * recordShare))
}

/**
 * Distance of the two slots of the file, in bytes. Records are written into them in turn: a kill may tear the one that
 * is being written, and the other one is as whole as before.
 */
export const slotBytes = 64 * 1024

/** Frames a record: its number at both ends shows that all of it is there, since bytes are written in their order. */
export function encodeRecord(number: number, text: string): string {
  return `${number} ${text} ${number}\n`
}

/** The records of a file that are whole. */
export function parseRecords(data: Buffer): string[] {
  return [0, slotBytes].flatMap((start) => {
    const end = data.indexOf('\n', start)
    if (end === -1) return []
    const line = data.toString('utf8', start, end)
    const [number = ''] = line.split(' ', 1)
    const whole = line.length > 2 * number.length + 2 && line.endsWith(` ${number}`)
    return whole ? [line.slice(number.length + 1, -number.length - 1)] : []
  })
}
