/** The files for operators name what there is: docs/operations.md and examples/operations. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { createProgram } from '../../../src/cli/program.js'
import { redisVariable } from '../../../src/cli/serve/cluster.js'
import { peerTokenVariable } from '../../../src/cli/serve/fleet.js'
import { registerMetrics } from '../../../src/observe/metrics.js'
import { blocksOf, read, rowsOf } from '../../support/documents.js'
import { root } from '../../support/process.js'
import { Scene } from './scene.js'

const folder = 'examples/operations'
const files = readdirSync(path.join(root, folder))

/** All metrics, with the labels of their series; histograms have three kinds of series. */
function known(): Map<string, string[]> {
  const registry = new Registry()
  registerMetrics(new Scene().manager, { registry })
  const own = registry.getMetricsAsArray().flatMap((metric) => {
    // The type does not show them.
    const { name, type, labelNames = [] } = metric as typeof metric & { labelNames?: string[] }
    const isHistogram = String(type) === 'histogram'
    const names = isHistogram ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name]
    return names.map((each) => [each, [...labelNames, ...(isHistogram ? ['le'] : [])]] as const)
  })
  const process = new Registry()
  collectDefaultMetrics({ register: process })
  return new Map(
    [...own, ...process.getMetricsAsArray().map(({ name }) => [name, []] as const)].map(([n, l]) => [
      n,
      [...l],
    ]),
  )
}

/** The metrics that an expression of PromQL names. */
const metricsIn = (expression: string) => [
  ...new Set(expression.match(/\b(?:model_downloader|process)_\w+/g)),
]

/** The labels by which it selects and sums. */
function labelsIn(expression: string): string[] {
  const selected = [...expression.matchAll(/(\w+)=~?"/g)].map(([, label]) => label ?? '')
  const summed = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(','))
  return [...selected, ...summed].map((label) => label.trim())
}

interface Dashboard {
  panels: { id: number; title: string; gridPos: object; targets: { expr: string; legendFormat: string }[] }[]
  templating: { list: { name: string; query: string }[] }
}

const dashboard = JSON.parse(read(`${folder}/grafana-dashboard.json`)) as Dashboard
const metrics = known()

it.each(dashboard.panels.map((panel) => [panel.title, panel] as const))(
  'the panel "%s" shows metrics and labels that there are',
  (_title, { targets }) => {
    for (const { expr, legendFormat } of targets) {
      const names = metricsIn(expr)
      expect(names.length).toBeGreaterThan(0)
      expect([...metrics.keys()]).toEqual(expect.arrayContaining(names))
      const labels = ['instance', ...names.flatMap((name) => metrics.get(name) ?? [])]
      expect(labels).toEqual(expect.arrayContaining(labelsIn(expr)))
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label)
      expect(labels).toEqual(expect.arrayContaining(shown))
    }
  },
)

it('the dashboard shows every metric, and has no panel twice', () => {
  const shown = dashboard.panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => metricsIn(expr)))
  const own = [...metrics.keys()].filter(
    (name) => name.startsWith('model_downloader') && !/_(?:sum|count)$/.test(name),
  )
  expect(own.filter((name) => !shown.includes(name))).toEqual([])
  for (const key of ['id', 'gridPos'] as const) {
    const values = dashboard.panels.map((panel) => JSON.stringify(panel[key]))
    expect(new Set(values).size).toBe(values.length)
  }
  const variables = dashboard.templating.list.map(({ name }) => name)
  const text = read(`${folder}/grafana-dashboard.json`)
  const used = [...text.matchAll(/\$\{?(\w+)/g)]
    .map(([, name = '']) => name)
    .filter((name) => !name.startsWith('__'))
  expect(variables).toEqual(expect.arrayContaining(used))
})

it('the alerts look at metrics that there are', () => {
  const names = metricsIn(read(`${folder}/prometheus-alerts.yaml`))
  expect(names.length).toBeGreaterThan(3)
  expect([...metrics.keys()]).toEqual(expect.arrayContaining(names))
})

it.each(['docs/operations.md', 'docs/operations.zh-CN.md'])(
  '%s has all files and all metrics',
  (document) => {
    const text = read(document)
    const blocks = blocksOf(text).map(({ code }) => code.trim())
    for (const file of files) {
      if (file.endsWith('.json')) expect(text).toContain(`${folder}/${file}`)
      else expect(blocks, file).toContain(read(`${folder}/${file}`).trim())
    }
    const rows = rowsOf(text).filter(([name]) => name?.startsWith('`model_downloader_'))
    const registry = new Registry()
    registerMetrics(new Scene().manager, { registry })
    const kinds = registry.getMetricsAsArray().map(({ name, type }) => [`\`${name}\``, String(type)])
    expect(rows.map(([name, type]) => [name, type]).sort()).toEqual(kinds.sort())
  },
)

/** The command lines that a file contains, without the command: a list in brackets, one of lines, or a line for systemd. */
function commandLinesIn(text: string): string[][] {
  const inline = [...text.matchAll(/(?:command|args|CMD)\b:? \[([^\]]*)\]/g)].map(([, list = '']) =>
    list.split(',').map((word) => word.trim().replaceAll('"', '')),
  )
  const listed = [...text.matchAll(/^ *args:\n((?: +- \S+\n)+)/gm)].map(([, list = '']) =>
    [...list.matchAll(/- (\S+)\n/g)].map(([, word = '']) => word),
  )
  const units = [...text.matchAll(/^ExecStart=\S+ (.*)$/gm)].map(([, list = '']) => list.split(' '))
  return [...inline, ...listed, ...units].filter(([first]) => first !== 'node')
}

it.each([
  ['Containerfile', 1],
  ['compose.yaml', 1],
  ['kubernetes-daemonset.yaml', 1],
  ['model-downloader.service', 1],
])('%s starts commands that there are, with their options', async (file, count) => {
  const text = read(`${folder}/${file}`)
  const started: [string, object][] = []
  const note = (name: string) => async (first: unknown, second?: unknown) => {
    const options = second ?? first
    if (typeof options === 'object' && options !== null) started.push([name, options])
  }
  const found = commandLinesIn(text)
  expect(found).toHaveLength(count)
  for (const args of found) {
    const nothing = () => Promise.reject(new Error('another command'))
    const commands = { get: nothing, files: nothing, serve: note('serve'), preload: note('preload') }
    await createProgram('0.0.0', commands).parseAsync(args, { from: 'user' })
  }
  const server = started.find(([name]) => name === 'serve')?.[1]
  if (server !== undefined && 'fleet' in server) {
    // What a fleet can't do without.
    expect(Object.keys(server)).toEqual(expect.arrayContaining(['node', 'advertise', 'catalog']))
    expect(text).toContain(redisVariable)
    expect(text).toContain(peerTokenVariable)
  }
  const variables = [...text.matchAll(/\bMODEL_DOWNLOADER_\w+/g)].map(([name]) => name)
  expect(['MODEL_DOWNLOADER_TOKEN', redisVariable, peerTokenVariable]).toEqual(
    expect.arrayContaining(variables),
  )
})
