/** Names that stay different from each other when they are shortened. Pure. */
import { barLine, displayWidth, fit, lettersOf, type LineState, nameWidth, take } from '../format.js'

/**
 * Shortens names to exactly `width` cells, as {@link fit} does. Of those that would look the same then, such as the parts
 * of one model, what is in the middle of all of them is cut instead, so that the part that differs stays visible.
 *
 * @param names - no two of them are the same.
 */
export function fitApart(names: readonly string[], width: number): string[] {
  const shown = names.map((name) => fit(name, width))
  for (const alike of groupsOf(shown)) {
    const letters = alike.map((index) => lettersOf(names[index] ?? ''))
    const same = commonStart(letters)
    const before = same - wordLength([...(letters[0] ?? []).slice(0, same)].reverse())
    const rest = letters.map((all) => all.slice(same).reverse())
    const end = commonStart(rest)
    const after = end - wordLength((rest[0] ?? []).slice(0, end).reverse())
    for (const [at, index] of alike.entries()) {
      const all = letters[at] ?? []
      const differing = all.slice(before, all.length - after)
      shown[index] = aroundPart(all.slice(0, before), differing, all.slice(all.length - after), width)
    }
  }
  // What differs may itself be too long.
  for (const index of groupsOf(shown).flat()) {
    const mark = `#${index + 1} `
    if (mark.length < width) shown[index] = mark + fit(names[index] ?? '', width - mark.length)
  }
  return shown
}

/** The indexes of equal texts, for each text that occurs more than once. */
function groupsOf(texts: readonly string[]): number[][] {
  const groups = new Map<string, number[]>()
  for (const [index, text] of texts.entries()) {
    const known = groups.get(text)
    if (known === undefined) groups.set(text, [index])
    else known.push(index)
  }
  return [...groups.values()].filter(({ length }) => length > 1)
}

/** A number or a word that differs only in a part is easier to read as a whole, if it is short. */
const maxWord = 4

/** Length of the word that letters begin with. */
function wordLength(letters: readonly string[]): number {
  const end = letters.findIndex((letter) => !/[\p{Letter}\p{Number}]/u.test(letter))
  const length = end === -1 ? letters.length : end
  return length > maxWord ? 0 : length
}

/** How many letters all texts begin with. */
function commonStart(texts: readonly (readonly string[])[]): number {
  const [first = []] = texts
  const end = first.findIndex((letter, index) => texts.some((text) => text[index] !== letter))
  return end === -1 ? Math.min(...texts.map(({ length }) => length)) : end
}

/** Shows a part with as much as possible of what is around it: `model…00017…tensors`. */
function aroundPart(
  before: readonly string[],
  part: readonly string[],
  after: readonly string[],
  width: number,
): string {
  const room = width - displayWidth(part.join(''))
  const back = Math.min(displayWidth(after.join('')), Math.max(0, Math.floor(room / 2)))
  const end = shortened(after, back, 'end')
  const start = shortened(before, room - displayWidth(end), 'start')
  return fit(`${start}${part.join('')}${end}`, width)
}

/** Cuts the side of a text that is farther from, or nearer to the part that is shown. */
function shortened(letters: readonly string[], width: number, keep: 'start' | 'end'): string {
  const text = letters.join('')
  if (displayWidth(text) <= width) return text
  if (width < 1) return ''
  return keep === 'start'
    ? `${take(letters, width - 1).join('')}…`
    : `…${take([...letters].reverse(), width - 1)
        .reverse()
        .join('')}`
}

/** A name, and what it may be told apart by: the folders above it, nearest last. */
export interface Named {
  readonly name: string
  readonly folders: readonly string[]
}

/** Names of files, each preceded by as many of its folders as tell it apart from the others of the same name. */
export function namesApart(files: readonly Named[]): string[] {
  const shown = files.map(({ name }) => name)
  const deepest = Math.max(0, ...files.map(({ folders }) => folders.length))
  for (let count = 1; count <= deepest; count += 1) {
    const groups = groupsOf(shown)
    if (groups.length === 0) break
    for (const index of groups.flat()) {
      const { name = '', folders = [] } = files[index] ?? {}
      shown[index] = [...folders.slice(-count), name].join('/')
    }
  }
  return shown
}

/** Lines for downloads that run at the same time. Their names stay different where they have to be shortened. */
export function barLines(states: readonly LineState[], columns: number): string[] {
  const [first] = states
  // All lines have fields of the same width, so all names have the same room.
  const width = first === undefined ? 0 : nameWidth(first, columns)
  const names =
    width === 0
      ? []
      : fitApart(
          states.map(({ name }) => name),
          width,
        )
  return states.map((state, index) => barLine({ ...state, name: names[index] ?? state.name }, columns))
}
