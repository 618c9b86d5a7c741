/**
 * Recognizes what servers send in place of a file: a web page, such as a login form, or the pointer that Git
 * stores for a file in LFS. Pure.
 */

/** Both fit into this many bytes, as far as they have to be seen. */
export const substituteBytes = 1024

/** Names of files that are web pages themselves. */
const pageNames = /\.(?:x?html?|xht|[ds]html?|mht|mhtml|php\d?|phtml|aspx?|jspx?|cfm|cgi)$/i

/**
 * Names of text that may begin with a piece of HTML, as many a README does. Only a complete document is no such
 * text. A name without an extension may be one of these (`LICENSE`).
 */
const textNames =
  /^[^.]*$|\.(?:md|markdown|mdx|rst|adoc|te?xt|log|csv|tsv|jinja2?|j2|tmpl|tpl|template|hbs|mustache|ejs|erb|liquid|njk|twig|vue|svelte|astro|xml|xslt?|svg|rss|atom|eml)$/i

/**
 * What may precede the first tag: white space, comments and an XML declaration. Each part can match in only one
 * way, so that no input makes this slow.
 */
const prologue = String.raw`^(?:\xef\xbb\xbf)?(?:\s|<!--(?:(?!-->)[^])*-->|<\?xml[^>]*>)*`

const tagEnd = String.raw`(?:[\s>/]|$)`

/**
 * The tags by which the MIME Sniffing standard recognizes HTML
 * (https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type), and those with which
 * error pages and login forms begin as well.
 */
const anyTag = new RegExp(
  `${prologue}<(?:!doctype html|html|head|body|title|meta|link|base|script|noscript|style|h[1-6]|div|span|center|table|iframe|frameset|form|input|main|section|header|nav|img|font|hr|pre|ul|ol|dl|a|p|br|b|i|strong|em)${tagEnd}`,
  'i',
)

const documentTag = new RegExp(`${prologue}<(?:!doctype html|html|head|body)${tagEnd}`, 'i')

/**
 * Whether bytes are the beginning of an HTML page, such as a login form or an error page in place of a model.
 *
 * @param head - the first bytes; only 1,024 of them are looked at.
 */
export function looksLikeHtml(head: Uint8Array): boolean {
  return anyTag.test(textOf(head))
}

/** The file that a pointer stands for. */
export interface LfsPointer {
  /** Lower-case hex. */
  sha256: string
  /** In bytes. */
  size: number
}

const pointerStart = /^version https:\/\/(?:git-lfs|hawser)\.github\.com\/spec\/v1\r?\n/

/**
 * Parses a Git LFS pointer, which is shorter than 1,024 bytes
 * (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
 *
 * @param bytes - the whole file.
 * @returns null if it is none.
 */
export function parseLfsPointer(bytes: Uint8Array): LfsPointer | null {
  if (bytes.length > substituteBytes) return null
  const text = textOf(bytes)
  if (!pointerStart.test(text)) return null
  const sha256 = /^oid sha256:([0-9a-f]{64})\r?$/m.exec(text)?.[1]
  const size = Number(/^size (\d{1,15})\r?$/m.exec(text)?.[1] ?? Number.NaN)
  return sha256 === undefined || Number.isNaN(size) ? null : { sha256, size }
}

/**
 * Checks whether a server sent something in place of a file.
 *
 * @param filename - a name that stands for a web page itself allows one.
 * @param head - the file's first bytes: at least 1,024, or the whole file.
 * @param total - size of the file in bytes; null if unknown.
 * @returns null if not; otherwise one sentence for people.
 */
export function substituteIn(filename: string, head: Uint8Array, total: number | null): string | null {
  const pointer = total === null || total === head.length ? parseLfsPointer(head) : null
  if (pointer !== null) {
    const { size, sha256 } = pointer
    return `The server sent a Git LFS pointer instead of the file, which has ${size} bytes and the SHA-256 ${sha256}. Use the address of the file itself: on the Hugging Face Hub, it has /resolve/ where this one has /raw/.`
  }
  if (pageNames.test(filename)) return null
  const page = textNames.test(filename) ? documentTag.test(textOf(head)) : looksLikeHtml(head)
  return page
    ? 'The server sent an HTML page instead of the file. It may require a login, or the address may be that of a page about the file.'
    : null
}

/** The first bytes as Latin-1, which no bytes are invalid in. Of UTF-16, the ASCII characters remain. */
function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, substituteBytes)).toString(
    'latin1',
  )
  return /^(?:\xff\xfe|\xfe\xff)/.test(text) ? text.slice(2).replaceAll('\0', '') : text
}
