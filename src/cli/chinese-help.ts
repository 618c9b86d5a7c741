/** The help of the command in Simplified Chinese. Pure. */
import type { ExecOptions } from './exec/run.js'
import { type FileHelp, fileHelp } from './files/chinese-help.js'
import type { OutputOptions } from './follow.js'
import type { GetOptions } from './get.js'
import type { NetworkOptions } from './network.js'
import type { PreloadCommandOptions } from './preload.js'
import type { SecretOptions } from './secrets/read.js'
import type { ServeOptions } from './serve-settings.js'
import type { CommandHelp, SharedHelp } from './texts.js'
import { type UpstreamHelp, upstreamHelp } from './upstream/chinese-help.js'

/** Parts of the help that all commands share. */
export const sharedHelp: SharedHelp = {
  description: '下载 AI 模型文件：可断点续传、会校验、支持并发。',
  titles: { 'Usage:': '用法：', 'Arguments:': '参数：', 'Options:': '选项：', 'Commands:': '命令：' },
  help: '显示此帮助',
  version: '显示版本号',
  locale: '提示信息的语言：en-US 或 zh-CN（默认由 LC_ALL、LC_MESSAGES、LANG 决定）',
  config: '配置文件，代替 ./model-downloader.config.json；none 表示不用任何配置文件',
  default: (value) => `（默认：${value}）`,
  choices: (values) => `（可选：${values}）`,
}

const network: Readonly<Record<keyof NetworkOptions, string>> = {
  timeout: '等待响应或后续数据的最长时间（默认：首次响应 30 秒，其后 15 秒）',
  connectTimeout: '建立连接的最长时间（默认：10 秒）',
  offline: '仅使用磁盘上的文件，不发出任何请求',
  ca: 'PEM 格式的证书文件，除 Node 自带的机构外还信任其中的机构；可重复使用',
  retries: '在没有进展的情况下，可容忍的连续失败次数，0 到 999（默认：7）',
  proxy: '所有请求使用的代理：http、https、socks5 或 socks5h（默认：取自环境变量）',
}

const run: Readonly<Record<keyof SecretOptions | keyof ExecOptions | keyof OutputOptions, string>> = {
  json: '在标准输出中为每个事件输出一个 JSON 对象',
  quiet: '只显示错误',
  verbose: '显示每次重试，以及有助于查找问题的细节',
  logFile: '将所发生的一切逐行追加到此文件',
  netrc: '按 netrc 文件登录各主机（默认：NETRC 所指的文件，或 ~/.netrc）',
  cookies: '发送此文件（Netscape 格式）中的 Cookie',
  exec: '每完成一个文件就运行的程序，其路径为最后一个参数',
  execArg: '该程序的参数，其中的 {} 表示文件路径；可多次给出',
}

