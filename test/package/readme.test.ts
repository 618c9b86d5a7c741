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

describe('the Chinese pages', () => {
  it('about Windows hold the same commands', () => {
    const commands = (file: string) => blocksOf(read(file)).filter(({ language }) => language !== '')
    expect(commands('docs/windows.zh-CN.md')).toEqual(commands('docs/windows.md'))
  })

  it('explain every code, and link each page with its twin', () => {
    const errors = read('docs/errors.zh-CN.md')
    expect([...errors.matchAll(/^\| \[`([A-Z_]+)`\]/gm)].map(([, code]) => code).sort()).toEqual(
      [...downloadErrorCodes].sort(),
    )
    for (const page of ['windows', 'errors', 'security']) {
      expect(read(`docs/${page}.md`)).toContain(`[简体中文](${page}.zh-CN.md)`)
      expect(read(`docs/${page}.zh-CN.md`)).toContain(`[English](${page}.md)`)
    }
  })

  it('call a catalog 模型清单', () => {
    for (const file of [
      'README.zh-CN.md',
      ...readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`),
    ])
      if (file.endsWith('.zh-CN.md')) expect(read(file)).not.toMatch(/模型目录|目录清单|模型列表/)
  })
})

const documents = [
  ...['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', 'SECURITY.md'],
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name.replaceAll(path.sep, '/')}`),
]

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
