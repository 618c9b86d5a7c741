/** The name that a response gives a file. */
import { extensionFor, headBytes } from '../disk/model-formats.js'
import { filenameFromServer, madeUpFilename } from '../disk/names.js'
import type { FirstAnswer } from './fetch/contract.js'

/**
 * The name that the server gives the file, or one made up of its address and its format.
 *
 * @param url - address that was asked for; the answer may come from another one.
 */
export async function nameOfAnswer(first: FirstAnswer, url: string): Promise<string> {
  const { head, url: finalUrl } = first
  const text = (name: string) => [head.headers[name] ?? []].flat()[0] ?? null
  const named = filenameFromServer({ contentDisposition: text('content-disposition'), finalUrl })
  if (named !== null) return named
  const extension = extensionFor(await first.peek(headBytes), text('content-type'))
  return madeUpFilename(new URL(url), extension)
}
