/** What the command says in Simplified Chinese, its help included. Pure. */
import type { GetOptions } from './get.js'
import type { NetworkOptions } from './network.js'
import type { PreloadCommandOptions } from './preload.js'
import type { ServeOptions } from './serve-settings.js'
import type { CommandHelp, CommandTexts, SharedHelp } from './texts.js'

/** The Chinese texts. */
export const chineseTexts: CommandTexts = {
  error: '错误：',
  colon: '：',
  comma: '，',
  rateExpected: '应为每秒字节数，可带单位 k、M 或 G，例如 500k、10M、1.5G。',
  sizeExpected: '应为字节数，可带单位 k、M 或 G，例如 500k、10M、1.5G。',
  sizeTooSmall: '大小至少为 1 字节；不限制时请省略此选项。',
  rateTooSmall: '速度至少为每秒 1 字节；不限速时请省略此选项。',
  wholeNumber: (min, max) =>
    max === null ? `应为不小于 ${min} 的整数。` : `应为 ${min} 到 ${max} 之间的整数。`,
  digestExpected: 'SHA-256 校验和应为 64 位十六进制数字。',
  outputIsStdout: '文件只能写入磁盘，不能写到标准输出。',
  outputHasFolder: '应为不含文件夹的文件名（UNSAFE_FILENAME）；请用 -d 指定文件夹。',
  outputEmpty: '文件名为空。',
  headerExpected: "请求头应写成 'Name: value'。",
  keysExpected: '应为模型清单中的 key，以逗号分隔，例如 a,b。',
  proxyExpected: '应为代理的地址，例如 http://host:3128 或 socks5h://host:1080。',
  localeExpected: '应为支持的语言之一：en-US、zh-CN。',
  singleUrlOnly: (option, count) => `${option} 只能用于单个网址，但给出了 ${count} 个。`,
  layoutFixesNames: (option) => `${option} 不能与 --layout hf-cache 同时使用，因为该布局决定文件名。`,
  helpHint: '（使用 --help 查看用法）',
  missingArgument: (name) => `缺少参数 '${name}'`,
  missingValue: (flags) => `选项 '${flags}' 缺少取值`,
  missingOption: (flags) => `缺少必需的选项 '${flags}'`,
  unknownOption: (flag) => `未知选项 '${flag}'`,
  unknownCommand: (name) => `未知命令 '${name}'`,
  didYouMean: (names) => `（是否想用 ${names}？）`,
  tooManyArguments: (expected, found) => `参数过多：应有 ${expected} 个，实际有 ${found} 个。`,
  invalidOption: (flags, value, reason) => `选项 '${flags}' 的取值 '${value}' 无效。${reason}`,
  invalidArgument: (name, value, reason) => `参数 '${name}' 的取值 '${value}' 无效。${reason}`,
  allowedChoices: (choices) => `可选值：${choices}。`,
  start: '开始：',
  done: '完成：',
  note: '提示：',
  retry: (wait, code) => `${wait} 后重试 ${code}`,
  connecting: '正在连接',
  verifying: '正在校验',
  waiting: '排队中',
  connections: (count) => `${count} 个连接`,
  retryingIn: (reason, code, wait) => `${reason}（${code}）${wait} 后重试`,
  missing: '缺少：',
  notAttempted: '未尝试下载。',
  andMore: (count) => `… 另有 ${count} 个`,
  summary: (completed, total, failed, size, time) =>
    `共 ${total} 个文件，完成 ${completed} 个${failed === 0 ? '' : `，失败 ${failed} 个`}；用时 ${time}，下载 ${size}`,
  running: (completed, total, failed, active, speed) =>
    `文件 ${completed}/${total}${failed === 0 ? '' : `  失败 ${failed}`}  进行中 ${active}  ${speed}/s`,
  adopted: '取自其他程序的缓存',
  existed: '文件已存在',
  digestVerified: 'sha256 校验通过',
  fetched: (size, time, speed) => `${size}，用时 ${time}（${speed}/s）`,
  kept: (size) => `沿用已有的 ${size}`,
  interrupted: (kept) => `已中断。磁盘上保留了 ${kept}，再次运行同一命令即可继续。`,
  plan: {
    missing: '待下载',
    partial: '部分完成',
    complete: '已完成',
    adoptable: '缓存中已有',
    refused: '不下载',
  },
  planSummary: (count, total, missing, free, fits) =>
    `共 ${count} 个文件，${total}；待下载 ${missing}${free === null ? '' : `，可用空间 ${free}`}${fits ? '' : '：空间不足'}`,
  nothingToDo: '模型清单中没有设置 auto_download 的模型；请用 --models 选择模型。',
  locked: `另一个进程（可能是正在运行的 \`serve\`）正在下载到同一位置。请在该服务中启动预下载
（POST /api/v1/models/preload/start），或等它完成后再运行此命令。`,
  warning: '警告：',
  badHost: (host) => `--host："${host}" 不是有效的地址或主机名。`,
  needsToken: (host, variable) =>
    `--host ${host} 会接受来自其他机器的请求，因此必须设置令牌：使用 --token，或设置环境变量 ${variable}。`,
  badToken: (source) => `${source}：令牌不能为空，且只能包含可见的 ASCII 字符，不能有空格。`,
  badOrigin: (origin) => `--cors："${origin}" 既不是 *，也不是 https://app.example.com 这样的来源。`,
  badAllowedHost: (host) => `--allow-host："${host}" 应写成 主机 或 主机:端口（IPv6 地址加方括号）。`,
  inUse: (place) =>
    `${place} 已被占用，可能是另一个 \`serve\` 正在运行。请用 --port 换一个端口；0 表示自动选择空闲端口。`,
  notAllowedToListen: (place) => `当前用户没有监听 ${place} 的权限。1024 及以上的端口不需要特殊权限。`,
  notAnAddress: (host) => `${host} 不是本机的地址。请用 --host 指定其他地址。`,
  cannotListen: (place, reason) => `无法监听 ${place}：${reason}`,
  banner: {
    listening: '正在监听',
    dashboard: '仪表盘',
    directory: '下载目录',
    catalog: '模型清单',
    callers: '调用方',
    pages: '网页',
    api: 'API',
    noCatalog: '无（--catalog 文件）',
    models: (file, count) => `${file}（${count} 个模型）`,
    localCallers: '仅限本机',
    tokenCallers: '任何持有令牌者',
    ownPages: '仅限同源（--cors 来源）',
    allPages: '所有来源',
    howToStop: '按 Ctrl-C 停止，已下载的数据会保留。',
  },
  openToAllPages: '本机浏览器打开的任何网页都能调用此服务，请设置令牌',
  stopping: (unfinished) =>
    unfinished === 0 ? '正在停止' : `正在停止；下次启动时将继续 ${unfinished} 个下载任务`,
  stoppedLate: '部分任务未能及时停止；已下载的数据会保留',
  started: (url) => `开始：${url}`,
  completed: (line) => `完成：${line}`,
  paused: '已暂停',
  canceled: '已取消',
}

