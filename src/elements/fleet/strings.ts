/** Texts of the view of a fleet. Pure. */
import type { ElementLocale } from '../strings.js'
import { type TextEntry, textsIn } from '../text-table.js'

const table = {
  title: ['Fleet', '节点群'],
  summary: [
    '{ready} of {present} nodes have all of their models.',
    '共 {present} 个在线节点，其中 {ready} 个模型齐全。',
  ],
  gone: ['Absent: {n}.', '离线：{n} 个。'],
  nothing: ['No node is to have a model yet.', '尚未要求任何节点获取模型。'],
  matrix: ['Models by node', '各节点的模型'],
  model: ['Model', '模型'],
  allModels: ['All models of the catalog', '清单中的所有模型'],
  nodes: ['Nodes', '节点'],
  nodesHint: ['all, or names and label:…, separated by commas', 'all，或用逗号分隔的节点名称和 label:标签'],
  fetch: ['Fetch', '下载'],
  toggle: ['Select {name}', '选择 {name}'],
  asked: ['The nodes get it: {models} → {nodes}', '已要求节点获取：{models} → {nodes}'],
  lastSeen: ['last seen {time}', '最后在线 {time}'],
  ready: ['Ready', '就绪'],
  queued: ['Waiting', '排队中'],
  downloading: ['Downloading', '下载中'],
  waiting: ['Waiting for other nodes', '等待其他节点'],
  failed: ['Failed', '失败'],
  missing: ['Missing', '缺少'],
  absent: ['Absent', '离线'],
  notWanted: ['Not asked for', '未要求'],
} satisfies Record<string, TextEntry>

/** The texts in a language. */
export type FleetStrings = Readonly<Record<keyof typeof table, string>>

/** The texts in a language. */
export function fleetStrings(locale: ElementLocale): FleetStrings {
  return textsIn(table, locale)
}
