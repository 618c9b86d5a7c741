/** The help of the commands about files on disk, in Simplified Chinese. Pure. */
import type { NetworkOptions } from '../network.js'
import type { CommandHelp } from '../texts.js'
import type { CacheListOptions, CachePruneOptions, CacheRemoveOptions } from './cache.js'
import type { InfoOptions } from './info.js'
import type { ListOptions } from './ls.js'
import type { RemoveOptions } from './rm.js'
import type { VerifyCommandOptions } from './verify.js'

type Shown<Options> = Omit<Options, 'ownDirectory'>

/** The help of each of these commands. */
export type FileHelp = {
  readonly ls: CommandHelp<Shown<ListOptions>>
  readonly rm: CommandHelp<Shown<RemoveOptions>>
  readonly verify: CommandHelp<Shown<VerifyCommandOptions>>
  readonly info: CommandHelp<Shown<InfoOptions>>
  readonly cache: CommandHelp<object>
  readonly 'cache ls': CommandHelp<CacheListOptions>
  readonly 'cache rm': CommandHelp<CacheRemoveOptions>
  readonly 'cache prune': CommandHelp<CachePruneOptions>
}

const directory = '文件所在的文件夹'
const json = '在标准输出中每行输出一个 JSON 对象'
const include = '模型名称所含文件中要考虑哪些；可多次给出'
const exclude = '模型名称所含文件中要排除哪些；可多次给出'
const cacheDirectory = '缓存文件夹（默认：由环境变量决定）'
const dryRun = '只列出将要删除的内容，不删除'
const yes = '删除前不询问'

/**
 * The help of the commands about files on disk.
 *
 * @param network - the options about the network.
 */
export function fileHelp(network: Readonly<Record<keyof NetworkOptions, string>>): FileHelp {
  return {
    ls: {
      summary: '列出磁盘上的文件，或模型名称所含的文件',
      description: '列出文件夹中的文件，或模型名称所含的文件。',
      args: ['网址，或 hf:用户/仓库 这样的模型名称（默认：磁盘上的文件）'],
      options: { ...network, directory, files: '同时列出各组中的文件', include, exclude, json },
      after: `
不给出模型名称时，列出文件夹中的文件：服务和此命令下载的文件、未完成的下载，
以及其他文件。属于一组的文件合为一项。给出模型名称时，列出其来源中的文件，以及
GGUF 和 safetensors 模型文件头中的信息，此外不下载任何内容。

示例：
  model-downloader ls
  model-downloader ls -d . --json
  model-downloader ls hf:owner/repo --include '*.gguf'
`,
    },
    rm: {
      summary: '删除文件',
      description: '从文件夹中删除文件和文件组，以及其下载记录。',
      args: ['ls 所列出的名称'],
      options: { directory, dryRun, yes, json },
      after: `
名称可以是 ls 所列出的名称、其最后一段（没有同名文件时），或者下载时的网址或
模型名称。正在下载的文件不会删除。在终端中，删除前会先询问；脚本中不询问。

退出码：0 全部删除，1 名称未知（此时不删除任何内容）或有内容无法删除，
2 用法错误。

示例：
  model-downloader rm llm/llama.gguf
  model-downloader rm hf:owner/repo --dry-run
`,
    },
    verify: {
      summary: '检查磁盘上的文件是否损坏',
      description: '重新读取文件，并与已知的校验和比较。',
      args: ['文件夹、文件、ls 所列出的名称，或模型名称（默认：整个文件夹）'],
      options: {
        ...network,
        directory,
        sha256: '文件应有的校验和；只能用于单个文件',
        jobs: '同时读取的文件数，1 到 16（默认：处理器个数，最多 4）',
        include,
        exclude,
        json,
        quiet: '只显示有问题的文件',
      },
      after: `
校验和取自下载记录、缓存中的文件名，以及（给出模型名称时）其来源。不写入任何
内容。校验和未知的文件不算有问题。

退出码：0 没有问题，1 有文件损坏、缺失、无法读取或大小不符，2 用法错误，
130 按了 Ctrl-C。

示例：
  model-downloader verify
  model-downloader verify models/llm
  model-downloader verify hf:owner/repo -d models
  model-downloader verify llama.gguf --sha256 9f86d081884c7d65…
`,
    },
    info: {
      summary: '显示模型名称的详细信息',
      description: '显示模型名称的版本、许可证、文件，以及磁盘上已有哪些。',
      args: ['网址，或 hf:用户/仓库 这样的模型名称'],
      options: { ...network, directory, include, exclude, json },
      after: `
示例：
  model-downloader info hf:owner/repo
  model-downloader info hf:owner/model:Q4_K_M --json
`,
    },
    cache: {
      summary: '列出和清理 Hugging Face 缓存',
      description: '列出 Hugging Face 各库的缓存中的内容，或从中删除。',
      args: [],
      options: {},
      after: `
缓存是环境变量 HF_HUB_CACHE 指定的文件夹，否则是 HF_HOME 中的 hub，否则是
~/.cache/huggingface/hub。Hugging Face 各库、llama.cpp 和 vLLM 都使用它。

示例：
  model-downloader cache ls --revisions
  model-downloader cache rm owner/name@main --dry-run
  model-downloader cache prune --dry-run
`,
    },
    'cache ls': {
      summary: '列出缓存中的仓库',
      description: '列出缓存中的仓库及其占用的空间。',
      args: [],
      options: { directory: cacheDirectory, revisions: '列出每个版本', json },
      after: `
多个版本共用的文件只计算一次。
`,
    },
    'cache rm': {
      summary: '删除仓库或版本',
      description: '从缓存中删除仓库或版本。',
      args: ['用户/仓库、用户/仓库@版本，或提交编号'],
      options: { directory: cacheDirectory, dryRun, yes, json },
      after: `
可以是 用户/仓库、用户/仓库@版本、datasets/用户/仓库 或提交编号。版本可以是
分支、标签或提交编号的开头。其他版本还在使用的文件会保留。
`,
    },
    'cache prune': {
      summary: '删除没有引用的内容',
      description: '删除没有分支或标签的版本，以及没有版本使用的文件。',
      args: [],
      options: {
        directory: cacheDirectory,
        incomplete: '同时删除未完成的下载',
        dryRun,
        yes,
        json,
      },
      after: `
删除没有分支或标签指向的版本，以及没有版本使用的文件。按提交编号下载的内容没有
分支，因此也会删除。
`,
    },
  }
}
