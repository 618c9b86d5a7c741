/** The texts of errors in Simplified Chinese. Pure. */
import type { ErrorFacts, ErrorTexts } from './error-sentences.js'

const hints: ErrorTexts['hints'] = {
  authorize: {
    code: '除非宿主应用设置 `authorize`',
    command: '除非启动时设置令牌（--token）',
  },
  mustAuthorize: {
    code: '宿主应用须设置 `authorize`',
    command: '须在启动时设置令牌（--token）',
  },
  cors: {
    code: '如需放行，请由宿主应用将该来源加入 `cors`',
    command: '如需放行，请在启动时加上 --cors 来源',
  },
  allowedHosts: {
    code: '如需放行，请由宿主应用将该主机加入 `allowedHosts`',
    command: '如需放行，请在启动时加上 --allow-host 主机[:端口]',
  },
  otherName: {
    code: '请另设 `filename` 或 `directory`',
    command: '请用 NAME=URL 指定文件名，或用 --keep-paths 按来源中的文件夹保存',
  },
}

/** A sentence with the identifier of the cause, which people can search for. */
const because =
  (text: string) =>
  ({ cause }: ErrorFacts): string =>
    cause === null ? `${text}。` : `${text}（${cause}）。`

/** The same with the HTTP status. */
const withStatus =
  (text: string, advice = '') =>
  ({ status }: ErrorFacts): string =>
    `${text}${status === null ? '' : `（HTTP ${status}）`}${advice}。`

const plain = (text: string) => (): string => text

const fileTaken = (filename: string): string =>
  `另一个下载任务正在写入文件 ${filename}；${hints.otherName.code}。`

