/** An app of React, as people write them, without JSX. */
import { createElement as h, StrictMode, useState, useTransition, type ReactElement } from 'react'
import { DownloadProvider, useDownload, useDownloads, usePreload } from '../../../adapters/react.js'
import { codeOf, draws, moves, nameOf, textOf, type AppProps } from './app.js'

function Row({ url }: { url: string }): ReactElement {
  const { download, error, ...actions } = useDownload(url)
  draws(nameOf(url))
  return h(
    'li',
    { className: nameOf(url) },
    h('span', { className: 'text' }, textOf(download)),
    h('span', { className: 'error' }, codeOf(error)),
    moves.map((move) =>
      h('button', { key: move, className: move, onClick: () => void actions[move]() }, move),
    ),
  )
}

function Summary(): ReactElement {
  const { downloads, connection, error, refresh } = useDownloads()
  return h(
    'header',
    null,
    h('b', { id: 'connection' }, connection),
    h('i', { id: 'error' }, codeOf(error)),
    h('button', { id: 'refresh', onClick: refresh }, 'refresh'),
    h('p', { id: 'all' }, downloads.map(({ filename, state }) => `${filename} ${state}`).join(', ')),
  )
}

function Preload(): ReactElement {
  const { preload, models, start } = usePreload()
  const ready = Object.values(models?.models ?? {}).filter((model) => model.ready).length
  return h(
    'footer',
    null,
    h('p', { id: 'preload' }, `${preload?.running === true ? 'running' : 'not running'}, ${ready} ready`),
    h('pre', { id: 'logs' }, preload?.logs.join('\n') ?? ''),
    h('button', { id: 'preload-start', onClick: () => void start() }, 'preload'),
  )
}

/** What each drawing of a copy has read. */
export const read = new Set<string>()

function Copy(): ReactElement {
  const { downloads } = useDownloads()
  const text = downloads.map(({ downloaded }) => downloaded).join(' ')
  read.add(text)
  // So slow that React pauses in the middle of many of them.
  for (const until = performance.now() + 4; performance.now() < until;);
  return h('li', { className: 'copy' }, text)
}

function Copies(): ReactElement {
  const [round, setRound] = useState(0)
  const [isPending, startTransition] = useTransition()
  const again = () => {
    read.clear()
    startTransition(() => {
      setRound((before) => before + 1)
    })
  }
  const copies = Array.from({ length: 40 }, (_, index) => h(Copy, { key: `${round} ${index}` }))
  return h(
    'div',
    null,
    h('button', { id: 'again', onClick: again }, 'again'),
    h('b', { id: 'round' }, `${round} ${isPending ? 'pending' : 'done'}`),
    h('ul', null, copies),
  )
}

/** Forty parts that show the same, and are drawn slowly in the background. */
export const CopiesApp = ({ client }: Pick<AppProps, 'client'>): ReactElement =>
  h(DownloadProvider, { client }, h(Copies))

/** Rows, each twice, and the rest. */
export function App({ client, urls, models = false }: AppProps & { models?: boolean }): ReactElement {
  const rows = urls.map((url) => h(Row, { url, key: url }))
  return h(
    StrictMode,
    null,
    h(
      DownloadProvider,
      { client },
      h(Summary),
      h('ul', { id: 'rows' }, rows),
      h('ul', { id: 'again' }, rows),
      models ? h(Preload) : null,
    ),
  )
}
