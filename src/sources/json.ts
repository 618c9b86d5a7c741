/**
 * Parses the JSON of strangers in slices and within bounds. `JSON.parse` would block the event loop for seconds, since
 * a megabyte can hold half a million empty objects.
 */
import { Slices } from '../util/slices.js'

/** The most values that a text may have: 20,000 files with 25 properties each. */
const maxValues = 500_000

/** How deeply they may be inside each other. */
const maxDepth = 100

/** The longest string, in characters. */
const maxStringLength = 1024 * 1024

/** The most properties of an object that is too long to be parsed at once: adding more gets slow. */
const maxKeys = 50_000

/** Members of a list or object are parsed together until they have this many characters. */
const defaultRun = 16 * 1024

/** After this many characters at most, the event loop may get its turn. */
const checkLength = 4 * 1024

/** What one value costs, compared with one character. */
const valueUnits = 30

/** A list or object that has not ended yet. */
interface Open {
  readonly isList: boolean
  /** Where it begins. */
  readonly start: number
  /** What has been parsed of it; null if it can be parsed together with what surrounds it. */
  value: unknown[] | Record<string, unknown> | null
  /** Where the members begin that have not been parsed yet. */
  run: number
  /** Where the current member begins. */
  member: number
  /** The current member has been parsed; only a comma or the end may follow. */
  isParsed: boolean
  /** A comma has been parsed last, so that another member must follow. */
  isCut: boolean
  /** How many properties have been parsed of an object. */
  keys: number
}

/**
 * Parses a text with the same result as `JSON.parse`.
 *
 * @param slices - counts the work.
 * @param run - how many characters to parse at once, roughly. Default 16 Ki.
 * @throws SyntaxError for anything but JSON, and for more or longer values than any list of files has.
 */
export async function parseJson(text: string, slices = new Slices(), run = defaultRun): Promise<unknown> {
  const stack: Open[] = []
  let values = 0
  let counted = 0
  for (let at = 0; at < text.length; at += 1) {
    if (at - counted >= checkLength) {
      slices.spend(at - counted)
      counted = at
      if (slices.isOver) await slices.rest()
    }
    const sign = text[at]
    const open = stack.at(-1)
    if (sign === '"') at = endOfString(text, at)
    else if (sign === '{' || sign === '[') {
      if (stack.length === maxDepth) throw new SyntaxError('too many levels')
      const next = { run: at + 1, member: at + 1, isParsed: false, isCut: false, keys: 0 }
      stack.push({ isList: sign === '[', start: at, value: null, ...next })
    } else if (sign === ',' && open !== undefined) {
      if (open.isParsed || at - open.run > run) cut(text, stack, at)
      open.member = at + 1
    } else if (sign === '}' || sign === ']') {
      if (open?.isList !== (sign === ']')) throw new SyntaxError('unexpected end')
      if (open.value !== null) finish(open, text, at)
      stack.pop()
      const parent = stack.at(-1)
      if (parent === undefined) return top(text, open, at)
      if (open.value !== null) attach(parent, open, text, at)
    } else continue
    values += 1
    slices.spend(valueUnits)
    if (values > 2 * maxValues) throw new SyntaxError('too many values')
  }
  if (stack.length > 0 || text.length > maxStringLength) throw new SyntaxError('unexpected end')
  return JSON.parse(text)
}

/** The position of the quote that ends a string. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    if (end - start > maxStringLength) break
    let before = end - 1
    while (text[before] === '\\') before -= 1
    if ((end - before) % 2 === 1) return end
  }
  throw new SyntaxError('a string is too long or has no end')
}

/** Parses the members before a comma of the innermost list or object, and whatever is before these. */
function cut(text: string, stack: readonly Open[], comma: number): void {
  for (const open of stack) {
    open.value ??= open.isList ? [] : {}
    // What surrounds the innermost one has a member that has begun, after a comma unless it is the first.
    if (open !== stack.at(-1) && open.member > open.run) take(open, text, open.member - 1)
  }
  const inner = stack.at(-1)
  if (inner === undefined) return
  if (inner.isParsed) requireBlank(text.slice(inner.run, comma))
  else take(inner, text, comma)
  inner.run = comma + 1
  inner.isParsed = false
  inner.isCut = true
}

/** Parses the members before a comma. */
function take(open: Open, text: string, comma: number): void {
  const members = text.slice(open.run, comma)
  if (isBlank(members)) throw new SyntaxError('unexpected comma')
  add(open, members)
  open.run = comma + 1
  open.isCut = true
}

/** Parses the last members of a list or object. */
function finish(open: Open, text: string, end: number): void {
  const members = text.slice(open.run, end)
  if (open.isParsed) requireBlank(members)
  else if (!isBlank(members)) add(open, members)
  else if (open.isCut) throw new SyntaxError('unexpected comma')
}

function add(open: Open, members: string): void {
  const { value } = open
  if (Array.isArray(value)) {
    const items: unknown = JSON.parse(`[${members}]`)
    if (Array.isArray(items)) for (const item of items as unknown[]) value.push(item)
  } else if (value !== null) {
    const parsed: unknown = JSON.parse(`{${members}}`)
    const entries = Object.entries(parsed ?? {})
    open.keys += entries.length
    if (open.keys > maxKeys) throw new SyntaxError('too many keys')
    for (const [key, member] of entries) set(value, key, member)
  }
}

/** Adds a list or object that has been parsed on its own to the one around it. */
function attach(parent: Open, { start, value: member }: Open, text: string, end: number): void {
  // The key of the member, or nothing in a list.
  const before = text.slice(parent.member, start)
  if (Array.isArray(parent.value)) {
    requireBlank(before)
    parent.value.push(member)
  } else if (parent.value !== null) {
    const parsed: unknown = JSON.parse(`{${before}null}`)
    for (const key of Object.keys(parsed ?? {})) set(parent.value, key, member)
  }
  parent.run = end + 1
  parent.isParsed = true
}

function set(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true })
  else object[key] = value
}

/** The result, at the end of the outermost list or object. */
function top(text: string, { value, start }: Open, end: number): unknown {
  requireBlank(text.slice(end + 1))
  requireBlank(text.slice(0, start))
  return value ?? JSON.parse(text)
}

function isBlank(text: string): boolean {
  return /^[ \t\n\r]*$/.test(text)
}

function requireBlank(text: string): void {
  if (!isBlank(text)) throw new SyntaxError('unexpected text')
}
