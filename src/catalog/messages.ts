/** Human-readable messages of preloads in all supported languages. Pure. */

import { addChinese } from '../download/chinese.js'
import { type DescribedError, englishVoice, errorText } from '../download/error-text.js'
import { logText } from '../download/log-text.js'
import type { Locale } from '../util/locale.js'

/** All messages in one language. */
export interface Messages {
  /** The text of an error, as part of other messages. */
  reason: (error: DescribedError) => string
  /** A message of the log of a download. */
  log: (message: string) => string
  // Response to a start, and errors in the status.
  started: (count: number) => string
  failed: (keys: readonly string[], total: number) => string
  interrupted: string
  noLongerInCatalog: string
  // Current status of a model.
  ready: string
  readyChecked: string
  missing: string
  wrongSize: (found: number, wanted: number) => string
  wrongDigest: string
  notVerified: string
  notRegular: string
  unreadable: (reason: string) => string
  inQueue: string
  downloading: (percent: string) => string
  verifying: string
  paused: (percent: string) => string
  modelFailed: (reason: string) => string
  // Lines of the log.
  logStarted: (count: number, directory: string) => string
  logResumedAfterRestart: (completed: number, total: number) => string
  logInterrupted: string
  logSucceeded: (completed: number, total: number) => string
  logFailed: (keys: readonly string[]) => string
  logCanceling: string
  logCanceled: string
  logAlreadyThere: string
  logDownloading: (url: string) => string
  logProgress: (percent: string, downloaded: string, total: string) => string
  logVerifying: string
  logRetrying: (seconds: string, attempt: number, reason: string) => string
  logPaused: string
  logResumed: string
  logCompleted: (path: string, size: string) => string
  logModelFailed: (reason: string) => string
  logModelCanceled: string
  logWaitingForOther: string
  // The tip.
  tipAllReady: string
  tipMissing: (names: readonly string[]) => string
  tipBeingFetched: (names: readonly string[]) => string
  tipFetch: string
  /** Stands before what follows a command. */
  tipSeparator: string
  tipFromRoot: (folder: string) => string
  tipFromBackend: (folder: string) => string
  tipNoFile: string
}

const english: Messages = {
  reason: (error) => errorText(error, englishVoice),
  log: (message) => message,
  started: (count) =>
    count === 1 ? 'The preload of 1 model has started.' : `The preload of ${count} models has started.`,
  failed: (keys, total) => `${keys.length} of ${total} models failed: ${keys.join(', ')}`,
  interrupted: 'interrupted',
  noLongerInCatalog: 'it is no longer in the catalog',
  ready: 'Ready.',
  readyChecked: 'Ready, digest checked.',
  missing: 'Not downloaded yet.',
  wrongSize: (found, wanted) => `The file has the wrong size: ${found} bytes instead of ${wanted}.`,
  wrongDigest: 'The file is not the expected one: its sha256 does not match.',
  notVerified:
    'A file with this name exists but is not verified yet. A preload verifies it, and downloads it only if it is wrong.',
  notRegular: 'Something other than a regular file exists at this path.',
  unreadable: (reason) => `The file cannot be checked: ${reason}`,
  inQueue: 'Waiting in the queue.',
  downloading: (percent) => `Downloading, ${percent} %.`,
  verifying: 'All bytes have arrived and are being verified.',
  paused: (percent) => `Paused at ${percent} %.`,
  modelFailed: (reason) => `Failed: ${reason}`,
  logStarted: (count, directory) => `started: ${count} ${count === 1 ? 'model' : 'models'} to ${directory}`,
  logResumedAfterRestart: (completed, total) => `resumed after a restart: ${completed} of ${total} completed`,
  logInterrupted: 'interrupted by a restart',
  logSucceeded: (completed, total) => `finished: ${completed} of ${total} completed`,
  logFailed: (keys) => `failed: ${keys.join(', ')}`,
  logCanceling: 'canceling',
  logCanceled: 'canceled; downloaded data is kept',
  logAlreadyThere: 'already exists',
  logDownloading: (url) => `downloading ${url}`,
  logProgress: (percent, downloaded, total) => `${percent} % (${downloaded} of ${total})`,
  logVerifying: 'verifying',
  logRetrying: (seconds, attempt, reason) => `retrying in ${seconds} s (attempt ${attempt}): ${reason}`,
  logPaused: 'paused',
  logResumed: 'resumed',
  logCompleted: (path, size) => `completed: ${path} (${size})`,
  logModelFailed: (reason) => `failed: ${reason}`,
  logModelCanceled: 'canceled',
  logWaitingForOther: 'already being downloaded; will be verified afterwards',
  tipAllReady: 'All models are ready.',
  tipMissing: (names) => `Missing: ${names.join(', ')}.`,
  tipBeingFetched: (names) => `Downloading now: ${names.join(', ')}.`,
  tipFetch: 'Download with one of these commands:',
  tipSeparator: '; ',
  tipFromRoot: (folder) => `From the project root (${folder}):`,
  tipFromBackend: (folder) => `; or from the backend folder (${folder}):`,
  tipNoFile: 'Start a preload to download them.',
}

