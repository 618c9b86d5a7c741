/** Tip for people whose models are missing: which ones, and the commands that download them. Pure. */
import { type PlatformPath, posix, win32 } from 'node:path'
import type { Layout } from '../layouts/hf-paths.js'
import type { Messages } from './messages.js'

/** Inputs of {@link firstUseTip}. */
export interface TipInput {
  /** Keys and names of the missing models. */
  missing: readonly { key: string; name: string }[]
  /** Keys to name in the command, or null if the command downloads the right models without them. */
  keys: readonly string[] | null
  /** Whether all missing models are being downloaded. */
  beingFetched: boolean
  /** Absolute path of the directory of the manager; null if the command must leave it to the environment. */
  directory: string | null
  /** Layout that the command must set. Default: none. */
  layout?: Layout
  /** Absolute path of the catalog file, or null if there is none. */
  catalogFile: string | null
  /**
   * Folders in which the commands are run; `relative`: whether paths in the command are relative to the
   * folder.
   */
  projectRoot: { folder: string; relative: boolean }
  backendDir: { folder: string; relative: boolean }
  platform: NodeJS.Platform
}

/**
 * Formats the tip. Pages may show it without its line breaks, so punctuation separates the commands as well. It
 * comes before what follows a command, because a command is copied up to the end of its line.
 */
export function firstUseTip(facts: TipInput, messages: Messages): string {
  const { missing, catalogFile } = facts
  if (missing.length === 0) return messages.tipAllReady
  const names = missing.map(({ key, name }) => (name === key ? key : `${name} (${key})`))
  if (facts.beingFetched) return messages.tipBeingFetched(names)
  if (catalogFile === null) return `${messages.tipMissing(names)}\n${messages.tipNoFile}`
  const lines = [messages.tipMissing(names), messages.tipFetch]
  const block = (title: string, place: TipInput['projectRoot']) => {
    lines.push(title, ...commandsFor(place, { ...facts, catalogFile }, messages.tipSeparator))
  }
  block(messages.tipFromRoot(facts.projectRoot.folder), facts.projectRoot)
  block(messages.tipFromBackend(facts.backendDir.folder), facts.backendDir)
  return lines.join('\n')
}

function commandsFor(
  place: TipInput['projectRoot'],
  facts: TipInput & { catalogFile: string },
  separator: string,
): string[] {
  const path = facts.platform === 'win32' ? win32 : posix
  const words = [
    'npx',
    'model-downloader',
    'preload',
    pathFrom(place, facts.catalogFile, path),
    ...(facts.directory === null ? [] : ['-d', pathFrom(place, facts.directory, path)]),
    ...(facts.layout === undefined ? [] : ['--layout', facts.layout]),
    ...(facts.keys === null ? [] : ['--models', facts.keys.join(',')]),
  ]
  if (facts.platform !== 'win32') return [`  ${quoteCommand(words, 'posix')}`]
  // Without further settings, PowerShell refuses to run `npx.ps1`, which it prefers.
  const [, ...rest] = words
  return [
    `  PowerShell: ${quoteCommand(['npx.cmd', ...rest], 'powershell-cmd')}`,
    `  ${separator}cmd: ${quoteCommand(words, 'cmd')}`,
  ]
}

function pathFrom(place: TipInput['projectRoot'], target: string, path: PlatformPath): string {
  if (!place.relative) return target
  const relative = path.relative(place.folder, target)
  if (relative === '') return '.'
  // The command must not parse the path as an option.
  return relative.startsWith('-') ? `.${path.sep}${relative}` : relative
}

// ---- Quoting for the shells into which people paste commands. Pure.

/** A shell with its own quoting rules; `powershell-cmd` is PowerShell that runs a batch file (`.cmd`). */
export type Shell = 'posix' | 'powershell' | 'powershell-cmd' | 'cmd'

/** Words without special meaning in POSIX shells. The first character is restricted further. */
const plain = /^[A-Za-z0-9_./-][A-Za-z0-9_./:,+=-]*$/

/**
 * The same for Windows shells, which leave the backslashes of paths alone; in PowerShell, a comma creates a
 * list.
 */
const plainWindows = /^[A-Za-z0-9_.\\/-][A-Za-z0-9_.\\/:+=-]*$/

/**
 * Words that cmd must find in quotes. PowerShell runs a batch file by way of cmd, and passes on a word as it is, in
 * double quotes only if it has white space outside of its own; a backslash before those would escape them.
 */
const forBatch = /[&|<>^()%!"]|^$|\s.*\\$/su

/**
 * Quotes a word of a command if necessary. Everything is preserved except NUL, which words cannot contain.
 */
export function quoteWord(word: string, shell: Shell): string {
  switch (shell) {
    case 'posix':
      return plain.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
    case 'powershell':
      // Typographic quotes also end a string in PowerShell; doubled, they are literal.
      return plainWindows.test(word) ? word : `'${word.replace(/['\u2018-\u201b]/g, '$&$&')}'`
    case 'powershell-cmd':
      return quoteWord(forBatch.test(word) ? quoteForCmd(word) : word, 'powershell')
    case 'cmd':
      return plainWindows.test(word) ? word : quoteForCmd(word)
  }
}

/**
 * Quotes a word for cmd, which expands only `%NAME%` inside double quotes. A caret escapes only outside of
 * quotes. So each percent sign is placed outside of them after a caret; the name that cmd then looks up
 * contains a caret, so no variable matches. The program joins the pieces again. Backslashes before a quote
 * are doubled, as programs expect (CommandLineToArgvW). File names on Windows cannot contain a double quote.
 */
function quoteForCmd(word: string): string {
  const pieces = word
    .replaceAll('"', '\\"')
    .split('%')
    .map((piece) => (piece === '' ? '' : `"${piece.replace(/\\+$/, '$&$&')}"`))
  return pieces.join('^%') || '""'
}

/** Quotes and joins the words of a command. */
export function quoteCommand(words: readonly string[], shell: Shell): string {
  return words.map((word) => quoteWord(word, shell)).join(' ')
}
