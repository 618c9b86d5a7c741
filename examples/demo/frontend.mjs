/** Uses the routes as a frontend would: starts a download, then polls until it has completed or failed. */
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Downloads a URL through the routes and prints its progress.
 *
 * @param {string} base URL where the routes are mounted, without a trailing slash.
 * @param {string} url URL of the model.
 * @param {Record<string, string>} [headers] headers of each request, for example `{ authorization: 'Bearer …' }`.
 */
export async function downloadOverRest(base, url, headers = {}) {
  const started = await ask(`${base}/api/models/download`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ url }),
  })
  console.log(`${started.filename}: ${started.message}`)
  for (;;) {
    const { download } = await ask(`${base}/api/models/download/status?${new URLSearchParams({ url })}`, {
      headers,
    })
    console.log(`${download.filename}: ${download.status} ${download.progress.toFixed(1)} %`)
    if (download.status === 'failed') throw new Error(download.error)
    if (download.status === 'completed') return
    await delay(200)
  }
}

async function ask(url, init) {
  const response = await fetch(url, init)
  const body = await response.json()
  if (!body.success) throw new Error(`${response.status} ${body.code}: ${body.detail}`)
  return body
}
