/** Refs of GitHub releases. Pure. */
import { badRef } from './ref-parts.js'

/** What a ref of a release names. */
export interface GitHubRef {
  owner: string
  repo: string
  /** A release's tag; null for the latest release. */
  tag: string | null
  /** An asset's name; null for all of them. */
  asset: string | null
}

const example = 'gh:owner/repo@tag/asset, gh:owner/repo@latest/asset or, for all assets, gh:owner/repo@tag/'
const prefix = /^gh:/i
const ownerName = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})$/
const repoName = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/
// git-check-ref-format; the shape alone, so that what can't be a tag gives no odd address.
const tagName = /^(?![-/.])(?!.*(?:\.\.|\/\/|\/\.|@\{))[^\s\p{Cc}\p{Cs}~^:?*[\\]{1,255}$/u
const assetName = /^(?!\.{1,2}$)[^\p{Cc}\p{Cs}/\\]{1,255}$/u

/** Whether a text is a ref of a release, right or wrong. */
export function isGitHubRef(ref: string): boolean {
  return prefix.test(ref)
}

/**
 * Takes a ref apart: `gh:owner/repo@tag/asset`. A tag may hold slashes, an asset's name can't, so the last slash divides
 * them; a tag with slashes alone ends with one.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseGitHubRef(ref: string): GitHubRef {
  const text = ref.replace(prefix, '')
  const at = text.indexOf('@')
  const [owner = '', repo = '', ...more] = (at === -1 ? text : text.slice(0, at)).split('/')
  if (more.length > 0) throw badRef('The release is missing.', example)
  if (!ownerName.test(owner) || !repoName.test(repo)) {
    throw badRef('The owner or the repository is not valid.', example)
  }
  const release = at === -1 ? 'latest' : text.slice(at + 1)
  const slash = release.lastIndexOf('/')
  const tag = slash === -1 ? release : release.slice(0, slash)
  const asset = slash === -1 ? '' : release.slice(slash + 1)
  if (!tagName.test(tag)) throw badRef('The tag of the release is not valid.', example)
  if (asset !== '' && !assetName.test(asset)) throw badRef("The asset's name is not valid.", example)
  return { owner, repo, tag: tag === 'latest' ? null : tag, asset: asset === '' ? null : asset }
}
