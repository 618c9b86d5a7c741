/** The forms of the messages of the log, and how to say each in Simplified Chinese. Pure. */
import type { LogForms } from './log-text.js'

/** The identifier of a cause in an English sentence, such as `（HTTP 404）`. */
function causeOf(reason: string): string {
  const cause = /\((HTTP \d{3}|[A-Z][A-Z0-9_]{2,})\)/.exec(reason)?.[1]
  return cause === undefined ? '' : `（${cause}）`
}

/** What is needed and what is left, such as `（需要 5 GB，可用 1 GB）`. */
function sizesOf(reason: string): string {
  const [needed, left] = reason.match(/\b\d+(?:\.\d)? [kMGTP]?B\b/g) ?? []
  return needed === undefined || left === undefined ? '' : `（需要 ${needed}，可用 ${left}）`
}

/** See {@link LogForms}. */
export const chineseLog: LogForms = {
  locale: 'zh-CN',
  named: (name, text) => `${name}：${text}`,
  forms: [
    [/^Starting over: (.*)$/s, (reason = '') => `从头重新下载${causeOf(reason)}。`],
    [/^(.*) Requested a new address\.$/s, (reason = '') => `地址已失效${causeOf(reason)}，已获取新地址。`],
    [/^(.*) Trying a fresh address\.$/s, (reason = '') => `请求被拒绝${causeOf(reason)}，改用新地址重试。`],
    [
      /^(.*) Trying a request without a range\.$/s,
      (reason = '') => `请求被拒绝${causeOf(reason)}，改为不带 Range 重试。`,
    ],
    [
      /^(.*) Trying a request with a shorter range\.$/s,
      (reason = '') => `请求被拒绝${causeOf(reason)}，改为缩小 Range 重试。`,
    ],
    [
      /^The bytes from an earlier run can't be used; starting over\.$/,
      () => '上次下载的数据无法使用，从头重新下载。',
    ],
    [/^Resuming with (.*) from an earlier run\.$/s, (size = '') => `继续上次的下载，已有 ${size}。`],
    [
      /^The file is complete\. (.*)$/s,
      (reason = '') => `文件已完整，但收尾工作未能全部完成${causeOf(reason)}。`,
    ],
    [
      /^The files are complete\. (.*)$/s,
      (reason = '') => `文件均已完整，但收尾工作未能全部完成${causeOf(reason)}。`,
    ],
    [
      /^The journal is written later, and until then a kill loses more than usual\. (.*)$/s,
      (reason = '') => `下载日志稍后再写，在此之前若进程被终止，会多丢失一些数据${causeOf(reason)}。`,
    ],
    [/^Closing the transfer failed: (.*)$/s, (reason = '') => `关闭传输时出错${causeOf(reason)}。`],
    [
      /^Another host or container holds (.*)\. If it gives no sign of life within (\d+) s, this download takes over\.$/s,
      (name = '', seconds = '') =>
        `另一台主机或容器正占用 ${name}；若 ${seconds} 秒内没有活动迹象，则由本任务接管。`,
    ],
    [
      /^No longer fetching from (\S+): (.*)$/s,
      (mirror = '', reason = '') => `不再从 ${mirror} 下载${causeOf(reason)}。`,
    ],
    [
      /^(\S+) is slow; trying (\S+) in parallel\.$/,
      (slow = '', other = '') => `${slow} 速度较慢，同时尝试 ${other}。`,
    ],
    [/^Now fetching from (\S+)\.$/, (mirror = '') => `现在从 ${mirror} 下载。`],
    [
      /^The server does not serve ranges: this is one stream, which cannot be resumed\.$/,
      () => '服务器不支持分段下载：只能使用单个连接，且无法断点续传。',
    ],
    [/^(\S+) failed: (.*)$/s, (mirror = '', reason = '') => `${mirror} 下载失败${causeOf(reason)}。`],
    [
      /^The server's Content-Encoding (.*) does not describe the response; it is ignored\.$/s,
      (coding = '') => `服务器的 Content-Encoding ${coding} 与响应内容不符，已忽略。`,
    ],
    [
      /^The server encodes the file \((.*)\) although it was asked not to\. .*$/s,
      (coding = '') => `服务器对文件进行了编码（${coding}），只能作为单个数据流解码，无法断点续传。`,
    ],
    [
      /^A file in the (.*) cache (.*); it is not used\.$/s,
      (cache = '') => `${cache} 缓存中的文件不可用，已忽略。`,
    ],
    [/^Waiting for its turn\.$/, () => '排队等待。'],
    [/^Started\.$/, () => '已开始。'],
    [/^Resumed\.$/, () => '已继续。'],
    [/^Paused\.$/, () => '已暂停。'],
    [/^All bytes have arrived and are being verified\.$/, () => '数据已全部下载，正在校验。'],
    [/^Completed\.$/, () => '已完成。'],
    [/^Canceled\.$/, () => '已取消。'],
    [
      /^Checking a file of (.*) that is on disk already\.$/s,
      (size = '') => `正在校验磁盘上已有的文件（${size}）。`,
    ],
    [
      /^Taken from the (.*) cache (.*); nothing to download\.$/s,
      (cache = '') => `文件取自 ${cache} 的缓存，无需下载。`,
    ],
    [
      /^The source has changed: (\d+) files are downloaded again, (\d+) no longer exist there\.$/,
      (changed = '', gone = '') => `源已发生变化：${changed} 个文件重新下载，${gone} 个文件已不存在。`,
    ],
    [
      /^Partial files of the download could not be deleted: (.*)$/s,
      (reason = '') => `无法删除未完成的文件${causeOf(reason)}。`,
    ],
    [/^Canceling failed: (.*)$/s, (reason = '') => `取消失败${causeOf(reason)}。`],
    [
      /^A download of a remote caller was removed: the host application needs its file name\.$/,
      () => '已移除远程调用方的一个下载任务：宿主应用需要使用其文件名。',
    ],
    [
      /^The download of (.*) was restored from the journal beside it; headers and other settings are lost\.$/s,
      (name = '') => `已根据旁边的日志恢复 ${name} 的下载任务；请求头等设置已丢失。`,
    ],
    [/^Waiting for disk space: (.*)$/s, (reason = '') => `等待磁盘空间${sizesOf(reason)}。`],
    [
      /^Evicted to make room for (.*): (\S+ \S+) were deleted\.$/s,
      (name = '', size = '') => `为 ${name} 腾出空间，已删除 ${size}。`,
    ],
    [
      /^The files could not be evicted: (.*)$/s,
      (reason = '') => `无法删除文件以腾出空间${causeOf(reason)}。`,
    ],
    [
      /^Its partial files are deleted, since nothing else makes room for those that come first\.$/,
      () => '为排在前面的任务腾出空间，已删除未完成的文件。',
    ],
    [/^The record (\S+) is not used: (.*)$/s, (id = '') => `任务记录 ${id} 无效，已忽略。`],
    [/^The record could not be saved: (.*)$/s, (reason = '') => `任务记录保存失败${causeOf(reason)}。`],
    [
      /^The state of the preload could not be saved: (.*)$/s,
      (reason = '') => `预下载状态保存失败${causeOf(reason)}。`,
    ],
    [
      /^The stored state of the last preload is not valid and was ignored\.$/,
      () => '上次预下载的状态无效，已忽略。',
    ],
    [/^A request failed: (.*)$/s, (reason = '') => `处理请求时出错：${reason}`],
  ],
}
