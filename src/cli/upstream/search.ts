import type { FoundModel } from '../../sources/source.js'
import { exitCodes } from '../checks/usage.js'
import { printNote } from '../files/folder.js'
import { terminalWidth } from '../files/ls.js'
import { openResolver } from '../files/sources.js'
import { formatTable } from '../files/table.js'
import { jsonLine, plain } from '../format.js'
import type { NetworkOptions } from '../network.js'
import { shortCount, upstreamTexts } from './texts.js'
import { printOut } from '../process/surroundings.js'

/** Parsed options of `search`. */
export interface SearchCommandOptions extends NetworkOptions {
  source: 'hf' | 'ms'
  gguf?: boolean | undefined
  limit: number
  json?: boolean | undefined
}

const sourceNames = { hf: 'huggingface', ms: 'modelscope' }

/**
 * Searches the models of a hub.
 *
 * @returns the exit code.
 */
export async function search(text: string, options: SearchCommandOptions): Promise<number> {
  const resolver = openResolver(options)
  try {
    const { gguf = false, limit } = options
    const request = { gguf, limit, remote: null, signal: new AbortController().signal }
    const models = await resolver.search(sourceNames[options.source], text, request)
    if (options.json === true) for (const model of models) printOut(jsonLine({ type: 'model', ...model }))
    else if (models.length === 0) printNote(upstreamTexts().nothingFound(plain(text)))
    else printOut(searchTable(models, terminalWidth()))
    return exitCodes.done
  } finally {
    await resolver.close()
  }
}

/** The table of `search`. */
export function searchTable(models: readonly FoundModel[], width: number | null): string {
  const { columns, gated: gatedText } = upstreamTexts()
  const count = (value: number | null) => (value === null ? '' : shortCount(value))
  return formatTable(
    [
      { title: columns.ref, shrinks: true },
      { title: columns.downloads, align: 'right' },
      { title: columns.likes, align: 'right' },
      { title: columns.updated },
      { title: columns.license, shrinks: true },
    ],
    models.map(({ ref, downloads, likes, updatedAt, license, gated }) => [
      plain(ref),
      count(downloads),
      count(likes),
      updatedAt?.slice(0, 10) ?? '',
      [license === null ? '' : plain(license), gated === true ? `(${gatedText})` : '']
        .filter((part) => part !== '')
        .join(' '),
    ]),
    width,
  )
}
