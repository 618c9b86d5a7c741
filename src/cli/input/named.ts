/** A name for the file of one URL: `NAME=URL`. Pure. */

/** A scheme of two letters or more, so that a Windows path is none. */
const source = /^[a-z][a-z0-9+.-]+:[^\s]/i

/** The first colon is the one of the scheme. A dash at the start is that of an option, such as `--proxy=http://…`. */
const named = /^(?!-)([^:]*)=([a-z][a-z0-9+.-]+:[^\s].*)$/is

/** A URL or a ref, and the name that its file is given; null if none is. */
export interface NamedSource {
  readonly name: string | null
  readonly url: string
}

/** Divides `NAME=URL`. Any other text is a URL without a name, and is judged elsewhere. */
export function dividedName(text: string): NamedSource {
  const [, name, url] = named.exec(text) ?? []
  return name === undefined || url === undefined ? { name: null, url: text } : { name, url }
}

/** Whether an argument looks like a URL or a ref, with or without a name. */
export function isSource(text: string): boolean {
  return source.test(text) || named.test(text)
}
