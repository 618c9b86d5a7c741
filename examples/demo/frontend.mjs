/** What a frontend does with the routes: ask for a download, then poll until it is done or has failed. */
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Downloads a URL through the routes and prints how far it is.
 *
 * @param {string} base where the routes are mounted, without a slash at the end.
 * @param {string} url of the model.
 * @param {Record<string, string>} [headers] for example `{ authorization: 'Bearer …' }`.
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
