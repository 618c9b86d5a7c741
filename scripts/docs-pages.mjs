/**
 * Which page of the documentation site each document becomes, and where links of it lead there. Pure.
 *
 * Documents link each other as files of the repository, since they are read there and in the package, too. On the site the
 * Chinese twin of a page is the page of the same name below `zh-CN/`.
 */
import path from 'node:path'

const { posix } = path

/** Documents outside of `docs/`, and their pages. */
const others = new Map([
  ['README.md', 'overview.md'],
  ['README.zh-CN.md', 'zh-CN/overview.md'],
  ['CHANGELOG.md', 'changelog.md'],
  ['CONTRIBUTING.md', 'contributing.md'],
  ['SECURITY.md', 'reporting.md'],
  ['bench/README.md', 'benchmark.md'],
  ['examples/page/README.md', 'examples/page.md'],
  ['examples/react/README.md', 'examples/react.md'],
  ['examples/vue/README.md', 'examples/vue.md'],
])

/**
 * The page of a document, or null when it has none. Both are relative, with slashes.
 *
 * @param {string} document
 * @returns {string | null}
 */
export function pageOf(document) {
  const other = others.get(document)
  if (other !== undefined) return other
  if (!document.startsWith('docs/') || !document.endsWith('.md')) return null
  const page = document.slice('docs/'.length)
  return page.endsWith('.zh-CN.md') ? `zh-CN/${page.replace(/\.zh-CN\.md$/u, '.md')}` : page
}

/** The documents that are no file in `docs/`. */
export const otherDocuments = [...others.keys()]

/**
 * The address of a file that is no page. Names without an ending would be taken for pages.
 *
 * @param {string} file
 */
function servedAs(file) {
  const name = posix.extname(file) === '' ? `${file}.txt` : file
  return name.startsWith('docs/') ? name.slice('docs/'.length) : name
}

/**
 * Where a link of a document leads on the site: to a page, to a file that is served as it is, or, unchanged, elsewhere.
 *
 * @param {string} document
 * @param {string} link
 * @returns {string}
 */
export function linkOnSite(document, link) {
  if (/^(?:[a-z][a-z+.-]*:|#|\/)/iu.test(link)) return link
  const [target = '', anchor] = link.split('#')
  const file = posix.join(posix.dirname(document), target)
  const from = posix.dirname(pageOf(document) ?? '')
  const page = pageOf(file) ?? others.get(`${file}/README.md`) ?? null
  if (page === null) return `/${servedAs(file)}`
  const relative = posix.relative(from, page)
  return `${relative.startsWith('.') ? '' : './'}${relative}${anchor === undefined ? '' : `#${anchor}`}`
}

/**
 * The text of a page: the document with its links changed, except in blocks of code.
 *
 * @param {string} document
 * @param {string} text
 * @returns {{ text: string, files: Map<string, string> }} `files` are linked and served as they are: their addresses, and where
 *   they are in the repository
 */
export function pageText(document, text) {
  /** @type {Map<string, string>} */
  const files = new Map()
  let fenced = false
  const change = (/** @type {string} */ link) => {
    const place = linkOnSite(document, link)
    if (place.startsWith('/') && !link.startsWith('/'))
      files.set(place.slice(1), posix.join(posix.dirname(document), link.replace(/#.*/u, '')))
    return place
  }
  const lines = text.split('\n').map((line) => {
    if (/^\s*(?:```|~~~)/u.test(line)) fenced = !fenced
    if (fenced) return line
    // Links and images of Markdown, and those of HTML.
    return line.replaceAll(
      /(\]\(|\b(?:src|srcset|href)=")([^)\s"]+)/gu,
      (_, before, link) => `${before}${change(link)}`,
    )
  })
  return { text: lines.join('\n'), files }
}