/** Parts of the help that all commands share. */
export const sharedHelp: SharedHelp = {
  description: '下载 AI 模型文件：可断点续传、会校验、支持并发。',
  titles: { 'Usage:': '用法：', 'Arguments:': '参数：', 'Options:': '选项：', 'Commands:': '命令：' },
  help: '显示此帮助',
  version: '显示版本号',
  locale: '提示信息的语言：en-US 或 zh-CN（默认由 LC_ALL、LC_MESSAGES、LANG 决定）',
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

/** The help of each command. */
export const commandHelp: {
  readonly get: CommandHelp<GetOptions>
  readonly preload: CommandHelp<PreloadCommandOptions>
  readonly serve: CommandHelp<ServeOptions>
} = {
  get: {
    summary: '下载文件',
    description: '下载一个或多个网址。文件完整并通过校验后，才会使用最终的文件名。',
    args: ['http 或 https 网址，或 hf:用户/仓库 这样的模型名称'],
    options: {
      ...network,
      directory: '保存文件的文件夹，不存在时自动创建（默认：当前目录；使用 hf-cache 时为缓存目录）',
      layout: '文件的存放方式：flat，或 hf-cache（与 Hugging Face 各库相同）',
      adopt: '即使 Hugging Face、Ollama、LM Studio 或 llama.cpp 的缓存中已有文件，也重新下载',
      formatCheck: '不检查内容是否符合文件名所示的格式',
      restrictNames: '仓库中文件名不安全的文件改名后保存，而不是跳过',
      dryRun: '只列出将要下载的内容，不下载',
      output: '文件名；有多个文件时为文件夹名；只能用于单个网址（默认：取自网址）',
      mode: '保存文件的子文件夹：DIR/MODE/NAME',
      sha256: '文件应有的校验和；只能用于单个网址',
      size: '文件应有的大小；只能用于单个网址',
      mirror: '同一文件的其他网址，在首个网址失败或缓慢时使用；可多次给出',
      spread: '同时从网址及其所有镜像下载',
      connections: '每个文件的最大连接数，1 到 64（默认：8，网址较多时更少）',
      concurrency: '同时下载的文件数，1 到 1000（默认：网址个数，3 到 16）',
      header: "请求头 'Name: value'；可多次给出",
      limitRate: '所有文件合计的速度上限，单位为字节每秒：500k、10M、1.5G（按 1024 进位）',
      force: '即使文件已存在也重新下载；新文件完整后才替换旧文件',
      include: '模型名称对应多个文件时，要下载哪些文件；可多次给出',
      exclude: '模型名称对应多个文件时，要跳过哪些文件；可多次给出',
      json: '在标准输出中为每个事件输出一个 JSON 对象',
      quiet: '只显示错误',
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
`,
  },
  preload: {
    summary: '下载模型清单中的模型',
    description: '下载模型清单中缺少或不正确的模型。',
    args: ['列出各个模型的 JSON 文件'],
    options: {
      ...network,
      directory: '保存文件的文件夹，不存在时自动创建',
      layout: '文件的存放方式：flat，或 hf-cache（与 Hugging Face 各库相同）',
      models: '要下载的模型的 key：a,b（默认：所有设置了 auto_download 的模型）',
      linkedModes: '允许各模式的文件夹是符号链接',
      force: '即使文件已存在也重新下载；新文件完整后才替换旧文件',
      json: '在标准输出中为每个事件输出一个 JSON 对象',
      quiet: '只显示错误',
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
      catalog: '模型清单，即列出可预下载模型的 JSON 文件',
      token: '调用方必须提供的令牌；也可设置环境变量 MODEL_DOWNLOADER_TOKEN',
      cors: "允许哪个来源的网页调用：https://app.example，或 '*' 表示全部；可多次给出",
      allowPrivateNetwork: '允许调用方给出的网址指向内网和本机地址',
      allowHost: '允许此类网址指向该主机的任何地址，但不包括它重定向到的主机；可多次给出',
      remoteMaxSize: '调用方可下载的最大文件：500M、20G（按 1024 的幂计算；默认：不限）',
      remoteMinRate: '调用方的下载在 60 秒内低于此速度（字节每秒）时停止：10k（默认：不停止）',
      remoteTokens: '下载调用方给出的模型时，使用本机的令牌，例如 HF_TOKEN',
      linkedModes: '允许各模式的文件夹是符号链接',
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
}
