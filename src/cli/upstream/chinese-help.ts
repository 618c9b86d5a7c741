/** The help of the commands that ask sources, in Simplified Chinese. Pure. */
import type { NetworkOptions } from '../network.js'
import type { CommandHelp } from '../texts.js'
import type { OutdatedCommandOptions } from './outdated.js'
import type { SearchCommandOptions } from './search.js'
import type { UpdateCommandOptions } from './update.js'

/** The help of each of these commands. */
export type UpstreamHelp = {
  readonly search: CommandHelp<SearchCommandOptions>
  readonly outdated: CommandHelp<Omit<OutdatedCommandOptions, 'ownDirectory'>>
  readonly update: CommandHelp<Omit<UpdateCommandOptions, 'ownDirectory'>>
}

const directory = '文件所在的文件夹'
const json = '在标准输出中每行输出一个 JSON 对象'

/**
 * The help of the commands that ask sources.
 *
 * @param network - the options about the network.
 */
export function upstreamHelp(network: Readonly<Record<keyof NetworkOptions, string>>): UpstreamHelp {
  return {
    search: {
      summary: '搜索模型站点上的模型',
      description: '搜索 Hugging Face 或 ModelScope 上的模型。',
      args: ['要搜索的词'],
      options: {
        ...network,
        source: '要搜索的站点',
        gguf: '只要带有 GGUF 文件的模型',
        limit: '最多列出多少个模型，1 到 100',
        json,
      },
      after: `
最受欢迎的模型在前。每个模型都可以用其名称下载。

示例：
  model-downloader search qwen3 8b --gguf
  model-downloader search bge --source ms --json
`,
    },
    outdated: {
      summary: '列出来源已有变化的下载',
      description: '列出与其来源当前内容不同的已完成下载。',
      args: [],
      options: { ...network, directory, all: '同时列出已是最新的下载', json },
      after: `
将已下载的内容与其来源当前的内容比较：依据校验和、提交，普通网址则依据其验证
标识和大小。不下载任何内容。

退出码：0 全部已比较，1 有来源无法询问，2 用法错误。

示例：
  model-downloader outdated
  model-downloader outdated -d . --all --json
`,
    },
    update: {
      summary: '下载有变化的文件',
      description: '下载已完成的下载在其来源有变化的部分。',
      args: ['下载时的网址或模型名称（默认：文件夹中的全部）'],
      options: {
        ...network,
        directory,
        json: '在标准输出中为每个事件输出一个 JSON 对象',
        quiet: '只显示错误',
      },
      after: `
有多个文件时，只下载有变化的文件。新文件完整并通过校验之前，旧文件会一直保留。

退出码：0 全部已是最新，1 有内容无法更新，2 用法错误，130 按了 Ctrl-C。

示例：
  model-downloader update
  model-downloader update hf:owner/repo -d models
`,
    },
  }
}
