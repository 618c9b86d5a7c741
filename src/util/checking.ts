import { formatBytes } from './format.js'

/** The message of the log when a large file that is on disk already is read to compare its digest. */
export function checkingText(bytes: number): string {
  return `Checking a file of ${formatBytes(bytes)} that is on disk already.`
}

/** Whether a message is that of {@link checkingText}, possibly after the name of a file of a group. */
export function isCheckingText(message: string): boolean {
  return /(?:^|: )Checking a file of [^:]+ that is on disk already\.$/s.test(message)
}
