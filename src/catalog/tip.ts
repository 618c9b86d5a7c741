/** The tip for people who lack models: what is missing, and the commands that fetch it. Pure. */
import { posix, win32, type PlatformPath } from 'node:path'
import type { Messages } from './messages.js'
import { quoteCommand, type Shell } from './quote.js'

/** What a tip is made of. */
export interface TipFacts {
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
export function firstUseTip(facts: TipFacts, messages: Messages): string {
  const { missing, catalogFile } = facts
  if (missing.length === 0) return messages.tipAllReady
  const names = missing.map(({ key, name }) => (name === key ? key : `${name} (${key})`))
  if (facts.beingFetched) return messages.tipBeingFetched(names)
  if (catalogFile === null) return `${messages.tipMissing(names)}\n${messages.tipNoFile}`
  const lines = [messages.tipMissing(names), messages.tipFetch]
  const block = (title: string, place: TipFacts['projectRoot']) => {
    lines.push(title, ...commandsFor(place, { ...facts, catalogFile }))
  }
  block(messages.tipFromRoot(facts.projectRoot.folder), facts.projectRoot)
  block(messages.tipFromBackend(facts.backendDir.folder), facts.backendDir)
  return lines.join('\n')
}

function commandsFor(place: TipFacts['projectRoot'], facts: TipFacts & { catalogFile: string }): string[] {
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

function pathFrom(place: TipFacts['projectRoot'], target: string, path: PlatformPath): string {
  if (!place.relative) return target
  const relative = path.relative(place.folder, target)
  if (relative === '') return '.'
  // The command must not take it for an option.
  return relative.startsWith('-') ? `.${path.sep}${relative}` : relative
}
