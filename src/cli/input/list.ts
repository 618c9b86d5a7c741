/**
 * Reads lists of what to download: a URL or a ref per line, with options on indented lines below it as in the
 * lists of aria2, or an object of JSON per line. Pure.
 */
import { InvalidArgumentError } from 'commander'
import type { DownloadOptions } from '../../download/options.js'
import { addHeader, parseDigestOption, parseRate, parseSha256, wholeNumber } from '../arguments.js'
import { algorithmOf } from '../../util/digests.js'
import { texts } from '../language.js'
import { dividedName } from './named.js'

/** The options that a list may set for one of its URLs. Those of a caller in the same process make no sense there. */
export type ListedOptions = Omit<DownloadOptions, 'url' | 'signal' | 'remote'>

/** One URL or ref of a list. */
export interface Listed {
  url: string
  /** Number of its line, from 1. */
  line: number
  options: ListedOptions
}

/** Something is wrong with a line of a list. */
export class ListError extends Error {
  override readonly name = 'ListError'
  /** Number of the line, from 1. */
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.line = line
  }
}

/** More URLs than these are refused. */
export const maxListed = 100_000

/** Longest line, in characters: a URL of the longest kind with 32 mirrors. */
const maxLine = 33 * 16_384

/** Options of the text form, each with what it adds to those that are known. */
const textOptions: Readonly<Record<string, (value: string, known: ListedOptions) => ListedOptions>> = {
  out: (filename) => ({ filename: nameOf(filename) }),
  dir: (directory) => ({ directory: given(directory) }),
  mode: (mode) => ({ mode: given(mode) }),
  sha256: (hex) => ({ sha256: parseSha256(hex) }),
  digest: (text) => ({ digest: parseDigestOption(text) }),
  checksum: (text) => digestOf(text),
  checksums: (where) => ({ checksums: given(where) }),
  size: (text) => ({ size: wholeNumber(0, Number.MAX_SAFE_INTEGER)(text) }),
  header: (line, { headers }) => ({ headers: addHeader(line, headers) }),
  mirror: (url, { urls = [] }) => ({ urls: [...urls, given(url)] }),
  include: (glob, { include = [] }) => ({ include: [...include, given(glob)] }),
  exclude: (glob, { exclude = [] }) => ({ exclude: [...exclude, given(glob)] }),
  layout: (layout) => ({ layout: layoutOf(layout) }),
  connections: (text) => ({ connections: wholeNumber(1, 64)(text) }),
  'limit-rate': (text) => ({ maxBytesPerSecond: parseRate(text) }),
}

/** Other names of these options: those of the command line. */
const aliases: Readonly<Record<string, string>> = { output: 'out', directory: 'dir' }

/** Fields of the JSON form: those of a request in code. Their values are checked together with all other requests. */
const jsonFields: Readonly<Record<keyof ListedOptions | 'url', true>> = {
  url: true,
  urls: true,
  spread: true,
  filename: true,
  mode: true,
  directory: true,
  layout: true,
  adopt: true,
  xet: true,
  sha256: true,
  digest: true,
  checksums: true,
  size: true,
  checkFormat: true,
  restrictNames: true,
  headers: true,
  priority: true,
  connections: true,
  maxBytesPerSecond: true,
  force: true,
  offline: true,
  include: true,
  exclude: true,
}

/** Fields in which null says something else than that there is no value. */
const nullable = new Set<string>(['mode', 'maxBytesPerSecond'])

/**
 * Parses a list.
 *
 * @throws ListError for the first line that can't be understood.
 */