/** The help of each command. */
export const commandHelp: {
  readonly get: CommandHelp<GetOptions>
  readonly preload: CommandHelp<Omit<PreloadCommandOptions, 'ownDirectory'>>
  readonly serve: CommandHelp<Omit<ServeOptions, 'ownDirectory'>>
  readonly completion: CommandHelp<object>
} & FileHelp &
  UpstreamHelp = {
  ...fileHelp(network),
  ...upstreamHelp(network),
  get: {
    summary: '下载文件',
    description: '下载一个或多个网址。文件完整并通过校验后，才会使用最终的文件名。',
    args: ['http 或 https 网址，或 hf:用户/仓库 这样的模型名称；NAME=URL 可指定文件名'],
    options: {
      ...network,
      ...run,
      directory: '保存文件的文件夹，不存在时自动创建（默认：当前目录；使用 hf-cache 时为缓存目录）',
      layout: '文件的存放方式：flat，或 hf-cache（与 Hugging Face 各库相同）',
      xet: 'Hugging Face 的 Xet 存储：auto 在 HTTP 失败或缓慢时使用，prefer 优先使用，never 从不使用（默认：auto）',
      adopt: '即使 Hugging Face、Ollama、LM Studio 或 llama.cpp 的缓存中已有文件，也重新下载',
      formatCheck: '不检查内容是否符合文件名所示的格式',
      restrictNames: '仓库中文件名不安全的文件改名后保存，而不是跳过',
      dryRun: '只列出将要下载的内容，不下载',
      inputFile: '网址列表，每行一个；- 表示标准输入；可多次给出',
      keepPaths: '按来源中的文件夹保存：DIR/owner/repo/NAME',
      output: '文件名；有多个文件时为文件夹名；只能用于单个网址（默认：取自网址）',
      mode: '保存文件的子文件夹：DIR/MODE/NAME',
      sha256: '文件应有的校验和；只能用于单个网址',
      checksums: '列出各文件校验和的文件或网址：SHA256SUMS、NAME.sha256、Metalink',
      digest: '同上，使用其他算法：sha512:HEX、blake3:HEX、sha1:HEX、md5:HEX、crc32c:HEX',
      size: '文件应有的大小；只能用于单个网址',
      mirror: '同一文件的其他网址，在首个网址失败或缓慢时使用；可多次给出',
      spread: '同时从网址及其所有镜像下载',
      connections: '每个文件的最大连接数，1 到 64（默认：32，网址较多时更少）',
      concurrency: '同时下载的文件数，1 到 1000（默认：auto，只要能加快下载就增加，最多 64）',
      header: "请求头 'Name: value'；可多次给出",
      limitRate: '所有文件合计的速度上限，单位为字节每秒：500k、10M、1.5G（按 1024 进位）',
      force: '即使文件已存在也重新下载；新文件完整后才替换旧文件',
      include: '模型名称对应多个文件时，要下载哪些文件；可多次给出',
      exclude: '模型名称对应多个文件时，要跳过哪些文件；可多次给出',
    },
    after: `
进度输出到标准错误：在终端中显示进度条，否则每隔几秒输出一行。标准输出不是终端
时，每完成一个文件就向其输出该文件的路径。

下载中断后，再次运行同一命令即可：磁盘上的数据会保留并检查，只下载其余部分。

退出码：0 全部下载完成，1 有下载失败，2 用法错误，130 按了 Ctrl-C。

示例：
  model-downloader get https://example.com/llama.gguf
  model-downloader get https://example.com/llama.gguf -d models --mode llm
  model-downloader get hf:owner/repo --include '*.safetensors' --include '*.json'
  model-downloader get --json https://example.com/llama.gguf | jq .
  model-downloader get --dry-run hf:owner/model:Q4_K_M
  model-downloader get --layout hf-cache hf:owner/model:Q4_K_M
  model-downloader get a.gguf=https://example.com/1 b.gguf=https://example.com/2
  model-downloader get -i urls.txt -d models --keep-paths
`,
  },
  preload: {
    summary: '下载模型清单中的模型',
    description: '下载模型清单中缺少或不正确的模型。',
    args: ['列出各个模型的 JSON 文件'],
    options: {
      ...network,
      ...run,
      directory: '保存文件的文件夹，不存在时自动创建',
      layout: '文件的存放方式：flat，或 hf-cache（与 Hugging Face 各库相同）',
      xet: 'Hugging Face 的 Xet 存储：auto 在 HTTP 失败或缓慢时使用，prefer 优先使用，never 从不使用（默认：auto）',
      models: '要下载的模型的 key：a,b（默认：所有设置了 auto_download 的模型）',
      linkedModes: '允许各模式的文件夹是符号链接',
      force: '即使文件已存在也重新下载；新文件完整后才替换旧文件',
    },
    after: `
模型清单是一个 JSON 文件：{ "models": [ { "key": "llm", "url": "https://…",
"sha256": "…" } ] }。文件保存为 DIR/MODE/NAME；模式默认为 llm，可在模型清单中
指定。已存在且正确的模型不会重新下载。

下载中断后，再次运行同一命令即可从中断处继续。

退出码：0 所有必需的模型均已就绪，1 缺少必需的模型，2 用法错误，
130 按了 Ctrl-C。

示例：
  model-downloader preload models.json
  model-downloader preload models.json -d /srv/models --models llm,embed
`,
  },
  serve: {
    summary: '通过 HTTP 提供下载和预下载服务',
    description: '提供 REST API，用于下载、查询进度，以及预下载模型清单中的模型。',
    args: [],
    options: {
      ...network,
      port: '监听的端口；0 表示自动选择空闲端口',
      host: '监听的地址；localhost 表示 127.0.0.1 和 ::1；其他非本机地址必须设置令牌',
      directory: '保存文件的文件夹，不存在时自动创建',
      layout: '文件的存放方式：flat，或 hf-cache（与 Hugging Face 各库相同）',
      xet: 'Hugging Face 的 Xet 存储：auto 在 HTTP 失败或缓慢时使用，prefer 优先使用，never 从不使用（默认：auto）',
      catalog: '模型清单，即列出可预下载模型的 JSON 文件',
      token: '调用方必须提供的令牌；也可设置环境变量 MODEL_DOWNLOADER_TOKEN',
      cors: "允许哪个来源的网页调用：https://app.example，或 '*' 表示全部；可多次给出",
      allowPrivateNetwork: '允许调用方给出的网址指向内网和本机地址',
      allowHost: '允许此类网址指向该主机的任何地址，但不包括它重定向到的主机；可多次给出',
      remoteMaxSize: '调用方可下载的最大文件：500M、20G（按 1024 的幂计算；默认：不限）',
      remoteMinRate: '调用方的下载在 60 秒内低于此速度（字节每秒）时停止：10k（默认：不停止）',
      remoteTokens: '下载调用方给出的模型时，使用本机的令牌，例如 HF_TOKEN',
      linkedModes: '允许各模式的文件夹是符号链接',
      concurrency: '同时下载的文件数，1 到 1000（默认：3）',
      connections: '每个文件的最大连接数，1 到 64（默认：32）',
      limitRate: '所有文件合计的速度上限，单位为字节每秒：500k、10M、1.5G（按 1024 进位）',
      maxQueued: '最多可有多少个下载任务排队，超出的请求会被拒绝（默认：10000）',
      maxDisk: '所有文件合计可占用的最大空间：500M、20G（按 1024 的幂计算；默认：不限）',
      minFree: '磁盘上必须保留的可用空间：500M、20G（按 1024 的幂计算；默认：不限）',
      whenFull: '下载超出上述限制时：fail 失败，wait 等待，evict 删除最久未使用的模型（默认：fail）',
      redis: '通过此 Redis 或 Valkey 与其他服务器共享所有下载：redis://host:6379',
      redisPrefix: 'Redis 中所有键的开头；不同的开头就是不同的集群（默认：model-downloader）',
      node: '本服务器在集群或节点群中的名称（默认：主机名）',
      clusterConcurrency: '整个集群同时下载的文件数（默认：不限）',
      clusterLimitRate: '整个集群的速度上限，单位为字节每秒：500k、10M、1.5G（按 1024 进位）',
      leaseTime: '服务器中断后，其下载任务等待多少秒由其他服务器继续，1 到 600（默认：20）',
      whenRedisLost:
        '无法连接 Redis 时，正在进行的下载：stop 停止；各服务器使用各自的磁盘时可用 continue 继续（默认：stop）',
      placement: '集群的文件位置：shared 在共享文件夹中，own 各服务器使用各自的磁盘（默认：shared）',
      affinity: '使用 --placement own 时，已开始的下载等待其服务器多少秒，0 到 86400（默认：300）',
      fleet: '作为节点群中的一个节点；各节点使用各自的磁盘，并获取清单中的模型；需要 --redis 和 --catalog',
      labels: '本节点的标签，可据此选择节点：gpu,eu',
      advertise: '其他节点访问本服务器的地址：http://node-1:8050（默认：无法访问）',
      seeds: '同时从来源下载同一模型的节点数，其余节点从这些节点获取（默认：2）',
      peers: '优先从这些服务器获取已知校验和的文件：http://node-2:8050,http://node-3:8050',
      logFormat: '日志的格式（默认：text）',
      logLevel: '日志记录的最低级别（默认：info）',
      metrics: '在 /metrics 提供供 Prometheus 抓取的指标；需要 prom-client 包',
      readyWhenPreloaded: '清单中所有必需的模型都就绪后，才报告就绪（/readyz）',
      ui: '不提供 /api/models/ui 处的仪表盘页面',
      quiet: '只显示错误',
    },
    after: `
除非设置了令牌，本机的调用方无需令牌。要接受来自其他机器的请求，请监听其他
地址（例如 0.0.0.0），并设置令牌。命令行对机器上的所有用户可见，因此建议用环境
变量 MODEL_DOWNLOADER_TOKEN 设置令牌。调用方须发送标头
"Authorization: Bearer TOKEN"。

调用方给出的网址只能指向公网主机。模型清单由您自己提供，因此可以指向任何主机。

收到 SIGTERM 或按下 Ctrl-C 后，服务在 5 秒内停止。已下载的数据会保留，下次启动
时继续下载。

退出码：0 由 SIGTERM 停止，1 无法监听或无法读取下载任务列表，2 用法错误，
130 按了 Ctrl-C。

示例：
  model-downloader serve --catalog models.json
  model-downloader serve --cors http://localhost:5173
  MODEL_DOWNLOADER_TOKEN=… model-downloader serve --host 0.0.0.0 -d /srv/models
`,
  },
  completion: {
    summary: '输出用于补全命令行的脚本',
    description: '输出某个 shell 的脚本，使其可用 Tab 键补全命令行。',
    args: ['脚本所用于的 shell'],
    options: {},
    after: `
示例：
  model-downloader completion bash >> ~/.bashrc
  model-downloader completion zsh >> ~/.zshrc
  model-downloader completion fish > ~/.config/fish/completions/model-downloader.fish
  model-downloader completion powershell | Out-String | Invoke-Expression
`,
  },
}
