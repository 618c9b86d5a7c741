/** What the commands that ask sources say to people, in both languages. Pure. */
import type { UpstreamCheck } from '../../manager/upstream/check.js'
import { voice } from '../language.js'

const english = {
  columns: {
    ref: 'REF',
    downloads: 'DOWNLOADS',
    likes: 'LIKES',
    updated: 'UPDATED',
    license: 'LICENCE',
    status: 'STATUS',
    changes: 'CHANGES',
    size: 'SIZE',
    from: 'FROM',
    to: 'TO',
    model: 'MODEL',
    architecture: 'ARCHITECTURE',
    parameters: 'PARAMETERS',
    context: 'CONTEXT',
    quantisation: 'TYPE',
    tensors: 'TENSORS',
    template: 'TEMPLATE',
  },
  quantisations: 'Quantisations',
  yes: 'yes',
  no: 'no',
  gated: 'gated',
  nothingFound: (text: string) => `No model was found for ${text}.`,
  nothingOutdated: (count: number): string =>
    count === 0 ? 'There are no finished downloads to compare.' : 'Everything is up to date.',
  notDownloaded: (name: string) => `${name}: nothing that was downloaded by it is in the folder`,
  status: {
    current: 'up to date',
    outdated: 'outdated',
    gone: 'gone',
    unknown: 'unknown',
  } satisfies Record<UpstreamCheck['status'], string>,
}

type UpstreamTexts = typeof english

const chinese: UpstreamTexts = {
  columns: {
    ref: '模型名称',
    downloads: '下载量',
    likes: '点赞',
    updated: '更新时间',
    license: '许可证',
    status: '状态',
    changes: '变化',
    size: '大小',
    from: '现有版本',
    to: '最新版本',
    model: '模型',
    architecture: '架构',
    parameters: '参数量',
    context: '上下文',
    quantisation: '类型',
    tensors: '张量',
    template: '对话模板',
  },
  quantisations: '量化方式',
  yes: '有',
  no: '无',
  gated: '需要授权',
  nothingFound: (text) => `没有找到与 ${text} 有关的模型。`,
  nothingOutdated: (count) => (count === 0 ? '没有可以比较的已完成下载。' : '全部已是最新。'),
  notDownloaded: (name) => `${name}：文件夹中没有由此下载的内容`,
  status: { current: '已是最新', outdated: '有更新', gone: '已不存在', unknown: '未知' },
}

/** The texts in the language of this process. */
export function upstreamTexts(): UpstreamTexts {
  return voice().locale === 'en-US' ? english : chinese
}

const units: readonly [number, string][] = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'K'],
]

/** A large number as people write it: `7.62B`. */
export function shortCount(count: number): string {
  for (const [unit, sign] of units) {
    if (count < unit) continue
    const value = count / unit
    return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)}${sign}`
  }
  return String(count)
}