const chinese: Messages = {
  reason: (error) => errorText(error, { locale: 'zh-CN', command: false }),
  log: (message) => logText(message, { locale: 'zh-CN' }),
  started: (count) => `已开始预下载 ${count} 个模型。`,
  failed: (keys, total) => `共 ${total} 个模型，${keys.length} 个失败：${keys.join('、')}`,
  interrupted: '已中断',
  noLongerInCatalog: '该模型已不在模型清单中',
  ready: '已就绪。',
  readyChecked: '已就绪，校验和正确。',
  missing: '尚未下载。',
  wrongSize: (found, wanted) => `文件大小不符：实际 ${found} 字节，应为 ${wanted} 字节。`,
  wrongDigest: '文件不正确：sha256 不符。',
  notVerified: '同名文件已存在，但尚未校验。预下载会先校验该文件，不正确时才重新下载。',
  notRegular: '该位置已存在，但不是普通文件。',
  unreadable: (reason) => `无法读取文件信息：${reason}`,
  inQueue: '排队中。',
  downloading: (percent) => `下载中，${percent}%。`,
  verifying: '数据已全部下载，正在校验。',
  paused: (percent) => `已暂停，进度 ${percent}%。`,
  modelFailed: (reason) => `失败：${reason}`,
  logStarted: (count, directory) => `已开始：${count} 个模型，保存到 ${directory}`,
  logResumedAfterRestart: (completed, total) => `重启后继续：已完成 ${completed}/${total}`,
  logInterrupted: '因重启而中断',
  logSucceeded: (completed, total) => `运行结束：已完成 ${completed}/${total}`,
  logFailed: (keys) => `失败：${keys.join('、')}`,
  logCanceling: '正在取消',
  logCanceled: '已取消；已下载的数据会保留',
  logAlreadyThere: '文件已存在',
  logDownloading: (url) => `正在下载 ${url}`,
  logProgress: (percent, downloaded, total) => `${percent}%（${downloaded} / ${total}）`,
  logVerifying: '正在校验',
  logRetrying: (seconds, attempt, reason) => `${seconds} 秒后重试（第 ${attempt} 次）：${reason}`,
  logPaused: '已暂停',
  logResumed: '已恢复下载',
  logCompleted: (path, size) => `已完成：${path}（${size}）`,
  logModelFailed: (reason) => `失败：${reason}`,
  logModelCanceled: '已取消',
  logWaitingForOther: '该文件已在下载，完成后再校验',
  tipAllReady: '所有模型均已就绪。',
  tipMissing: (names) => `缺少：${names.join('、')}。`,
  tipBeingFetched: (names) => `正在下载：${names.join('、')}。`,
  tipFetch: '可用以下任一命令下载：',
  tipSeparator: '；',
  tipFromRoot: (folder) => `在项目根目录（${folder}）运行：`,
  tipFromBackend: (folder) => `；或在后端目录（${folder}）运行：`,
  tipNoFile: '启动预下载即可下载这些模型。',
}

/** Returns the messages of a language. */
export function messagesOf(locale: Locale): Messages {
  if (locale === 'en-US') return english
  addChinese()
  return chinese
}
