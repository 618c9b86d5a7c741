/** Tokens for the Xet store. One serves all files of a repository until it expires. */
import { isFresh, type XetToken } from '../sources/xet.js'
import type { Clock } from '../util/clock.js'

/** Keeps the tokens of one run. */
export class XetTokens {
  readonly #clock: Pick<Clock, 'wallNow'>
  readonly #known = new Map<string, XetToken>()
  readonly #asked = new Map<string, Promise<XetToken>>()

  constructor(clock: Pick<Clock, 'wallNow'>) {
    this.#clock = clock
  }

  /**
   * Returns a token, which concurrent calls share.
   *
   * @param url - the URL that it is requested from.
   * @param refused - the token that the store has refused; null if none was.
   * @param request - requests another one.
   */
  async get(url: string, refused: string | null, request: () => Promise<XetToken>): Promise<XetToken> {
    const known = this.#known.get(url)
    if (known !== undefined && known.token !== refused && isFresh(known, this.#clock.wallNow())) return known
    const asked = this.#asked.get(url) ?? this.#ask(url, request)
    return await asked
  }

  async #ask(url: string, request: () => Promise<XetToken>): Promise<XetToken> {
    const asked = request()
    this.#asked.set(url, asked)
    try {
      const token = await asked
      this.#known.set(url, token)
      return token
    } finally {
      this.#asked.delete(url)
    }
  }
}
