/** Decides how a download is called, and what is said of where it comes from. Pure. */
import type { WireDownload } from '../../client/index.js'

/** The names of hubs by the scheme of their refs. */
const hubs: Readonly<Record<string, string>> = {
  hf: 'Hugging Face',
  huggingface: 'Hugging Face',
  ms: 'ModelScope',
  modelscope: 'ModelScope',
  ollama: 'Ollama',
  gh: 'GitHub',
  github: 'GitHub',
}

const isHttp = (url: string) => /^https?:/i.test(url)

/** Whether a ref stands for files that its source has not named yet. */
function isUnresolved({ url, state, total, downloaded, file_count: files }: WireDownload): boolean {
  return !isHttp(url) && state !== 'completed' && total === 0 && downloaded === 0 && typeof files !== 'number'
}

/** The name of a download: the ref while nothing else is known of it, otherwise its file or folder. */
export function nameOf(download: WireDownload): string {
  return isUnresolved(download) ? download.url : download.filename
}

/** Where a download comes from, in a line: the host and path of a URL, or the ref. */
export function originOf(download: WireDownload): string {
  const { url } = download
  if (!isHttp(url)) {
    if (!isUnresolved(download)) return url
    const scheme = url.slice(0, Math.max(0, url.indexOf(':'))).toLowerCase()
    return hubs[scheme] ?? scheme
  }
  if (!URL.canParse(url)) return url
  const { host, pathname } = new URL(url)
  return host + decoded(pathname).replace(/\/$/, '')
}

function decoded(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

/** What an `<option>` for a speed limit stands for, in bytes per second; 0 for no limit. */
export const speedLimits = [0, 1e6, 2e6, 5e6, 10e6, 25e6, 50e6, 100e6] as const

/** The limits to choose from, among them the current one. */
export function limitsWith(current: number | null): readonly number[] {
  const limits = new Set<number>([...speedLimits, current ?? 0])
  return [...limits].sort((a, b) => a - b)
}

/** The priorities to choose from. */
export const priorities = { high: 10, normal: 0, low: -10 } as const

/** The priorities to choose from, among them the current one, highest first. */
export function prioritiesWith(current: number): readonly number[] {
  return [...new Set<number>([...Object.values(priorities), current])].sort((a, b) => b - a)
}