export function parseList(text: string): Listed[] {
  const listed: Listed[] = []
  let last: { entry: Listed; isJson: boolean } | null = null
  for (const [index, raw] of text.split(/\r\n|[\n\r]/).entries()) {
    const line = index + 1
    if (raw.length > maxLine) throw new ListError(line, texts().listLineTooLong(maxLine))
    const content = raw.trim()
    if (content === '' || content.startsWith('#')) continue
    const isJson = /^[{["]/.test(content)
    if (!isJson && /^\s/.test(raw)) {
      if (last === null) throw new ListError(line, texts().listOptionFirst)
      if (last.isJson) throw new ListError(line, texts().listOptionOfJson)
      const { entry } = last
      const { options } = entry
      entry.options = { ...options, ...atLine(line, () => optionOf(content, options)) }
      continue
    }
    if (listed.length >= maxListed) throw new ListError(line, texts().listTooLong(maxListed))
    const entry = isJson ? ofJson(content, line) : ofText(content, line)
    listed.push(entry)
    last = { entry, isJson }
  }
  return listed
}

function atLine<T>(line: number, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof InvalidArgumentError ? new ListError(line, error.message) : error
  }
}

/** A tab separates the mirrors of a file, as in the lists of aria2. */
function ofText(content: string, line: number): Listed {
  const [first = '', ...mirrors] = content.split('\t').map((part) => part.trim())
  const urls = mirrors.filter((mirror) => mirror !== '')
  const { name, url } = dividedName(first)
  const filename = name === null ? {} : { filename: atLine(line, () => nameOf(name)) }
  return { url, line, options: { ...filename, ...(urls.length === 0 ? {} : { urls }) } }
}

function optionOf(content: string, known: ListedOptions): ListedOptions {
  const at = content.indexOf('=')
  const key = (at === -1 ? content : content.slice(0, at)).trim().toLowerCase()
  const name = Object.hasOwn(aliases, key) ? (aliases[key] ?? key) : key
  const parse = Object.hasOwn(textOptions, name) ? textOptions[name] : undefined
  if (parse === undefined) {
    // Whatever stands before the equals sign may be a part of a secret, such as a header on a line of its own.
    const shown = at !== -1 && /^[\w-]{1,40}$/.test(key) ? `"${key}"` : null
    throw new InvalidArgumentError(texts().listUnknownOption(shown, Object.keys(textOptions)))
  }
  if (at === -1) throw new InvalidArgumentError(texts().listOptionWithoutValue(name))
  return parse(content.slice(at + 1).trim(), known)
}

function given(value: string): string {
  if (value === '') throw new InvalidArgumentError(texts().listValueEmpty)
  return value
}

/** The name is checked together with those of all other requests, except for what needs an explanation here. */
function nameOf(name: string): string {
  if (/[\\/]/.test(name)) throw new InvalidArgumentError(texts().listNameHasFolder)
  return given(name.trim())
}

/** As aria2 writes it: `sha-256=HEX`. */
function digestOf(text: string): ListedOptions {
  const [, name = '', hex = ''] = /^([\w-]{1,16})\s*[=:]\s*(.*)$/.exec(text) ?? []
  const algorithm = algorithmOf(name)
  if (algorithm === null) throw new InvalidArgumentError(texts().listOtherDigest)
  return algorithm === 'sha256'
    ? { sha256: parseSha256(hex) }
    : { digest: parseDigestOption(`${algorithm}:${hex}`) }
}

function layoutOf(text: string): 'flat' | 'hf-cache' {
  if (text === 'flat' || text === 'hf-cache') return text
  throw new InvalidArgumentError(texts().allowedChoices('flat, hf-cache'))
}

function ofJson(content: string, line: number): Listed {
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch {
    // The message of the parser quotes the line, which may contain a token.
    throw new ListError(line, texts().listNotJson)
  }
  if (typeof value === 'string') return { url: value, line, options: {} }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ListError(line, texts().listNotObject)
  const fields: [string, unknown][] = Object.entries(value)
  const unknown = fields.find(([name]) => !Object.hasOwn(jsonFields, name))
  if (unknown !== undefined) {
    const shown = /^[\w-]{1,40}$/.test(unknown[0]) ? `"${unknown[0]}"` : null
    throw new ListError(line, texts().listUnknownField(shown, Object.keys(jsonFields)))
  }
  // Programs that write such lists often give null for what they don't know.
  const { url, urls, ...rest }: Record<string, unknown> = Object.fromEntries(
    fields.filter(([name, one]) => one !== null || nullable.has(name)),
  )
  const mirrors = Array.isArray(urls) ? (urls as unknown[]) : []
  const first = url ?? mirrors[0]
  if (typeof first !== 'string') throw new ListError(line, texts().listNoUrl)
  // The values are checked by the schema of requests, which is where their types are decided.
  const options = { ...rest, ...(urls === undefined ? {} : { urls }) } as ListedOptions
  return { url: first, line, options }
}
