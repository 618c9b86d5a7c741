/** Tells the host application which web origins are refused, since their pages cannot show the reason. */
import { sentence, type Voice } from '../download/error-text.js'

/** How many origins are remembered and told about. */
const maxOrigins = 100

/**
 * An origin that `cors` can list, and that needs no quotes in a shell: scheme, host name or address, port. Anything
 * else, such as `null` for files and sandboxed frames, cannot be allowed on its own.
 */
const listable = /^https?:\/\/(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/

/** Decides which refusals are new. */
export class RefusedOrigins {
  readonly #voice: Voice
  readonly #told = new Set<string>()

  constructor(voice: Voice) {
    this.#voice = voice
  }

  /**
   * Notes that a page was refused.
   *
   * @param origin - value of the `Origin` header.
   * @returns what to tell the host application, or null if it knows already.
   */
  note(origin: string): string | null {
    const isListable = origin.length <= 300 && listable.test(origin)
    const known = isListable ? origin : 'null'
    if (this.#told.has(known) || this.#told.size > maxOrigins) return null
    this.#told.add(known)
    const { locale, command } = this.#voice
    if (this.#told.size > maxOrigins) return sentence(locale, 'refusedManyOrigins', [])
    if (isListable) return sentence(locale, command ? 'refusedOriginOfCommand' : 'refusedOrigin', [origin])
    return sentence(locale, command ? 'refusedNoOriginOfCommand' : 'refusedNoOrigin', [])
  }
}
