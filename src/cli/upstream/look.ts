/** What `ls` shows of a ref besides its files. */
import { errorText } from '../../download/error-text.js'
import type { InspectedModel, Inspection } from '../../inspect/inspect.js'
import { formatBytes } from '../../util/format.js'
import { formatTable } from '../files/table.js'
import { plain } from '../format.js'
import { texts, voice } from '../language.js'
import { shortCount, upstreamTexts } from './texts.js'

/** The JSON form of a model whose header was read, as a line of `ls --json`. */
export function modelJson(ref: string, { header, error, ...model }: InspectedModel): object {
  const failure = error === null ? {} : { code: error.code, message: error.message }
  return { type: 'model', ref, ...model, ...header, ...failure }
}

/** The models whose headers were read, and the quantisations; empty if there are none. */
export function lookText({ models, quantisations }: Inspection, width: number | null): string {
  const { columns, quantisations: title, yes, no } = upstreamTexts()
  const read = models.filter(({ header, error }) => header !== null || error !== null)
  const text = (value: string | null | undefined) => plain(value ?? '?')
  const rows = read.map(({ filename, header }) => {
    const { parameters = null, chatTemplate = null } = header ?? {}
    return [
      plain(filename),
      text(header?.architecture),
      parameters === null ? '?' : shortCount(parameters),
      text(header?.contextLength?.toString()),
      text(header?.quantisation),
      text(header?.tensors?.toString()),
      chatTemplate === null ? '?' : chatTemplate ? yes : no,
    ]
  })
  const table = formatTable(
    [
      { title: columns.model, shrinks: true },
      { title: columns.architecture },
      { title: columns.parameters, align: 'right' },
      { title: columns.context, align: 'right' },
      { title: columns.quantisation },
      { title: columns.tensors, align: 'right' },
      { title: columns.template },
    ],
    rows,
    width,
  )
  const list = quantisations
    .map(({ name, size }) => `${name} (${size === null ? '?' : formatBytes(size)})`)
    .join(texts().comma)
  return [
    quantisations.length === 0 ? '' : `\n${title}${texts().colon}${list}\n`,
    read.length === 0 ? '' : `\n${table}`,
  ].join('')
}

/** Why headers could not be read, a line each. */
export function lookProblems({ models }: Inspection): string[] {
  return models.flatMap(({ filename, error }) =>
    error === null
      ? []
      : [`${texts().note}${plain(filename)}${texts().colon}${plain(errorText(error, voice()))}`],
  )
}
