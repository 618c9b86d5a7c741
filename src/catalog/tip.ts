/** The tip for people who lack models: what is missing, and the commands that fetch it. Pure. */
import { type PlatformPath, posix, win32 } from 'node:path'
import type { Messages } from './messages.js'

/** What a tip is made of. */
export interface TipInput {
  /** Names of what is missing, or their keys. */
  missing: readonly { key: string; name: string }[]
  /** Keys to name in the command, or null when it fetches the right ones by itself. */
  keys: readonly string[] | null
  /** Whether all that is missing is being fetched right now. */
  beingFetched: boolean
  /** Absolute path of the manager's directory. */
  directory: string
  /** Absolute path of the catalog, or null when it isn't a file. */
  catalogFile: string | null
  /** Folders that the commands are meant for; `relative`: paths in the command start from there. */
  projectRoot: { folder: string; relative: boolean }
  backendDir: { folder: string; relative: boolean }
  platform: NodeJS.Platform
}

/** The tip. */
export function firstUseTip(facts: TipInput, messages: Messages): string {
  const { missing, catalogFile } = facts
  if (missing.length === 0) return messages.tipAllReady
  const names = missing.map(({ key, name }) => (name === key ? key : `${name} (${key})`))
  if (facts.beingFetched) return messages.tipBeingFetched(names)
  if (catalogFile === null) return `${messages.tipMissing(names)}\n${messages.tipNoFile}`
  const lines = [messages.tipMissing(names), messages.tipFetch]
  const block = (title: string, place: TipInput['projectRoot']) => {
    lines.push(title, ...commandsFor(place, { ...facts, catalogFile }))
  }
  block(messages.tipFromRoot(facts.projectRoot.folder), facts.projectRoot)
  block(messages.tipFromBackend(facts.backendDir.folder), facts.backendDir)
  return lines.join('\n')
}

function commandsFor(place: TipInput['projectRoot'], facts: TipInput & { catalogFile: string }): string[] {
  const path = facts.platform === 'win32' ? win32 : posix
  const words = [
    'npx',
    'model-downloader',
    'preload',
    pathFrom(place, facts.catalogFile, path),
    '-d',
    pathFrom(place, facts.directory, path),
    ...(facts.keys === null ? [] : ['--models', facts.keys.join(',')]),
  ]
  if (facts.platform !== 'win32') return [`  ${quoteCommand(words, 'posix')}`]
  const shells: [string, Shell][] = [
    ['PowerShell', 'powershell'],
    ['cmd', 'cmd'],
  ]
  return shells.map(([name, shell]) => `  ${name}: ${quoteCommand(words, shell)}`)
}

function pathFrom(place: TipInput['projectRoot'], target: string, path: PlatformPath): string {
  if (!place.relative) return target
  const relative = path.relative(place.folder, target)
  if (relative === '') return '.'
  // The command must not take it for an option.
  return relative.startsWith('-') ? `.${path.sep}${relative}` : relative
}

// ---- Quoting words for the shells that people paste commands into. Pure.

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
