/** Reads netrc files, as curl, ftp and git do. Pure. */
import type { NetrcEntry } from '../../net/host-secrets.js'

/**
 * Parses a netrc file. Of several logins for a machine, the first one is used. A login of `default` is left out, because
 * it would be sent to every host; so are machines without a password, and macros.
 */
export function parseNetrc(text: string): NetrcEntry[] {
  const tokens = tokensOf(text)
  const entries: NetrcEntry[] = []
  let machine: string | null = null
  let login = ''
  let password: string | null = null
  const end = () => {
    if (machine !== null && password !== null) entries.push({ machine, login, password })
    machine = password = null
    login = ''
  }
  for (let at = 0; at < tokens.length; at += 1) {
    const value = tokens[at + 1] ?? ''
    const word = tokens[at] ?? ''
    switch (word.toLowerCase()) {
      case 'machine':
        end()
        machine = value.toLowerCase()
        at += 1
        break
      case 'default':
        end()
        break
      case 'login':
        login = value
        at += 1
        break
      case 'password':
        password = value
        at += 1
        break
      case 'account':
        at += 1
        break
    }
  }
  end()
  return entries
}

/** A token in quotes, in which a backslash escapes, or one without white space. */
const token = /"((?:[^"\\]|\\.)*)"?|\S+/gs

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

function tokensOf(text: string): string[] {
  const tokens: string[] = []
  let inMacro = false
  for (const line of text.split(/\r\n|[\n\r]/)) {
    // A macro ends at an empty line.
    if (line.trim() === '') inMacro = false
    if (inMacro || /^\s*#/.test(line)) continue
    for (const [whole, quoted] of line.matchAll(token)) {
      if (whole.toLowerCase() === 'macdef') {
        inMacro = true
        break
      }
      tokens.push(quoted?.replace(/\\(.)/gs, (_pair, letter: string) => escapes[letter] ?? letter) ?? whole)
    }
  }
  return tokens
}
