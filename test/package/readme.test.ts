/** The documents are true, as far as a program can tell. */
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { anchorsOf, blocksOf, manifest, read, syntaxErrors } from '../support/documents.js'
import { downloadErrorCodes } from '../../src/errors.js'
import { root } from '../support/process.js'

const english = read('README.md')
const chinese = read('README.zh-CN.md')

describe('the two READMEs', () => {
  it('link each other', () => {
    expect(english).toContain('](README.zh-CN.md)')
    expect(chinese).toContain('](README.md)')
  })

  it('hold the same code', () => {
    expect(blocksOf(english).length).toBeGreaterThan(4)
    expect(blocksOf(chinese)).toEqual(blocksOf(english))
  })

  it('have the same headings and tables', () => {
    const shape = (text: string) => ({
      headings: [...text.matchAll(/^#+ /gm)].map((match) => match[0]),
      rows: [...text.matchAll(/^\|/gm)].length,
      options: [...text.matchAll(/`(--[a-z0-9-]+)/g)].map((match) => match[1]),
    })
    expect(shape(chinese)).toEqual(shape(english))
  })

  it('show an installation and a working example first', () => {
    const [install, script] = blocksOf(english)
    expect(install?.code).toContain(`npm install ${manifest.name}`)
    expect(script?.language).toBe('js')
    expect(script?.code.trim().split('\n').length).toBeLessThanOrEqual(8)
  })
})

/** The documents in `docs/`, by their paths from the root. */
const pages = readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name.replaceAll(path.sep, '/')}`)
const chinesePages = pages.filter((page) => page.endsWith('.zh-CN.md'))

describe('the Chinese pages', () => {
  it('explain every code', () => {
    const errors = read('docs/errors.zh-CN.md')
    expect([...errors.matchAll(/^\| \[`([A-Z_]+)`\]/gm)].map(([, code]) => code).sort()).toEqual(
      [...downloadErrorCodes].sort(),
    )
  })

  it('call a catalog 模型清单', () => {
    for (const file of ['README.zh-CN.md', ...chinesePages])
      expect(read(file)).not.toMatch(/模型目录|目录清单|模型列表/)
  })
})

describe.each(chinesePages)('%s', (page) => {
  const twin = page.replace('.zh-CN.md', '.md')
  const [chinesePage, englishPage] = [read(page), read(twin)]

  it('and its twin link each other', () => {
    expect(englishPage).toContain(`[简体中文](${path.posix.basename(page)})`)
    expect(chinesePage).toContain(`[English](${path.posix.basename(twin)})`)
  })

  it('has the chapters, code and options of its twin', () => {
    // Comments are translated. Blocks without a language show output, and what they show may be translated as well.
    const shape = (text: string) => ({
      headings: [...text.matchAll(/^#+ /gm)].map((match) => match[0]),
      blocks: blocksOf(text)
        .filter(({ language }) => language !== '')
        .map(({ code }) => code.replaceAll(/ *(?:#|\/\/) .*$/gm, '')),
    })
    expect(shape(chinesePage)).toEqual(shape(englishPage))
    const optionsOf = (text: string) => [...text.matchAll(/`(--[a-z0-9-]+)/g)].map((match) => match[1])
    expect(optionsOf(chinesePage)).toEqual(expect.arrayContaining(optionsOf(englishPage)))
  })
})

const documents = [...['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'SECURITY.md'], ...pages]

describe.each(documents)('%s', (document) => {
  const text = read(document)
  const code = blocksOf(text).filter(({ language }) => language === 'js' || language === 'ts')

  // That it fits the package, too, is checked by compiling it: `scripts/snippets.mjs`.
  it('holds code that parses', () => {
    for (const block of code) expect([block.code, ...syntaxErrors(block.code)]).toEqual([block.code])
  })

  it('links to files and headings that exist', () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)[^)]*\)/g)].map((match) => match[1] ?? '')
    const missing = links
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [file = '', anchor] = link.split('#')
        const target = file === '' ? document : path.join(path.dirname(document), file)
        if (!existsSync(path.join(root, target))) return true
        return anchor !== undefined && !anchorsOf(read(target)).includes(anchor)
      })
    expect(missing).toEqual([])
  })

  it('links to what is packed with it', () => {
    const packed = (file: string) =>
      ['README.md', 'LICENSE', ...manifest.files].some(
        (entry) => file === entry || file.startsWith(`${entry}/`),
      )
    const links = [...text.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)]
      .map((match) => match[1] ?? '')
      .filter((link) => !/^[a-z]+:/.test(link))
      .map((link) => path.posix.join(path.posix.dirname(document), link))
    expect(packed(document)).toBe(true)
    expect(links.filter((link) => !packed(link))).toEqual([])
  })

  it('names npm scripts that exist', () => {
    const { scripts } = manifest
    const named = [...text.matchAll(/npm run ([a-z0-9:]+)/g)].map((match) => match[1] ?? '')
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })
})
