/**
 * Whoever writes a text that this package parses must not be able to keep the event loop busy with it: the time
 * grows with the length of the text and not with its square. FAULTS.md row 70.
 */
import { describe, expect, it } from 'vitest'
import {
  checkFilename,
  cleanFilename,
  filenameFromServer,
  filenameFromUrl,
  safePath,
} from '../../../src/disk/names.js'
import { checkHead, extensionFor } from '../../../src/disk/model-formats.js'
import { identityOf, judge } from '../../../src/engine/fetch/response-rules.js'
import { parseJournal } from '../../../src/engine/part/journal.js'
import { chooseLocale } from '../../../src/util/locale.js'
import { parseHost, requireLocal } from '../../../src/http/access.js'
import { CorsPolicy } from '../../../src/http/cors.js'
import { copyHeaders } from '../../../src/http/node.js'
import { publicMessage } from '../../../src/download/wire.js'
import { planGroup } from '../../../src/job/group-rules.js'
import { judgeHost, parseAllowedHost, publicOnly } from '../../../src/net/address-policy.js'
import { parseContentRange, statedSize } from '../../../src/net/content-range.js'
import { nextHop } from '../../../src/net/redirects.js'
import { linkedDigests, serverDigests } from '../../../src/net/server-digests.js'
import { parseRetryAfter } from '../../../src/net/retry.js'
import { requestedWaitMs } from '../../../src/net/requested-wait.js'
import { findChecksum, parseChecksums } from '../../../src/sources/checksums.js'
import { parseGitHubRef } from '../../../src/sources/github.js'
import { matches, selector } from '../../../src/sources/globs.js'
import {
  gitOidOf,
  nextPage,
  parseHubLink,
  parseHubRef,
  parseTreePage,
  sha256Of,
} from '../../../src/sources/huggingface-ref.js'
import { canonicalText, displayName, parseUrl } from '../../../src/sources/identify.js'
import { isModelScopeRef, parseModelScopeRef } from '../../../src/sources/modelscope.js'
import { chooseLayers, manifestSchema, parseChallenge } from '../../../src/sources/oci.js'
import { parseOllamaRef } from '../../../src/sources/ollama.js'
import { quantOf, selectQuant } from '../../../src/sources/quantisation.js'
import { sourceRegistry } from '../../../src/sources/resolver.js'
import { fewOf, isPlainPath, isRevision } from '../../../src/sources/support.js'
import { parseDigest } from '../../../src/util/digests.js'
import { redactUrl, redactUrls } from '../../../src/util/redact.js'
import { Slices } from '../../../src/util/slices.js'
import { cpuMs, longestTurnMs } from '../../support/cost.js'
import fc from '../../support/properties.js'
import { slowness } from '../../support/wait.js'

const sources = sourceRegistry()
const head = (headers: Record<string, string>) => ({ status: 206, headers })
const response = (name: string, value: string) => new Response(null, { headers: { [name]: value } })
const cors = new CorsPolicy({ origins: ['https://a.example'] })

