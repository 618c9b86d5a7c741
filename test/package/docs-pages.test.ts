import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { linkOnSite, otherDocuments, pageOf, pageText } from '../../scripts/docs-pages.mjs'
import { root } from '../support/process.js'

describe('a document of the site', () => {
  it.each([
    ['docs/cli.md', 'cli.md'],
    ['docs/sources/own.md', 'sources/own.md'],
    ['docs/errors.zh-CN.md', 'zh-CN/errors.md'],
    ['README.zh-CN.md', 'zh-CN/overview.md'],
    ['examples/react/README.md', 'examples/react.md'],
    ['docs/images/dashboard-light.png', null],
    ['examples/basic.mjs', null],
    ['test/README.md', null],
  ])('%s is the page %s', (document, page) => {
    expect(pageOf(document)).toBe(page)
  })

  it('exists', () => {
    expect(otherDocuments.filter((document) => !existsSync(path.join(root, document)))).toEqual([])
  })
})

describe('a link', () => {
  it.each([
    ['docs/cli.md', 'rest.md#errors', './rest.md#errors'],
    ['docs/sources/own.md', '../stores.md', '../stores.md'],
    ['docs/cli.md', 'sources/own.md', './sources/own.md'],
    // A Chinese page leads to the Chinese page where there is one, and to the English one else.
    ['docs/errors.zh-CN.md', 'security.zh-CN.md', './security.md'],
    ['docs/errors.zh-CN.md', 'errors.md', '../errors.md'],
    ['docs/troubleshooting.zh-CN.md', 'sources/modelscope.md', '../sources/modelscope.md'],
    ['docs/errors.md', 'errors.zh-CN.md', './zh-CN/errors.md'],
    ['README.md', 'docs/cli.md', './cli.md'],
    ['README.zh-CN.md', 'docs/windows.zh-CN.md', './windows.md'],
    ['docs/views.md', '../examples/react', './examples/react.md'],
    ['docs/events.md', '../README.md#events', './overview.md#events'],
    ['docs/adapters.md', '../examples/koa.mjs', '/examples/koa.mjs'],
    ['README.md', 'LICENSE', '/LICENSE.txt'],
    ['docs/dashboard.md', 'images/dashboard-dark.png', '/images/dashboard-dark.png'],
    ['docs/cli.md', 'https://example.com/a.md', 'https://example.com/a.md'],
    ['docs/cli.md', '#exit-codes', '#exit-codes'],
  ])('of %s to %s leads to %s', (document, link, place) => {
    expect(linkOnSite(document, link)).toBe(place)
  })

  it('is changed wherever it is, but not in code', () => {
    const text = [
      '[a](cli.md) and ![b](images/x.png "title"), <img src="images/y.png">',
      '```md',
      '[a](cli.md)',
      '```',
    ].join('\n')
    expect(pageText('docs/rest.md', text)).toEqual({
      text: [
        '[a](./cli.md) and ![b](/images/x.png "title"), <img src="/images/y.png">',
        '```md',
        '[a](cli.md)',
        '```',
      ].join('\n'),
      files: new Map([
        ['images/x.png', 'docs/images/x.png'],
        ['images/y.png', 'docs/images/y.png'],
      ]),
    })
  })
})
