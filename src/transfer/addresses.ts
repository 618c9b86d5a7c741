/** The addresses of one file: `url`, and its mirrors. Pure. */
import { createHash } from 'node:crypto'

/** What stands for an address in a journal: the address may hold what nobody should read there. */
export function mirrorId(url: string): string {
  return createHash('sha256').update(url).digest('hex').slice(0, 16)
}

/** All addresses of a file, each once, `url` first. */
export function addressesOf({ url, urls }: { url: string; urls?: readonly string[] }): readonly string[] {
  return urls === undefined || urls.length === 0 ? [url] : [...new Set([url, ...urls])]
}

/** The caller's headers are for the origin of the first address. */
export function headersFor(
  url: string,
  first: { url: string; headers: Record<string, string> },
): Record<string, string> {
  return new URL(url).origin === new URL(first.url).origin ? first.headers : {}
}
