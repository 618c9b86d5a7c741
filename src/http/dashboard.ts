/** The dashboard: one page that holds all it needs, and the headers that keep it so. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { builtFile } from '../disk/system.js'
import { DownloadError } from '../errors.js'

/** The page as it is sent. */
interface Page {
  readonly html: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
}

let page: Promise<Page> | null = null

/**
 * Answers with the dashboard. It holds no data and needs no permission: whatever it shows, it asks for as its caller.
 *
 * @throws DownloadError `NOT_FOUND` where the page was left behind.
 */
export async function dashboard(request: Request): Promise<Response> {
  page ??= load().catch((error: unknown) => {
    page = null
    throw error
  })
  const { html, headers } = await page
  if (request.headers.get('if-none-match') === headers['ETag'])
    return new Response(null, { status: 304, headers })
  return new Response(html, { headers: { ...headers, 'Content-Length': String(html.byteLength) } })
}

async function load(): Promise<Page> {
  const file = builtFile('dashboard.html')
  if (file === null) {
    const message = 'The dashboard is not here: whoever bundled this server has left dashboard.html behind.'
    throw new DownloadError('NOT_FOUND', message)
  }
  const text = await readFile(file, 'utf8')
  return {
    html: new TextEncoder().encode(text),
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policyFor(text),
      // Asked for again each time, and answered with 304 until the package is another one.
      'Cache-Control': 'no-cache',
      ETag: `"${hashOf(text).slice(0, 22)}"`,
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
    },
  }
}

/**
 * What the page may do (https://www.w3.org/TR/CSP3/): run its own script, wear its own styles, and talk to the server it
 * came from. Pure.
 */
export function policyFor(html: string): string {
  const hashes = (element: string) =>
    [...html.matchAll(new RegExp(`<${element}\\b[^>]*>([^]*?)</${element}>`, 'g'))].map(
      ([, text = '']) => `'sha256-${hashOf(text)}'`,
    )
  return [
    "default-src 'none'",
    `script-src ${hashes('script').join(' ')}`,
    `style-src ${hashes('style').join(' ')}`,
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    // So that no other site lays it under something that is clicked on.
    "frame-ancestors 'self'",
    "require-trusted-types-for 'script'",
    'trusted-types lit-html',
  ].join('; ')
}

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64')
