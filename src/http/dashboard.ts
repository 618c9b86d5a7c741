/** The dashboard: a single self-contained page and its security headers. */
import { createHash } from 'node:crypto'
import { readFile } from '../disk/fs.js'
import { builtFile } from '../disk/system.js'
import { DownloadError } from '../errors.js'

/** The page and its response headers. */
interface Page {
  readonly html: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
}

/** The page that comes with the package. It is read once. */
let built: Promise<Page> | null = null

/** Responds with the dashboard. */
export type Dashboard = (request: Request) => Promise<Response>

/**
 * Creates the function that responds with the dashboard. The page contains no data and needs no permission; it
 * requests its data with the permissions of its user.
 *
 * @param html - the page, as the host has bundled it; null for the file that comes with the package.
 * @returns rejects with a DownloadError `NOT_FOUND` when the file of the page is missing.
 */
export function createDashboard(html: string | null): Dashboard {
  if (html === null) return async (request) => respond(request, await builtPage())
  const page = pageOf(html)
  return (request) => Promise.resolve(respond(request, page))
}

function builtPage(): Promise<Page> {
  built ??= load().catch((error: unknown) => {
    built = null
    throw error
  })
  return built
}

function respond(request: Request, { html, headers }: Page): Response {
  if (request.headers.get('if-none-match') === headers['ETag'])
    return new Response(null, { status: 304, headers })
  return new Response(html, { headers: { ...headers, 'Content-Length': String(html.byteLength) } })
}

async function load(): Promise<Page> {
  const file = builtFile('dashboard.html')
  if (file === null) {
    const message =
      'The dashboard is not available: dashboard.html was not included when this server was bundled. ' +
      "Pass `ui: dashboardHtml` from 'model-downloader/dashboard'."
    throw new DownloadError('NOT_FOUND', message)
  }
  return pageOf(await readFile(file, 'utf8'))
}

function pageOf(text: string): Page {
  return {
    html: new TextEncoder().encode(text),
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policyFor(text),
      // Browsers revalidate each time, and get 304 until the package changes.
      'Cache-Control': 'no-cache',
      ETag: `"${hashOf(text).slice(0, 22)}"`,
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
    },
  }
}

/**
 * Content Security Policy of the page (https://www.w3.org/TR/CSP3/): it may run its own script, use its own
 * styles, and connect to the server that it came from. Pure.
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
    'manifest-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    // Prevents clickjacking by other sites.
    "frame-ancestors 'self'",
    "require-trusted-types-for 'script'",
    'trusted-types lit-html',
  ].join('; ')
}

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64')
