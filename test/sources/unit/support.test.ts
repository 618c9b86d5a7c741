import { describe, expect, it } from 'vitest'
import { parseGitHubRef } from '../../../src/sources/github.js'
import { parseHubRef } from '../../../src/sources/huggingface-ref.js'
import { parseModelScopeRef } from '../../../src/sources/modelscope.js'
import { isRevision, requireEndpoint, requireToken, variable } from '../../../src/sources/support.js'
import fc from '../../support/properties.js'

/** Whether each source takes it for a revision. */
function verdicts(revision: string): boolean[] {
  const reads = [
    () => parseHubRef(`hf:o/r/a@${revision}`).revision,
    () => parseModelScopeRef(`ms:o/r/a@${revision}`).revision,
    () => parseGitHubRef(`gh:o/r@${revision}/a`).tag,
  ]
  return reads.map((read) => {
    try {
      return read() === revision
    } catch (error) {
      expect(error).toMatchObject({ code: 'INVALID_URL' })
      return false
    }
  })
}

describe('a revision', () => {
  it.each([
    ...['main', 'v1.0', 'refs/pr/1', 'release/v1.2-rc.1', 'a'.repeat(255), '0'.repeat(40), '1'],
    ...['feature-', 'a.lock.b', 'lock', '{', 'a{b', 'é', '模型', '😀', 'a\u00a0b', '%2e%2e', '#1', 'a&b'],
  ])('is %j, for every source', (revision) => {
    expect(isRevision(revision)).toBe(true)
    expect(verdicts(revision)).toEqual([true, true, true])
  })

  it.each([
    ['nothing', ''],
    ['too long', 'a'.repeat(256)],
    ['a segment that climbs', '..'],
    ['one that stays', '.'],
    ['one in the middle', 'a/../b'],
    ['one that stays in the middle', 'a/./b'],
    ['two dots', 'a..b'],
    ['a hidden segment', '.a'],
    ['one behind a slash', 'a/.b'],
    ['a dot at the end', 'a.'],
    ['a slash in front', '/a'],
    ['a slash at the end', 'a/'],
    ['two slashes', 'a//b'],
    ['what looks like an option', '-a'],
    ['the file that locks a ref', 'a.lock'],
    ['a segment like it', 'a.lock/b'],
    ['an entry of the reflog', 'a@{1}'],
    ['a space', 'a b'],
    ['a tab', 'a\tb'],
    ['a line feed', 'a\n'],
    ['a control character', 'a\u0085b'],
    ['half a character', 'a\ud800'],
    ['an ancestor', 'a~1'],
    ['a parent', 'a^'],
    ['a path in a tree', 'a:b'],
    ['a question', 'a?b'],
    ['a glob', 'a*'],
    ['a class of characters', 'a[b'],
    ['a backslash', 'a\\b'],
  ])('is not %s, for any source', (_, revision) => {
    expect(isRevision(revision)).toBe(false)
    expect(verdicts(revision)).toEqual([false, false, false])
  })

  it('is not the short name of the latest commit', () => {
    expect(isRevision('@')).toBe(false)
    expect(isRevision('a@')).toBe(true)
    expect(isRevision('@a')).toBe(true)
  })

  it('never climbs, and always fits into a URL', () => {
    const piece = fc.constantFrom('a', '.', '/', '@', '{', '-', '.lock', '\ud800', '\udc00', ' ', 'é')
    const text = fc.oneof(
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
      fc.string(),
    )
    fc.assert(
      fc.property(text, (revision) => {
        if (!isRevision(revision)) return
        const base = 'https://host/resolve/'
        expect(decodeURIComponent(encodeURIComponent(revision))).toBe(revision)
        const { pathname } = new URL(revision.split('/').map(encodeURIComponent).join('/'), base)
        expect(decodeURIComponent(pathname)).toBe(`/resolve/${revision}`)
      }),
    )
  })
})

describe('a variable', () => {
  const env = { A: ' a ', EMPTY: '', BLANK: ' \t\n', B: 'b' }

  it.each([
    [['A'], 'a'],
    [['A', 'B'], 'a'],
    [['B', 'A'], 'b'],
    [['EMPTY', 'BLANK', 'ABSENT', 'B'], 'b'],
    [['EMPTY'], null],
    [['BLANK'], null],
    [['ABSENT'], null],
    [[], null],
  ])('of %j is %j', (names, value) => {
    expect(variable(env, ...names)).toBe(value)
  })
})

describe('the address of a hub', () => {
  it.each([
    ['https://hub.example.com', 'https://hub.example.com'],
    ['https://hub.example.com/', 'https://hub.example.com'],
    ['http://Hub.Example.com:8080//', 'http://hub.example.com:8080'],
    ['https://example.com/hub/api/', 'https://example.com/hub/api'],
    ['https://example.com/hub?x=1#y', 'https://example.com/hub'],
    ['http://[::1]:80', 'http://[::1]'],
  ])('%j is %j', (given, address) => {
    expect(requireEndpoint(given, 'HUB')).toBe(address)
  })

  it.each([
    ...['', 'hub.example.com', 'ftp://example.com', 'file:///etc', 'https://', 'javascript:alert(1)'],
    ...['https://user@example.com', 'https://user:canary@example.com', 'https://:canary@example.com'],
  ])('is not %j, and the message does not repeat it', (given) => {
    const error = thrown(() => requireEndpoint(given, 'HUB'))
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', issues: [{ path: 'HUB' }] })
    expect(error).toHaveProperty('message', expect.stringMatching(/^HUB is not an http or https address/))
    expect(String(error)).not.toContain('canary')
  })
})

describe('a token', () => {
  it.each([
    ['hf_abc', 'hf_abc'],
    [' hf_abc\r\n', 'hf_abc'],
    ['!~', '!~'],
    ['a'.repeat(16_384), 'a'.repeat(16_384)],
  ])('%j is %j', (given, token) => {
    expect(requireToken(given, 'TOKEN')).toBe(token)
  })

  it.each([
    ...[
      '',
      ' ',
      'canary b',
      'canary\nx-evil: 1',
      'canary\r\n\r\nbody',
      'canary\u0000',
      'canaryé',
      'canary\u007f',
    ],
    'canary'.repeat(4_000),
  ])('is not %j, and the message does not repeat it', (given) => {
    const error = thrown(() => requireToken(given, 'TOKEN'))
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', issues: [{ path: 'TOKEN' }] })
    expect(error).toHaveProperty('message', expect.stringMatching(/^TOKEN is empty or contains/))
    expect(String(error)).not.toContain('canary')
  })
})

function thrown(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
