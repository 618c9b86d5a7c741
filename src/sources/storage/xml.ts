/** Reads the few kinds of XML that object stores answer with. Not a parser of any other document. Pure. */

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Replaces the entities of XML 1.0; an unknown one remains as it is. */
function decoded(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,4}));/gi, (all, decimal, hex, name) => {
    if (typeof name === 'string') return entities[name] ?? all
    const point = typeof decimal === 'string' ? Number(decimal) : Number.parseInt(String(hex), 16)
    return point > 0 && point <= 0x10_ffff ? String.fromCodePoint(point) : all
  })
}

/**
 * The text of the first element with a name; null when there is none. Elements inside it are not looked at.
 *
 * @param name - a name without a namespace, as a literal.
 */
export function textIn(xml: string, name: string): string | null {
  const start = startOf(xml, name, 0)
  if (start === null) return null
  if (start.isEmpty) return ''
  const end = xml.indexOf(`</${name}`, start.after)
  if (end === -1) return null
  const text = xml.slice(start.after, end)
  return text.includes('<') ? null : decoded(text)
}

/** The content of each element with a name, in their order. Elements of that name are not in each other. */
export function* elementsIn(xml: string, name: string): Generator<string> {
  for (let at = 0; ;) {
    const start = startOf(xml, name, at)
    if (start === null) return
    at = start.after
    if (start.isEmpty) continue
    const end = xml.indexOf(`</${name}`, start.after)
    if (end === -1) return
    yield xml.slice(start.after, end)
    at = end
  }
}

/** The value of an attribute in the first element with a name; null when there is none. */
export function attributeIn(xml: string, name: string, attribute: string): string | null {
  const start = startOf(xml, name, 0)
  if (start === null) return null
  const found = new RegExp(`\\s${attribute}="([^"<]{0,1000})"`).exec(start.tag)?.[1]
  return found === undefined ? null : decoded(found)
}

function startOf(
  xml: string,
  name: string,
  from: number,
): { after: number; isEmpty: boolean; tag: string } | null {
  const opening = `<${name}`
  for (let at = xml.indexOf(opening, from); at !== -1; at = xml.indexOf(opening, at + 1)) {
    // The beginning of a longer name.
    if (!/[\s/>]/.test(xml.charAt(at + opening.length))) continue
    const end = xml.indexOf('>', at)
    if (end === -1) return null
    return { after: end + 1, isEmpty: xml[end - 1] === '/', tag: xml.slice(at, end) }
  }
  return null
}
