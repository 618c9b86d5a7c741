import { describe, expect, it } from 'vitest'
import { withPublisher } from '../../scripts/publisher.mjs'

const manifest = { name: 'a-package', version: '1.2.3', scripts: { test: 'vitest' } }

describe('the publisher of the package', () => {
  it.each([
    'https://github.com/some-owner/a-package',
    'https://github.com/some-owner/a-package/',
    'https://github.com/some-owner/a-package.git',
  ])('is filled in from %s', (page) => {
    expect(withPublisher(manifest, page, ' Full Name <name@example.org> ')).toEqual({
      ...manifest,
      author: 'Full Name <name@example.org>',
      repository: { type: 'git', url: 'git+https://github.com/some-owner/a-package.git' },
      homepage: 'https://github.com/some-owner/a-package#readme',
      bugs: { url: 'https://github.com/some-owner/a-package/issues' },
    })
  })

  it('replaces the one before', () => {
    const once = withPublisher(manifest, 'https://gitee.com/a/b', 'A')
    expect(withPublisher(once, 'https://codeberg.org/group/c', 'B')).toMatchObject({
      author: 'B',
      homepage: 'https://codeberg.org/group/c#readme',
    })
  })

  it.each(['', 'owner/name', 'http://github.com/a/b', 'https://github.com/a', 'git@github.com:a/b.git'])(
    'is not taken from "%s"',
    (page) => {
      expect(() => withPublisher(manifest, page, 'A')).toThrow('npm run publisher -- https://')
    },
  )

  it('has a name', () => {
    expect(() => withPublisher(manifest, 'https://github.com/a/b', ' ')).toThrow("author's name")
  })
})
