/** What stands where a secret was. */
const gap = '…'

/**
 * A URL fit for logs and messages: without userinfo, fragment and query values.
 *
 * Signed addresses carry their secret in the query under ever new names, so the whole query goes, not only the
 * parameters known to be secret. A string that is no URL is cut at its first `?` or `#`, and what stands before an
 * `@` in its authority goes too.
 *
 * @param url - an address as a caller or a server gave it.
 * @returns the address for people; it is not meant to be fetched.
 *
 * @example
 * redactUrl('https://me:pw@host/a.gguf?X-Amz-Signature=abc') // 'https://host/a.gguf?…'
 */
export function redactUrl(url: string): string {
  const cut = url.search(/[?#]/)
  const bare = cut === -1 ? url : url.slice(0, cut)
  const query = cut !== -1 && url[cut] === '?' ? `?${gap}` : ''
  return dropUserinfo(bare) + query
}

/**
 * The same for every http or https URL inside a text, such as the message of an error that came from elsewhere.
 *
 * @param text - any text.
 */
export function redactUrls(text: string): string {
  return text.replace(/\bhttps?:[\\/]{2}[^\s"<>]+/gi, (url) => {
    // A full stop, quote or bracket behind the address belongs to the sentence.
    const tail = /[.,;:!')\]}]+$/.exec(url)?.[0] ?? ''
    return redactUrl(url.slice(0, url.length - tail.length)) + tail
  })
}

/** The authority ends at the first slash or backslash; its userinfo at its last `@` (WHATWG URL, authority state). */
function dropUserinfo(bare: string): string {
  const match = /^(https?:[\\/]*|[a-z][a-z0-9+.-]*:\/\/)([^\\/]*)(.*)$/is.exec(bare)
  if (match === null) return bare.slice(bare.lastIndexOf('@') + 1)
  const [, scheme = '', authority = '', path = ''] = match
  return scheme + authority.slice(authority.lastIndexOf('@') + 1) + path
}
