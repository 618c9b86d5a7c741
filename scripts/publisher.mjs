/**
 * Says in package.json who publishes the package, and where its sources are. Nothing else names them.
 *
 *     npm run publisher -- https://github.com/owner/model-downloader "Full Name <name@example.org>"
 *
 * Without arguments it only checks that both are there, as `npm publish` does before it sends anything.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const usage = 'npm run publisher -- https://github.com/OWNER/NAME "Full Name <name@example.org>"'

/**
 * The manifest with the fields that follow from the address of the repository's page and from the author.
 *
 * @param {Record<string, unknown>} manifest
 * @param {string} page
 * @param {string} author
 */
export function withPublisher(manifest, page, author) {
  const address = URL.canParse(page) ? new URL(page) : null
  const place = address?.pathname.replace(/\/+$|\.git$/gu, '') ?? ''
  if (address?.protocol !== 'https:' || place.split('/').length < 3)
    throw new Error(`"${page}" is not the address of a repository's page. Use: ${usage}`)
  if (author.trim() === '') throw new Error(`The author's name is missing. Use: ${usage}`)
  const base = `${address.origin}${place}`
  return {
    ...manifest,
    author: author.trim(),
    repository: { type: 'git', url: `git+${base}.git` },
    homepage: `${base}#readme`,
    bugs: { url: `${base}/issues` },
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = path.join(import.meta.dirname, '..', 'package.json')
  const manifest = JSON.parse(readFileSync(file, 'utf8'))
  const [page, author] = process.argv.slice(2)
  try {
    if (page !== undefined) {
      writeFileSync(file, `${JSON.stringify(withPublisher(manifest, page, author ?? ''), null, 2)}\n`)
      console.log(`package.json names ${author} and ${page}.`)
    } else if (manifest.repository === undefined || manifest.author === undefined)
      throw new Error(`package.json names no repository and no author. Fill both in first: ${usage}`)
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
