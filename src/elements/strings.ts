/** All texts of the elements. Each language but English comes when it is spoken. Pure but for that. */
import type { DownloadErrorCode } from '../client/index.js'

/** In English. `{…}` stands for what is put in. */
const english = {
  downloads: 'Downloads',
  add: 'Download',
  address: 'Address or name of a model',
  addressHint: 'https://… or hf:owner/repository/file.gguf',
  kind: 'Kind',
  emptyTitle: 'No downloads yet',
  emptyText: 'Paste the address of a model above, or a name such as hf:owner/repository.',
  emptyReadOnly: 'As soon as somebody starts one, it shows here.',
  unknownTitle: 'Not downloaded yet',
  sectionActive: 'In progress',
  sectionSettled: 'Finished',
  showMore: 'Show {n} more',
  queued: 'Waiting',
  resolving: 'Preparing',
  downloading: 'Downloading',
  verifying: 'Checking',
  paused: 'Paused',
  completed: 'Done',
  failed: 'Failed',
  canceled: 'Canceled',
  pause: 'Pause',
  resume: 'Resume',
  cancel: 'Cancel',
  retry: 'Try again',
  remove: 'Remove',
  actionOf: '{action}: {name}',
  close: 'Keep it',
  cancelTitle: 'Cancel this download?',
  cancelText: 'What was fetched so far is deleted: {size}.',
  cancelConfirm: 'Cancel download',
  removeTitle: 'Remove from the list?',
  removeText: '{name} is forgotten here.',
  removeFile: 'Delete the file, too',
  bytesOf: '{done} of {total}',
  filesOf: '{done} of {total} files',
  showFiles: 'Show files',
  hideFiles: 'Hide files',
  loadingFiles: 'Loading the files …',
  timeLeft: '{time} left',
  verified: 'Verified',
  running: '{n} running',
  waiting: '{n} waiting',
  connecting: 'Connecting …',
  offline: 'No connection to the server. Trying again by itself …',
  reconnect: 'Try now',
  denied: 'You may not see this.',
  signInFirst: 'Sign in to see this.',
  failedAction: 'That did not work: {reason}',
  said: '{name}: {state}',
  models: 'Model catalog',
  modelsNone: 'The catalog is empty.',
  allReady: 'All models are here.',
  someMissing: '{n} of {total} models are missing.',
  ready: 'Ready',
  missing: 'Missing',
  required: 'Required',
  fetchMissing: 'Fetch missing models',
  fetchAgain: 'Check and fetch again',
  fetchOne: 'Fetch',
  stop: 'Stop',
  preloading: 'Fetching models: {done} of {total} done',
  preloadDone: 'The last run went well.',
  preloadFailed: 'The last run failed: {reason}',
  firstUse: 'On the command line',
  log: 'Log',
  logEmpty: 'Nothing has happened yet.',
  follow: 'Follow',
  hold: 'Pause',
  copy: 'Copy',
  copied: 'Copied',
  noPreload: 'This server has no catalog of models.',
}

/** Name of a text. */
export type StringKey = keyof typeof english

/** All texts of one language. */
export type Strings = Readonly<Record<StringKey, string>>

/** A language that there are texts in. */
export type ElementLocale = 'en-US' | 'zh-CN'

/** A language. */
export interface Language {
  readonly strings: Strings
  /** Why something failed; the server says it in English. */
  readonly reasons: Readonly<Partial<Record<DownloadErrorCode, string>>>
}

const languages = new Map<ElementLocale, Language>([['en-US', { strings: english, reasons: {} }]])

/** A language, or null while it is not there. */
export function languageFor(locale: ElementLocale): Language | null {
  return languages.get(locale) ?? null
}

/** Brings a language. Where it can't be had, there is English. */
export async function bringLanguage(locale: ElementLocale): Promise<void> {
  if (languages.has(locale)) return
  const bring = async () => (await import('./chinese.js')).chinese
  languages.set(locale, await bring().catch(() => ({ strings: english, reasons: {} })))
}

/**
 * The language for the first of some tags that we have texts in: any Chinese is `zh-CN`, any English `en-US`.
 *
 * @param tags - what is asked for, best first: a `lang` attribute, the browser's languages.
 */
export function localeFor(tags: Iterable<string>): ElementLocale {
  for (const tag of tags) {
    const language = tag.trim().toLowerCase().split(/[-_]/)[0]
    if (language === 'zh') return 'zh-CN'
    if (language === 'en') return 'en-US'
  }
  return 'en-US'
}

/** A text with its places filled in. A place without a value stays as it is. */
export function fill(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place))
}