/** Chinese texts of all errors. */
export const chineseErrors: ErrorTexts = {
  locale: 'zh-CN',
  hints,
  codes: {
    INVALID_OPTIONS: ({ problems, status }) => {
      if (status === 413) return '请求体过大。'
      if (problems.length === 0) return '参数无效。'
      return `参数无效：${problems.map(({ path, text }) => (path === '' ? text : `${path}（${text}）`)).join('、')}。`
    },
    INVALID_URL: ({ meant }) => `网址或模型名称无效。${meant === null ? '' : `您是否想用 ${meant}？`}`,
    UNSAFE_FILENAME: plain('文件名或路径不安全，已拒绝。'),
    CONFLICT: ({ file }) => (file === null ? '与已有的下载任务或文件冲突。' : fileTaken(file)),
    INVALID_STATE: plain('下载任务的当前状态不允许此操作。'),
    UNKNOWN_DOWNLOAD: plain('没有该网址的下载任务。'),
    QUEUE_FULL: plain('排队的任务过多，请稍后再试。'),
    CANCELED: plain('下载已取消。'),
    CLOSED: plain('程序正在退出，无法执行此操作。'),
    NOT_FOUND: withStatus('找不到该文件或资源'),
    ACCESS_DENIED: withStatus('没有访问权限', '，请检查令牌或账号权限'),
    HTTP_ERROR: withStatus('对方服务器返回错误'),
    PROTOCOL_ERROR: because('对方服务器的响应有误，无法使用'),
    SOURCE_CHANGED: plain('下载过程中，源文件发生了变化。'),
    TRUNCATED: plain('连接提前断开，文件不完整。'),
    CONTENT_MISMATCH: plain('收到的内容与所请求的文件不符（大小或格式不对）。'),
    CHECKSUM_MISMATCH: plain('文件的校验和不符。'),
    CHECKSUM_MISSING: plain('校验和文件中没有该文件的有效校验和。'),
    GROUP_INCOMPLETE: ({ paths }) =>
      paths.length === 0 ? '部分文件未能下载。' : `以下文件未能下载：${paths.join('、')}。`,
    STALLED: plain('对方服务器长时间没有发送数据。'),
    TOO_MANY_REDIRECTS: plain('重定向次数过多。'),
    REDIRECT_BLOCKED: plain('重定向的目标不安全，已拒绝。'),
    SSRF_BLOCKED: plain(`该主机不存在，或其地址不允许远程调用方访问；${hints.allowedHosts.code}。`),
    OFFLINE: plain(
      '磁盘上没有完整的文件，且不允许使用网络。请联网下载一次，或关闭离线模式（offline 选项、--offline、HF_HUB_OFFLINE 或 TRANSFORMERS_OFFLINE）。',
    ),
    NAME_RESOLUTION: (facts) =>
      because(`域名${facts.host === null ? '' : ` ${facts.host} `}解析失败，请检查网址和网络连接`)(facts),
    CONNECT_FAILED: because('无法连接到服务器'),
    TLS_ERROR: because('TLS 连接失败，服务器证书可能无效或不受信任'),
    NO_SPACE: (facts) => {
      const [needed, free, limit] = facts.sizes
      if (needed === undefined || free === undefined) return because('磁盘空间不足')(facts)
      const bound =
        limit === undefined || facts.limit === null
          ? ''
          : facts.limit === 'maxDiskBytes'
            ? `（空间配额 ${limit}）`
            : `（须保留 ${limit}）`
      return `磁盘空间不足：需要 ${needed}，可用 ${free}${bound}。`
    },
    DISK_IO: because('磁盘读写出错'),
    PERMISSION: because('没有读写该文件或文件夹的权限'),
    READ_ONLY: because('文件系统为只读'),
    TARGET_NOT_REGULAR: plain('目标位置已被占用，且不是普通文件。'),
    TARGET_LOCKED: plain('另一个进程正在写入该文件。'),
    TAKEN_OVER: plain('下载已由集群中的另一个实例接管，本实例不再写入。'),
    FILE_BUSY: because('另一个程序打开了该文件，请关闭它，或将该文件夹排除在其扫描范围之外后重试'),
    STORE_ERROR: because('下载任务列表读写失败'),
    UNSUPPORTED_RUNTIME: plain('不支持此运行环境，请升级 Node、Bun 或 Deno。'),
    INTERNAL: plain('内部错误。'),
  },
  sentences: {
    unknownCaller: () => `无法确定调用方的地址；${hints.mustAuthorize.code}。`,
    localOnly: () => `只允许本机访问，${hints.authorize.code}。`,
    behindProxy: (header) =>
      `此请求经过代理转发（${header}），无法确定调用方来自何处；${hints.mustAuthorize.code}。`,
    foreignHost: () => `不允许使用此主机名访问，${hints.authorize.code}；请改用 localhost。`,
    foreignPage: () => `不允许该来源的网页执行此操作；${hints.cors.code}。`,
    refusedOrigin: (origin) => `已拒绝来自 ${origin} 的网页；如需放行，请将该来源加入 \`cors\`。`,
    refusedOriginOfCommand: (origin) =>
      `已拒绝来自 ${origin} 的网页；如需放行，请在启动时加上 --cors ${origin}`,
    refusedNoOrigin: () =>
      '已拒绝没有来源的网页（例如直接在浏览器中打开的文件）；请通过 Web 服务器提供该网页，并将其来源加入 `cors`。',
    refusedNoOriginOfCommand: () =>
      '已拒绝没有来源的网页（例如直接在浏览器中打开的文件）；请通过 Web 服务器提供该网页，并在启动时加上 --cors 来源',
    refusedManyOrigins: () => '还有其他来源的网页被拒绝，不再逐一列出。',
    unauthenticated: () => '此操作需要身份验证。',
    forbidden: (action) => `没有执行此操作的权限（${action}）。`,
    badHost: () => '请求的 Host 标头无效。',
    notJson: () => '请求体必须是 JSON（Content-Type: application/json）。',
    bodyNotUtf8: () => '请求体必须采用 UTF-8 编码。',
    bodyCompressed: () => '请求体不能压缩。',
    bodyEndedEarly: () => '请求体不完整。',
    bodyInvalidUtf8: () => '请求体不是有效的 UTF-8 文本。',
    bodyInvalidJson: () => '请求体不是有效的 JSON。',
    bodyTooLarge: (bytes) => `请求体过大，上限为 ${bytes} 字节。`,
    tooManyStreams: () => '打开的事件流过多，请关闭一些，或稍后再试。',
    unknownFile: () => '磁盘上没有此名称的文件。',
    ambiguousFile: () => '有多个文件使用此名称；请使用文件夹内的路径。',
    checkRunning: () => '该调用方请求的校验仍在进行，请稍后再试。',
    tooManyChecks: () => '等待校验的请求过多，请稍后再试。',
    nothingHere: () => '此路径不存在。',
    wrongMethod: (method, allowed) => `此路径不支持 ${method}，只支持 ${allowed}。`,
    outsideFolder: () => '文件不在服务器的下载目录内，不能在此删除；只能将任务移出列表。',
    unknownDownload: () => '没有该网址的下载任务。',
    noCatalog: () => '此服务器未配置模型清单。',
    noFleet: () => '此服务器不属于任何节点群。',
    noCluster: () => '此服务器不属于任何集群。',
    preloadRunning: () => '预下载正在进行中。',
    unknownModel: (key) => `模型清单中没有模型 "${key}"`,
    unknownModels: (...keys) => `models: ${keys.map((key) => `模型清单中没有模型 "${key}"`).join('；')}`,
    catalogMissing: (file) => `模型清单 ${file}：文件不存在`,
    catalogNoFile: (file) => `模型清单 ${file}：不是文件`,
    catalogTooLarge: (file, limit) => `模型清单 ${file}：文件超过 ${limit}`,
    catalogNotText: (file, line) =>
      `模型清单 ${file}：第 ${line} 行既不是 UTF-8 也不是 UTF-16；请将文件保存为 UTF-8`,
    catalogNotJson: (file, line) =>
      `模型清单 ${file}：不是有效的 JSON${line === '' ? '' : `（第 ${line} 行）`}`,
    fileTaken,
    knownDifferently: (name) => `该网址已有下载任务，但 ${name} 不同；请先移除该任务。`,
    activeForHost: () => '宿主应用正在下载该网址，且未指定此 sha256 或 size。',
    activeOtherwise: () => '该网址正在下载，且未指定此 sha256 或 size；请等待其结束。',
  },
  issue: (kind) => issues.get(kind) ?? '取值无效',
  retrying: (reason, seconds) => `${reason}将在 ${seconds} 秒后重试。`,
}

/** Problems by the kind that zod reports. */
const issues: ReadonlyMap<string, string> = new Map([
  ['invalid_type', '类型不正确，或缺少该参数'],
  ['too_big', '超出上限'],
  ['too_small', '低于下限'],
  ['invalid_format', '格式不正确'],
  ['unrecognized_keys', '包含不支持的参数'],
  ['invalid_value', '不是允许的取值'],
])
