/** Checks of Chinese texts. */

/** Names that are the same in every language; they may consist of several words. */
const names =
  /Hugging Face|LM Studio|llama\.cpp|Content-Type: application\/json|Authorization: Bearer TOKEN|Name: value/g

/**
 * The English that is left in a Chinese text: two or more words in a row. Single words are names: of options, fields,
 * programs, protocols. Code in backticks or quotes, and commands on lines of their own, do not count.
 */
export function englishLeftIn(text: string): string[] {
  const prose = text
    .replaceAll(/^ {2}(?:MODEL_\S+ )?model-downloader .*$/gm, '')
    .replaceAll(/`[^`]*`|"[^"]*"|'[^']*'/g, '')
    .replaceAll(names, '')
  return prose.match(/(?<![-\w./])[A-Za-z]{2,}(?: [a-z]{2,})+/g) ?? []
}