/** What reads text of strangers: servers, callers, or whoever wrote a file. */
const parsers: Record<string, (text: string) => unknown> = {
  redactUrl,
  redactUrls,
  'redactUrls in a URL': (text) => redactUrls(`https://host/${text}`),
  publicMessage: (text) => publicMessage({ code: 'HTTP_ERROR', message: text }),
  displayName: (text) => displayName(text, sources),
  canonicalText,
  parseUrl,
  'parseUrl of a query': (text) => parseUrl(`https://host/?${text}`),
  'sources.find': (text) => sources.find(text),
  parseHubRef: (text) => parseHubRef(`hf:${text}`),
  parseHubLink: (text) => parseHubLink(`https://huggingface.co/${text}`),
  parseOllamaRef: (text) => parseOllamaRef(`ollama:${text}`),
  parseGitHubRef: (text) => parseGitHubRef(`gh:${text}`),
  parseModelScopeRef: (text) => parseModelScopeRef(`ms:${text}`),
  isModelScopeRef: (text) => isModelScopeRef(`https://modelscope.cn/models/${text}`),
  isPlainPath,
  isRevision,
  nextPage,
  parseChallenge,
  'parseChallenge of Bearer': (text) => parseChallenge(`Bearer realm="${text}`),
  sha256Of,
  gitOidOf,
  quantOf,
  checkFilename,
  safePath,
  filenameFromUrl: (text) => filenameFromUrl(new URL(`https://host/${text}`)),
  'Content-Disposition': (text) =>
    filenameFromServer({
      contentDisposition: `attachment; filename=${text}`,
      finalUrl: new URL('https://h/a.b'),
    }),
  'Content-Disposition, quoted': (text) =>
    filenameFromServer({
      contentDisposition: `attachment; filename="${text}`,
      finalUrl: new URL('https://h/a.b'),
    }),
  'a media type': (text) => judge({ start: 0, end: null, identity: null, digestKnown: false } as never, head({ 'content-type': text })), // prettier-ignore
  'an ETag': (text) => identityOf(head({ etag: text, 'last-modified': text, date: text }), null),
  'Content-Range': (text) => [
    parseContentRange(text),
    statedSize({ status: 200, headers: { 'content-length': text } }),
  ],
  'Retry-After': (text) => parseRetryAfter(text, 0),
  RateLimit: (text) => requestedWaitMs({ status: 429, headers: { ratelimit: text, date: text } }, 0),
  'RateLimit with a window': (text) =>
    requestedWaitMs({ status: 429, headers: { ratelimit: `a;t=1${text}` } }, 0),
  'RateLimit-Reset': (text) => requestedWaitMs({ status: 429, headers: { 'ratelimit-reset': text } }, 0),
  Location: (text) => nextHop({ url: new URL('https://h/'), headers: {}, count: 0 }, text, 5),
  parseDigest,
  parseChecksums: (text) => findChecksum(parseChecksums(text, text), { names: [text, 'a'], sidecar: text }),
  'parseChecksums of lines': (text) => parseChecksums(text.replaceAll('a', `${'0'.repeat(64)}  a\n`), 'S'),
  'parseChecksums of BSD': (text) => parseChecksums(`SHA256 (${text}`, 'S'),
  Metalink: (text) => parseChecksums(`<metalink><file name="${text}`, 'S'),
  'Metalink of text': (text) => parseChecksums(`<metalink><file name="a"><hash>${text}`, 'S'),
  ...Object.fromEntries(
    ['repr-digest', 'digest', 'content-md5', 'x-goog-hash', 'x-amz-checksum-sha256', 'x-linked-etag'].map(
      (name) => [
        name,
        (text: string) => [serverDigests({ [name]: text }, true), linkedDigests({ [name]: text })],
      ],
    ),
  ),
  parseHost,
  judgeHost: (text) => judgeHost(publicOnly, text, 80),
  parseAllowedHost,
  'forwarding headers': (text) =>
    requireLocal({ url: 'http://localhost/', headers: new Headers({ forwarded: text, 'x-forwarded-for': text }) }, { remoteAddress: '127.0.0.1' }), // prettier-ignore
  'Accept-Language': (text) => chooseLocale(text, 'en-US'),
  Origin: (text) => cors.apply(new Request('http://h', { headers: { origin: text } }), new Headers()),
  'Access-Control-Request-Headers': (text) =>
    cors.preflight(new Request('http://h', { headers: { origin: 'https://a.example', 'access-control-request-headers': text } }), []), // prettier-ignore
  Vary: (text) => copyHeaders(response('vary', text), { getHeader: () => text, setHeader: () => undefined }),
  parseJournal,
  cleanFilename,
  checkHead: (text) => checkHead('a.bin', Buffer.from(text), null),
  'checkHead of a name': (text) => checkHead(text, Buffer.from('{}'), null),
  extensionFor: (text) => extensionFor(Buffer.from(text), text),
}

/** Units whose repetition makes a careless pattern slow, with what precedes and follows them. */
const pieces = [...Array.from(' \t.,;:<>"\'\\/=%-_@a0A()[]{}?#&*+~\u00e9\u0301\ud83d'), '..', ';rel', ' ;', '="', '<;', '%2', '%41', '\\"', '_Q4', 'q=', '-->', '<!--', 'a.', '\u0301\u0323', 'https://', 'x@', '; t', '://', '\r\n'] // prettier-ignore
const unit = fc.oneof(
  fc.constantFrom(...pieces),
  fc.array(fc.constantFrom(...pieces), { minLength: 2, maxLength: 3 }).map((parts) => parts.join('')),
)
const edge = fc.constantFrom('', 'a', ' ', '!', '"', '<', 'https://a', '\n', 'next', '\0')

const length = 16 * 1024

/** Quadratic time is hundreds of milliseconds for so many characters, and linear time is well below one. */
const enoughMs = 60 * slowness

describe.each(Object.entries(parsers))('%s', (_, parse) => {
  it('takes time for the length of a text, whatever it says', async () => {
    const attempt = (text: string) => {
      try {
        parse(text)
      } catch {
        // Most of these texts are refused.
      }
    }
    await fc.assert(
      fc.asyncProperty(unit, edge, edge, async (repeated, before, after) => {
        const text = before + repeated.repeat(Math.ceil(length / repeated.length)) + after
        expect(await cpuMs(() => attempt(text), 1)).toBeLessThan(enoughMs)
      }),
      { numRuns: pieces.length + 10, examples: pieces.map((piece) => [piece, '', '!']) },
    )
  })
})

