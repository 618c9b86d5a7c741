/** Odd responses, and what the two ways to read a body make of them. */
import { requestHeaders, type ResponseHead } from '../../src/net/exchange.js'
import { HttpClient } from '../../src/net/http.js'
import fc from './properties.js'
import type { Script, ScriptedServer } from './scripted-server.js'
import { withTimeout } from './wait.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')

/** What becomes of an exchange. */
export interface Outcome {
  head: ResponseHead | null
  body: string
  end: string
}

/** Makes one request, and waits for its end. */
export async function outcomeOf(http: HttpClient, url: URL): Promise<Outcome> {
  const outcome: Outcome = { head: null, body: '', end: '' }
  await withTimeout(
    new Promise<void>((resolve) => {
      http.exchange(
        { url, headers: requestHeaders({}, {}), proxy: false },
        {
          onSent: () => undefined,
          onHead: (head) => (outcome.head = head),
          onData: (chunk) => (outcome.body += chunk.toString('latin1')),
          onEnd: () => {
            outcome.end = 'complete'
            resolve()
          },
          onError: ({ code }) => {
            outcome.end = code
            resolve()
          },
        },
      )
    }),
    10_000,
    'the end of the exchange',
  )
  return outcome
}

/**
 * What both ways to read a body make of the same response. Both clients are new, so that no connection of one case serves
 * another.
 */
export async function compareReaders(
  server: ScriptedServer,
  script: Script,
): Promise<{ fast: Outcome; standard: Outcome }> {
  const url = server.answer('/', script)
  const results: Outcome[] = []
  for (const bodyReader of ['fast', 'standard'] as const) {
    const http = new HttpClient({ connectTimeoutMs: 5_000, bodyReader })
    results.push(await outcomeOf(http, url))
    await http.close()
  }
  const [fast, standard] = results
  if (fast === undefined || standard === undefined) throw new Error('no outcome')
  return { fast, standard }
}

/** The body of every response. */
export const body = 'hello world, these are some bytes'

const line = fc.oneof(
  fc.constantFrom(
    `Content-Length: ${body.length}`,
    `content-length:${body.length}`,
    `Content-Length: ${body.length - 3}`,
    `Content-Length: ${body.length + 3}`,
    'Content-Length: 0',
    'Content-Length: -1',
    'Content-Length: 1e3',
    'Transfer-Encoding: chunked',
    'Connection: close',
    'Connection: keep-alive',
    'Connection: Keep-Alive, Upgrade',
    'Keep-Alive: timeout=5',
    'ETag: "a\xe9b"',
    'ETag:   "spaces before"',
    'ETag: "space behind" ',
    ' folded',
    'Set-Cookie: a=1',
    'Content-Range: bytes 0-32/33',
    'Upgrade: websocket',
    'X-Empty:',
    'constructor: 1',
    'no colon',
  ),
  fc
    .tuple(fc.string({ maxLength: 6 }), fc.string({ maxLength: 6 }))
    .map(([name, value]) => `${name}: ${value}`),
)

const head = fc
  .record({
    status: fc.constantFrom(
      ...[
        'HTTP/1.1 200 OK',
        'HTTP/1.1 206 Partial Content',
        'HTTP/1.1 302 Found',
        'HTTP/1.1 416 No',
        'HTTP/1.1 503 ',
      ],
      ...[
        'HTTP/1.1 204 No Content',
        'HTTP/1.1 100 Continue',
        'HTTP/1.1 200',
        'HTTP/1.0 200 OK',
        'HTTP/1.1 999 ?',
        'X',
      ],
    ),
    length: fc.option(fc.constant(`Content-Length: ${body.length}`)),
    lines: fc.array(line, { maxLength: 5 }),
    lineEnd: fc.constantFrom('\r\n', '\r\n', '\r\n', '\n'),
  })
  .map(({ status, length, lines, lineEnd }) =>
    [status, ...(length === null ? [] : [length]), ...lines, '', ''].join(lineEnd),
  )

/** Changes single bytes, at positions that shrink with the text. */
const mutations = fc.array(fc.record({ at: fc.nat(400), to: fc.integer({ min: 0, max: 255 }) }), {
  maxLength: 2,
})

/** Responses, most of which are not quite as they should be, in pieces of any size. */
export const oddScript = fc
  .record({
    head,
    mutations,
    cuts: fc.array(fc.nat(300), { maxLength: 3 }),
    extra: fc.constantFrom('', '', 'more'),
  })
  .map(({ head: text, mutations: changes, cuts, extra }): Script => {
    const all = bytes(text + body + extra)
    for (const { at, to } of changes) if (at < text.length) all[at] = to
    const places = [...new Set(cuts.filter((cut) => cut > 0 && cut < all.length))].sort((a, b) => a - b)
    const pieces = [0, ...places].map((start, index) => all.subarray(start, places[index]))
    // Without an end, a body that only the end of the connection delimits would never be complete.
    return { pieces, then: 'end' }
  })
