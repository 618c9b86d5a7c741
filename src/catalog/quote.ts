/** Quoting words for the shells that people paste commands into. Pure. */

/** A shell with quoting rules of its own. */
export type Shell = 'posix' | 'powershell' | 'cmd'

/** What no shell gives a meaning to, wherever it stands in a word that doesn't begin with it. */
const plain = /^[A-Za-z0-9_./-][A-Za-z0-9_./:,+=-]*$/
/** Windows separates folders by backslashes, which its shells leave alone; commas make a list in PowerShell. */
const plainWindows = /^[A-Za-z0-9_.\\/-][A-Za-z0-9_.\\/:+=-]*$/

/** One word of a command: as it is when that is harmless, else quoted. A NUL can't be in a word; nothing else is lost. */
export function quoteWord(word: string, shell: Shell): string {
  switch (shell) {
    case 'posix':
      return plain.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
    case 'powershell':
      // Typographic quotes end a string there, too; doubled they stand for themselves.
      return plainWindows.test(word) ? word : `'${word.replace(/['\u2018-\u201b]/g, '$&$&')}'`
    case 'cmd':
      return plainWindows.test(word) ? word : quoteForCmd(word)
  }
}

/**
 * In double quotes cmd leaves everything alone but `%NAME%`. A caret protects only outside of quotes: each percent sign
 * gets out of them, and the name that cmd looks for then has a caret in it, which none has. The program puts the
 * pieces together again. Backslashes before a quote are doubled, as programs expect it (CommandLineToArgvW). File
 * names can't hold a double quote there.
 */
function quoteForCmd(word: string): string {
  const pieces = word
    .replaceAll('"', '\\"')
    .split('%')
    .map((piece) => (piece === '' ? '' : `"${piece.replace(/\\+$/, '$&$&')}"`))
  return pieces.join('^%') || '""'
}

/** A command of several words. */
export function quoteCommand(words: readonly string[], shell: Shell): string {
  return words.map((word) => quoteWord(word, shell)).join(' ')
}