describe('lists of strangers', () => {
  const many = 10_000
  const digest = 'a'.repeat(64)

  it('of layers with one name are named in linear time', async () => {
    const layers = Array.from({ length: many }, () => ({ mediaType: 'application/x', digest: `sha256:${digest}`, size: 1, annotations: { 'org.opencontainers.image.title': 'a.bin' } })) // prettier-ignore
    const manifest = manifestSchema().parse({ layers })
    expect(await cpuMs(() => chooseLayers(manifest, 'x', 'all'))).toBeLessThan(4 * enoughMs)
    const names = chooseLayers(manifest, 'x', 'all').map(({ filename }) => filename)
    expect(new Set(names).size).toBe(many)
    expect(names.slice(0, 3)).toEqual(['a.bin', 'a-2.bin', 'a-3.bin'])
  })

  it('keep distinct names when some look like numbered ones', () => {
    const title = fc.constantFrom('a.bin', 'A.bin', 'a-2.bin', 'a-2-2.bin', 'b', 'é.bin', 'e\u0301.bin')
    fc.assert(
      fc.property(fc.array(title, { maxLength: 20 }), (titles) => {
        const layers = titles.map((name) => ({ mediaType: 'application/x', digest: `sha256:${digest}`, size: 1, annotations: { 'org.opencontainers.image.title': name } })) // prettier-ignore
        const names = chooseLayers({ layers }, 'x', 'all').map(({ filename }) => filename)
        expect(new Set(names.map((name) => name.normalize('NFC').toLowerCase())).size).toBe(titles.length)
      }),
    )
  })

  it('of globs are refused before they take long', async () => {
    const globs = Array.from({ length: 100 }, (_, index) => `${'*a'.repeat(280)}${String(index)}b`)
    const paths = Array.from(
      { length: many },
      (_, index) => `${'a'.repeat(200)}/${'a'.repeat(230)}${String(index)}`,
    )
    const isWanted = selector(globs, globs)
    const cost = await cpuMs(() => {
      expect(() => paths.filter(isWanted)).toThrow(/too long/)
    }, 1)
    expect(cost).toBeLessThan(20 * enoughMs)
    // What people write is not refused.
    const usual = selector(['*.safetensors', '*.json', 'onnx/**/*.onnx'], ['*.md', '**/old/*'])
    expect(paths.filter(usual)).toEqual([])
    expect(() => matches('*a'.repeat(500), 'a'.repeat(20_000))).not.toThrow()
  })

  it('of paths are planned in linear time, however deep they are', async () => {
    const filesBelow = (depth: number) =>
      Array.from({ length: many }, (_, index) => ({
        filename: `${'a/'.repeat(depth)}${String(index)}`,
        urls: ['https://h/'],
        headers: {},
      }))
    await expect(planGroup(filesBelow(500))).rejects.toThrow(/too many folders/)
    const files = filesBelow(30).slice(2)
    expect(await cpuMs(() => planGroup(files), 1)).toBeLessThan(20 * enoughMs)
    const deep = { filename: `${'a/'.repeat(3)}b`, urls: ['https://h/'], headers: {} }
    const clash = (filename: string) => planGroup([...files, deep, { ...deep, filename }])
    for (const filename of ['a', 'A/a', 'a/a/a'])
      await expect(clash(filename), filename).rejects.toThrow(/file and as the folder/)
    for (const filename of ['a-', 'a!/a', 'a/a!a', 'a/a/a0'])
      await expect(clash(filename), filename).resolves.toMatchObject({ refused: [] })
  })

  it.each<[string, (index: number) => string]>([
    ['one name each', (index) => `${index}/${'a/'.repeat(30)}b`],
    ['long names', (index) => `${index}/${`${'a'.repeat(29)}/`.repeat(30)}b`],
    ['names of their own', (index) => Array.from({ length: 31 }, (_, at) => `${'é'.repeat(6)}${index}-${at}`).join('/')], // prettier-ignore
    ['a name that is refused', (index) => `${index}/${`${'e\u0301'.repeat(9)}/`.repeat(30)}b:`],
    ['nothing but what is removed', (index) => `${index}/${`${'\u200b'.repeat(130)}/`.repeat(30)}b`],
    ['names that are far too long', (index) => `${index}${'\u200b'.repeat(5_000)}`],
  ])('of distinct trees are planned in slices: folders with %s', async (_, name) => {
    const files = Array.from({ length: 1_000 }, (__, index) => ({
      filename: name(index),
      urls: [],
      headers: {},
    }))
    const longest: number[] = []
    for (const restrict of [false, true]) {
      const slices = new Slices()
      const plan = () => planGroup([...files, { filename: 'b', urls: [], headers: {} }], restrict, slices)
      longest.push(await longestTurnMs(plan))
      expect(slices.turns).toBeGreaterThan(5)
    }
    expect(Math.min(...longest)).toBeLessThan(enoughMs)
  })

  it('of one page are parsed in linear time', async () => {
    const page = Array.from({ length: many }, () => ({ type: 'file', path: 'model-Q4_K_M.gguf', size: 1 }))
    expect(await cpuMs(() => parseTreePage(page))).toBeLessThan(4 * enoughMs)
    const files = parseTreePage(page)
    expect(await cpuMs(() => selectQuant(files, 'Q4_K_M'))).toBeLessThan(4 * enoughMs)
    expect(fewOf(files.map(({ path }) => path))).toContain('more')
  })
})
