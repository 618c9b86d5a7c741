/** The parts of HTTP/1.1 that the origin needs: parsing requests and ranges, and formatting response heads. Pure. */
import { STATUS_CODES } from 'node:http'
import type { HeaderValues } from './origin-types.js'

/** A parsed request. */
export interface ParsedRequest {
  method: string
  target: string
  path: string
  query: URLSearchParams
  headers: Record<string, string>
  body: Buffer
}

/** Parses the first request in the received bytes. Returns it and its length, or null while it is incomplete. */
export function parseRequest(bytes: Buffer): { request: ParsedRequest; length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) {
    if (bytes.length > 1024 * 1024) throw new Error('The request head is too long.')
    return null
  }
  const [requestLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n')
  const match = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(requestLine)
  if (match === null) throw new Error(`This is no request: ${requestLine.slice(0, 100)}`)
  const [, method = '', target = ''] = match
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon < 1) throw new Error(`This is no header: ${line.slice(0, 100)}`)
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  const bodyStart = headEnd + 4
  const length = bodyStart + Number(headers['content-length'] ?? 0)
  if (bytes.length < length) return null
  const url = new URL(target, 'http://origin.invalid')
  return {
    request: {
      method,
      target,
      path: url.pathname,
      query: url.searchParams,
      headers,
      body: Buffer.from(bytes.subarray(bodyStart, length)),
    },
    length,
  }
}

/** A requested range, see `OriginRequest.range`. */
export type AskedRange = { start: number; end: number | null }

/**
 * Parses a Range header. Returns null when its unit is not bytes, so that it is ignored, and an empty list when it is
 * malformed, which results in 416 as with nginx.
 */
export function parseRanges(header: string | undefined): AskedRange[] | null {
  if (header === undefined || !/^bytes=./i.test(header)) return null
  const ranges: AskedRange[] = []
  for (const part of header.slice(6).split(',')) {
    const match = /^(\d*)-(\d*)$/.exec(part.trim())
    if (match === null) return []
    const [, start = '', end = ''] = match
    if (start === '' && end === '') return []
    if (start === '') ranges.push({ start: end === '0' ? Infinity : -Number(end), end: null })
    else ranges.push({ start: Number(start), end: end === '' ? null : Number(end) })
  }
  return ranges
}

/** The requested range within a content of `size` bytes, with an exclusive end; null when it is outside. */
export function resolveRange(
  { start, end }: AskedRange,
  size: number,
): { start: number; end: number } | null {
  const from = start < 0 ? Math.max(0, size + start) : start
  const to = end === null ? size : Math.min(end + 1, size)
  return from < to ? { start: from, end: to } : null
}

/** Header lines in the order in which they are sent. Names may repeat. */
export type HeaderLines = [name: string, value: string][]

/** Sets, repeats or removes headers. Names are compared case-insensitively. */
export function applyHeaders(lines: HeaderLines, values: HeaderValues): HeaderLines {
  const touched = new Set(Object.keys(values).map((name) => name.toLowerCase()))
  const result = lines.filter(([name]) => !touched.has(name.toLowerCase()))
  for (const [name, value] of Object.entries(values)) {
    if (value === null) continue
    for (const one of typeof value === 'string' ? [value] : value) result.push([name, one])
  }
  return result
}

/** Formats the head of a response. */
export function formatHead(status: number, lines: HeaderLines): Buffer {
  const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${text}\r\n`, 'latin1')
}

/** Formats `Retry-After` as seconds or as a date. A string is used as it is. */
export function formatRetryAfter(value: number | Date | string): string {
  return value instanceof Date ? value.toUTCString() : String(value)
}
