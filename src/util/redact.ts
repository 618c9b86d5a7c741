/** Replaces a removed secret. */
const placeholder = '…'

/**
 * Makes a URL safe for logs and messages: removes userinfo, fragment and query.
 *
 * Signed URLs carry their secret in query parameters with ever new names, so the complete query is removed
 * and not only the known parameters. A string that is not a URL is cut at its first `?` or `#`, and
 * everything before an `@` in its authority is removed as well.
 *
 * @param url - an address as a caller or a server gave it.
 * @returns the address for display; it is not meant to be fetched.
 *
 * @example
 * redactUrl('https://me:pw@host/a.gguf?X-Amz-Signature=abc') // 'https://host/a.gguf?…'
 */
export function redactUrl(url: string): string {
  const cut = url.search(/[?#]/)
  const bare = cut === -1 ? url : url.slice(0, cut)
  const query = url[cut] === '?' ? `?${placeholder}` : ''
  return dropUserinfo(bare) + query
}

const closing = new Set(".,;:!')]}")

/**
 * Applies {@link redactUrl} to every http or https URL in a text, such as the message of an error from
 * elsewhere.
 */
export function redactUrls(text: string): string {
  return text.replace(/\bhttps?:[\\/]{2}[^\s"<>]+/gi, (url) => {
    // A full stop, quote or bracket after the address belongs to the sentence. A pattern would start to search
    // at each of them, which takes quadratic time.
    let end = url.length
    while (closing.has(url.charAt(end - 1))) end -= 1
    return redactUrl(url.slice(0, end)) + url.slice(end)
  })
}

/**
 * Removes userinfo. The authority ends at the first slash or backslash; its userinfo ends at its last `@`
 * (WHATWG URL, authority state).
 */
function dropUserinfo(bare: string): string {
  const match = /^(https?:[\\/]*|[a-z][a-z0-9+.-]*:\/\/)([^\\/]*)(.*)/is.exec(bare)
  if (match === null) return bare.slice(bare.lastIndexOf('@') + 1)
  const [, scheme = '', authority = '', path = ''] = match
  return scheme + authority.slice(authority.lastIndexOf('@') + 1) + path
}
