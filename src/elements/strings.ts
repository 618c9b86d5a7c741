/** All texts of the elements. Languages other than English are loaded on demand; everything else here is pure. */
import type { DownloadErrorCode } from '../client/index.js'

/** The English texts. `{…}` is a placeholder. */
const english = {
  downloads: 'Downloads',
  add: 'Download',
  address: 'Address or name of a model',
  addressHint: 'https://… or hf:owner/repository/file.gguf',
  kind: 'Kind',
  look: 'Look first, or search',
  emptyTitle: 'No downloads yet',
  emptyText: 'Paste the address of a model above, or a name such as hf:owner/repository.',
  emptyReadOnly: 'New downloads will appear here.',
  unknownTitle: 'Not downloaded yet',
  sectionAttention: 'Needs attention',
  sectionRunning: 'Running',
  sectionWaiting: 'Waiting',
  sectionPaused: 'Paused',
  sectionFinished: 'Finished',
  search: 'Search',
  showAll: 'All',
  filterState: 'Filter by state',
  allKinds: 'All kinds',
  sort: 'Order',
  sortStandard: 'Standard order',
  sortNewest: 'Newest first',
  sortName: 'By name',
  sortLargest: 'Largest first',
  sortProgress: 'By progress',
  noMatch: 'No download matches.',
  clearFilter: 'Show all downloads',
  pauseAll: 'Pause all',
  resumeAll: 'Resume all',
  retryFailed: 'Retry failed',
  clearFinished: 'Clear finished',
  clearTitle: 'Remove the finished downloads from the list ({n})?',
  clearText: 'Their files stay on the disk.',
  clearConfirm: 'Clear',
  bulkDone: 'Done: {n}',
  bulkFailed: '{n} of {total} did not work: {reason}',
  speedLimit: 'Speed limit',
  noLimit: 'No limit',
  atMost: 'Max. {speed}',
  priority: 'Priority',
  priorityHigh: 'High priority',
  priorityNormal: 'Normal priority',
  priorityLow: 'Low priority',
  dismiss: 'Close',
  detailsMissing: 'The details could not be loaded. Reload the page.',
  source: 'Source',
  location: 'Location',
  locationElsewhere: 'Outside the folder of the server',
  digest: 'SHA-256',
  check: 'Check',
  notVerified: 'No digest to compare with',
  requestedAt: 'Requested',
  startedAt: 'Started',
  finishedAt: 'Finished',
  connections: 'Connections',
  node: 'Node',
  runsOn: 'on {node}',
  copyOf: 'Copy: {name}',
  speedChart: 'Speed',
  speedSummary: 'now {now}, average {average}, peak {peak}',
  settings: 'Settings',
  files: 'Files',
  usage: 'How to use it',
  usagePath: 'Path',
  logOfPage: 'No messages.',
  queued: 'Waiting',
  resolving: 'Preparing',
  downloading: 'Downloading',
  verifying: 'Verifying',
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
  cancelTitle: 'Cancel {name}?',
  cancelText: 'The {size} downloaded so far will be deleted.',
  cancelConfirm: 'Cancel download',
  removeTitle: 'Remove {name}?',
  removeText: 'The download will be removed from the list.',
  removeFile: 'Also delete the file',
  bytesOf: '{done} of {total}',
  filesOf: '{done} of {total} files',
  showFiles: 'Show files',
  hideFiles: 'Hide files',
  loadingFiles: 'Loading the files …',
  timeLeft: '{time} left',
  verified: 'Verified',
  verifiedWith: 'Verified with {algorithm}, {by}',
  byCaller: 'which was given with the request',
  bySource: 'which the source states',
  bySidecar: 'which the checksum file states',
  byServer: 'which the server states',
  running: '{n} running',
  waiting: '{n} waiting',
  connecting: 'Connecting …',
  offline: 'No connection to the server. Retrying automatically …',
  reconnect: 'Try now',
  denied: 'You are not allowed to see this.',
  signInFirst: 'Sign in to see this.',
  failedAction: 'That did not work: {reason}',
  said: '{name}: {state}',
  models: 'Model catalog',
  modelsNone: 'The catalog is empty.',
  allReady: 'All models are ready.',
  someMissing: '{n} of {total} models are missing.',
  ready: 'Ready',
  missing: 'Missing',
  required: 'Required',
  fetchMissing: 'Fetch missing models',
  fetchAgain: 'Check and fetch again',
  fetchOne: 'Fetch',
  stop: 'Stop',
  preloading: 'Fetching models: {done} of {total} done',
  preloadDone: 'The last run succeeded.',
  preloadFailed: 'The last run failed: {reason}',
  firstUse: 'On the command line',
  log: 'Log',
  logEmpty: 'No log entries yet.',
  follow: 'Follow',
  hold: 'Pause',
  copy: 'Copy',
  copied: 'Copied',
  disk: 'Disk',
  diskUsed: 'Models',
  diskFree: 'Free',
  diskBudget: 'Budget',
  diskReserve: 'Kept free',
  diskTight: 'The disk is almost full. Delete models that are no longer needed.',
  diskOther: 'Other',
  diskOne: '1 model',
  diskMany: '{n} models',
  pinned: 'Pinned',
  pin: 'Pin',
  unpin: 'Unpin',
  stillPinned: 'It stays pinned, because the catalog requires it.',
  deleteFile: 'Delete',
  deleteTitle: 'Delete {name}?',
  deleteText: 'This frees {size}. The model has to be downloaded again if it is needed later.',
  noPreload: 'This server has no model catalog.',
}

/** Name of a text. */
export type StringKey = keyof typeof english

/** All texts of one language. */
export type Strings = Readonly<Record<StringKey, string>>

/** A supported language. */
export type ElementLocale = 'en-US' | 'zh-CN'

/** The texts and failure reasons of a language. */
export interface Language {
  readonly strings: Strings
  /** Failure reasons by error code, for languages other than the English of the server's messages. */
  readonly reasons: Readonly<Partial<Record<DownloadErrorCode, string>>>
}

const languages = new Map<ElementLocale, Language>([['en-US', { strings: english, reasons: {} }]])

/** The texts of a language, or null until they are loaded. */
export function languageFor(locale: ElementLocale): Language | null {
  return languages.get(locale) ?? null
}

/** Loads a language. When that fails, English is used instead. */
export async function bringLanguage(locale: ElementLocale): Promise<void> {
  if (languages.has(locale)) return
  const bring = async () => (await import('./chinese.js')).chinese
  languages.set(locale, await bring().catch(() => ({ strings: english, reasons: {} })))
}

/**
 * The language of the first tag that is supported: any Chinese is `zh-CN`, any English is `en-US`. Default: `en-US`.
 *
 * @param tags - language tags in order of preference, from a `lang` attribute or the browser's languages.
 */
export function localeFor(tags: Iterable<string>): ElementLocale {
  for (const tag of tags) {
    const language = tag.trim().toLowerCase().split(/[-_]/)[0]
    if (language === 'zh') return 'zh-CN'
    if (language === 'en') return 'en-US'
  }
  return 'en-US'
}

/** Fills in the placeholders of a text. A placeholder without a value stays as it is. */
export function fill(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place))
}
